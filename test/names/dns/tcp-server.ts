/** Resolvers that take TCP connections on this host's loopback, for tests; they do what the test says, good or bad. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { Test } from 'tap'
import { type Question, readQueries } from '../../../src/core/dns/question.js'
import { PATIENCE_MS } from '../../lab/waiting.js'

/** What it does with the whole questions that a segment brings. */
export type Manner = (socket: Socket, questions: readonly Question[]) => void

export class TcpServer {
  /** The questions of each segment; none where one did not hold whole questions. */
  readonly segments: (readonly Question[])[] = []
  /** How each connection that is over has ended: `reset`, or `end`. */
  readonly ends: string[] = []
  readonly port: number
  /** As node:dns writes it. */
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

/** Waits until it holds, whatever a test does to the clock. @throws Error when that takes too long */
export async function until(what: string, holds: () => boolean): Promise<void> {
  for (let times = 0; !holds(); times++) {
    if (times === PATIENCE_MS / 10) throw new Error(`never: ${what}`)
    await new Promise((resolve) => sleep(resolve, 10))
  }
}
