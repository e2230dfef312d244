/** http-get URL [TIMEOUT_MS]: fetches a page, and prints its status and size, or the error. */

import { getPage } from './page.js'
import { numberArgument, say, textArgument } from './say.js'

say(await getPage(textArgument(0), numberArgument(1, 5000)))
