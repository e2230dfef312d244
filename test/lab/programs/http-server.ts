/**
 * http-server PORT: runs a small web server on all IPv4 and IPv6 addresses.
 *
 *     GET /                a small page
 *     GET /large?bytes=N   N bytes, as a stream
 *     POST /upload         answers {"received": N} after the body, however slowly it comes
 *
 * Prints {"listening": PORT}.
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { numberArgument, say } from './say.js'

const CHUNK = Buffer.alloc(64 * 1024, 'checkvalve ')

function* body(bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= CHUNK.length) yield CHUNK.subarray(0, left)
}

async function receive(request: IncomingMessage): Promise<number> {
  let received = 0
  for await (const chunk of request) received += (chunk as Buffer).length
  return received
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://web.example.org')
  switch (`${request.method} ${url.pathname}`) {
    case 'GET /':
      response.end('<!doctype html><title>web</title><p>It is up.</p>\n')
      return
    case 'GET /large':
      await pipeline(body(Number(url.searchParams.get('bytes'))), response)
      return
    case 'POST /upload':
      response.end(JSON.stringify({ received: await receive(request) }))
      return
    default:
      response.writeHead(404).end()
  }
}

const server = createServer((request, response) => {
  // A client that disconnects is no error of the server.
  answer(request, response).catch(() => response.destroy())
})
const port = numberArgument(0)
server.listen(port, () => say({ listening: port }))
