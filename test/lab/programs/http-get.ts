/** http-get URL [TIMEOUT_MS]: fetches a page and says its status and size, or why there is none. */

import { get } from 'node:http'
import { numberArgument, type Outcome, outcomeOf, say, since, textArgument } from './say.js'

export interface HttpResult {
  readonly outcome: Outcome
  /** 0 when no answer came. */
  readonly status: number
  /** Bytes of the body that came, also when the rest did not. */
  readonly bytes: number
  readonly ms: number
}

const start = performance.now()
let status = 0
let bytes = 0
const request = get(textArgument(0), { agent: false }, (response) => {
  status = response.statusCode ?? 0
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  response.once('end', () => finish('ok'))
  response.once('error', (error) => finish(outcomeOf(error)))
})
request.once('error', (error) => finish(outcomeOf(error)))
const timer = setTimeout(() => finish('timeout'), numberArgument(1, 5000))

let finished = false
function finish(outcome: Outcome): void {
  if (finished) return
  finished = true
  clearTimeout(timer)
  request.on('error', () => {}).destroy()
  say({ outcome, status, bytes, ms: since(start) } satisfies HttpResult)
}
