/** http-upload URL BYTES MS: sends a body evenly over MS milliseconds, as a client on a slow line does. */

import { request } from 'node:http'
import { json } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { numberArgument, type Outcome, outcomeOf, say, since, textArgument } from './say.js'

export interface UploadResult {
  readonly outcome: Outcome
  /** The bytes that the server reports as received; 0 when it does not answer. */
  readonly bytes: number
  readonly ms: number
}

const PARTS = 20

async function upload(url: string, bytes: number, ms: number): Promise<number> {
  const post = request(url, { method: 'POST', agent: false, headers: { 'content-length': bytes } })
  const answer = new Promise<number>((resolve, reject) => {
    post.once('error', reject)
    post.once('response', async (response) => {
      const { received } = (await json(response)) as { received: number }
      resolve(received)
    })
  })
  const sent = (async () => {
    for (let part = 0; part < PARTS && !post.destroyed; part++) {
      await sleep(ms / PARTS)
      const [from, to] = [part, part + 1].map((edge) => Math.floor((bytes * edge) / PARTS))
      post.write(Buffer.alloc(to! - from!))
    }
    post.end()
  })()
  const [received] = await Promise.all([answer, sent])
  return received
}

const start = performance.now()
try {
  const bytes = await upload(textArgument(0), numberArgument(1), numberArgument(2))
  say({ outcome: 'ok', bytes, ms: since(start) } satisfies UploadResult)
} catch (error) {
  say({ outcome: outcomeOf(error), bytes: 0, ms: since(start) } satisfies UploadResult)
}
