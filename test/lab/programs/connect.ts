/** connect HOST PORT [TIMEOUT_MS]: opens one TCP connection, says how that went, and closes it. */

import { connect } from 'node:net'
import { numberArgument, type Outcome, outcomeOf, say, since, textArgument } from './say.js'

export interface ConnectResult {
  readonly outcome: Outcome
  readonly ms: number
}

const start = performance.now()
const socket = connect({ host: textArgument(0), port: numberArgument(1) })
const timer = setTimeout(() => finish('timeout'), numberArgument(2, 2000))
socket.once('connect', () => finish('ok'))
socket.once('error', (error) => finish(outcomeOf(error)))

function finish(outcome: Outcome): void {
  clearTimeout(timer)
  socket.destroy()
  say({ outcome, ms: since(start) } satisfies ConnectResult)
}
