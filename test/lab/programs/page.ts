/** Fetches one page over a connection of its own. */

import { get } from 'node:http'
import { type Outcome, outcomeOf, since } from './say.js'

export interface HttpResult {
  readonly outcome: Outcome
  /** The HTTP status; 0 when no answer came. */
  readonly status: number
  /** The bytes of the body that arrived, also when the body is incomplete. */
  readonly bytes: number
  readonly ms: number
}

/** Fetches a page. @param timeout milliseconds for the whole page */
export function getPage(url: string, timeout: number): Promise<HttpResult> {
  const start = performance.now()
  let status = 0
  let bytes = 0
  return new Promise((resolve) => {
    const request = get(url, { agent: false }, (response) => {
      status = response.statusCode ?? 0
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length
      })
      response.once('end', () => finish('ok'))
      response.once('error', (error) => finish(outcomeOf(error)))
    })
    request.once('error', (error) => finish(outcomeOf(error)))
    const timer = setTimeout(() => finish('timeout'), timeout)
    const finish = (outcome: Outcome) => {
      clearTimeout(timer)
      request.on('error', () => {}).destroy()
      resolve({ outcome, status, bytes, ms: since(start) })
    }
  })
}
