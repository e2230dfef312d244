/** connect HOST PORT [TIMEOUT_MS]: opens one TCP connection, says how that went, and closes it. */

import { call } from './call.js'
import { numberArgument, type Outcome, say, since, textArgument } from './say.js'

export interface ConnectResult {
  readonly outcome: Outcome
  readonly ms: number
}

const start = performance.now()
const outcome = await call(textArgument(0), numberArgument(1), numberArgument(2, 2000))
say({ outcome, ms: since(start) } satisfies ConnectResult)
