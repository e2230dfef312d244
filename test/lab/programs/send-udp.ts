/**
 * send-udp ADDRESS PORT COUNT [WAIT_MS]: sends datagrams, and waits WAIT_MS milliseconds at most for COUNT
 * answers.
 */

import { numberArgument, say, textArgument } from './say.js'
import { shoot } from './shots.js'

say(await shoot(textArgument(0), numberArgument(1), numberArgument(2), numberArgument(3, 200)))
