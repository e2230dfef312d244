/**
 * file-server PORT FOLDER [BYTES_PER_SECOND]: serves the files of a folder, on all IPv4 and IPv6 addresses,
 * each download at that pace. Prints {"listening": PORT}, and a `Served` for each request.
 */

import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { join, normalize } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { numberArgument, say, textArgument } from './say.js'

export interface Served {
  /** The path of the request. */
  readonly get: string
  readonly from: string
  /** The name of this server in the request. */
  readonly host: string
  readonly status: number
}

const TICK_MS = 50

const [port, folder, pace] = [numberArgument(0), textArgument(1), numberArgument(2, Number.POSITIVE_INFINITY)]

/** Yields the data at the pace of the server, in small pieces. */
async function* slowed(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const most = Math.max(1, Math.floor((pace * TICK_MS) / 1000))
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += most) {
      yield chunk.subarray(at, at + most)
      if (pace < Number.POSITIVE_INFINITY) await sleep(TICK_MS)
    }
  }
}

/** Answers a request. `normalize` of an absolute path leaves no `..` that would lead out of the folder. */
async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname } = new URL(request.url ?? '/', 'http://files.example.org')
  const path = join(folder, normalize(decodeURIComponent(pathname)))
  const file = await stat(path).catch(() => undefined)
  const status = file?.isFile() ? 200 : 404
  const from = (request.socket.remoteAddress ?? '').replace(/^::ffff:/, '')
  say({ get: pathname, from, host: request.headers.host ?? '', status } satisfies Served)
  if (status === 404) {
    response.writeHead(404, { 'content-length': 0 }).end()
    return
  }
  response.writeHead(200, { 'content-length': file!.size, 'last-modified': file!.mtime.toUTCString() })
  if (request.method === 'HEAD') response.end()
  else await pipeline(createReadStream(path), slowed, response)
}

const server = createServer((request, response) => {
  // A client that disconnects is no error of the server.
  answer(request, response).catch(() => response.destroy())
})
server.listen(port, () => say({ listening: port }))
