/** Starts TCP resolvers on the loopback device, for tests. They answer as the test says, right or wrong. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { Test } from 'tap'
import { type Question, readQueries } from '../../../src/core/dns/question.js'
import { PATIENCE_MS } from '../../lab/waiting.js'

/** What the server does with the complete queries of a segment. */
export type Manner = (socket: Socket, questions: readonly Question[]) => void

export class TcpServer {
  /** The queries of each segment; none when a segment had an incomplete query. */
  readonly segments: (readonly Question[])[] = []
  /** How each closed connection has ended: `reset`, or `end`. */
  readonly ends: string[] = []
  readonly port: number
  /** The name in the form of node:dns. */
  readonly name: string
  readonly #server: Server
  readonly #open = new Set<Socket>()

  private constructor(server: Server, manner: Manner) {
    const { address, family, port } = server.address() as AddressInfo
    this.port = port
    this.name = family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`
    this.#server = server
    server.on('connection', (socket) => this.#serve(socket, manner))
  }

  static async start(t: Test, manner: Manner, host = '127.0.0.1'): Promise<TcpServer> {
    const server = createServer().listen(0, host)
    await once(server, 'listening')
    const started = new TcpServer(server, manner)
    t.teardown(() => started.stop())
    return started
  }

  stop(): void {
    this.#server.close()
    for (const socket of this.#open) socket.destroy()
  }

  #serve(socket: Socket, manner: Manner): void {
    let end = 'end'
    this.#open.add(socket)
    socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      if (code === 'ECONNRESET') end = 'reset'
    })
    socket.on('close', () => {
      this.#open.delete(socket)
      this.ends.push(end)
    })
    socket.on('data', (chunk) => {
      const questions = readQueries(chunk, 0, chunk.length) ?? []
      this.segments.push(questions)
      manner(socket, questions)
    })
  }
}

const sleep = setTimeout

/**
 * Waits until the condition holds, in real time when a test has replaced the clock. @throws Error when that
 * takes too long
 */
export async function until(what: string, holds: () => boolean): Promise<void> {
  for (let times = 0; !holds(); times++) {
    if (times === PATIENCE_MS / 10) throw new Error(`never: ${what}`)
    await new Promise((resolve) => sleep(resolve, 10))
  }
}
