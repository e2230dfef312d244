/** Limits the connections of an HTTP server so that idle ones cannot shut it. */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'

/** Milliseconds within which a client sends its request, if it means to: then others can be told apart. */
const SETTLE_MS = 50

export interface LimitOptions {
  /** Connections that may stay. */
  readonly kept: number
  /**
   * Connections at any moment; those above `kept` are closed as soon as it is known which of them are
   * idle.
   */
  readonly atMost: number
  /**
   * Returns who holds a connection, as a text: a user, or a network. It is called once for a connection, and
   * only when there are too many.
   */
  readonly holderOf: (socket: Socket) => string
}

interface Held {
  readonly socket: Socket
  /** Whether a request came, and its answer is not yet sent. */
  isAsking: boolean
  holder: string | undefined
}

/**
 * Makes room for new connections. A server that refuses new ones when it has too many (`maxConnections`) is
 * shut by whoever opens that many first. Here the holder with the most connections loses one: its oldest
 * without a request, else its oldest. So one holder cannot keep others out, and idle connections cannot keep
 * out those of the same holder that ask.
 */
export class ConnectionLimit {
  readonly #options: LimitOptions
  /** The oldest first. */
  readonly #held = new Map<Socket, Held>()
  #settling: NodeJS.Timeout | undefined

  constructor(server: Server, options: LimitOptions) {
    this.#options = options
    server.on('connection', (socket: Socket) => this.#add(socket))
    server.on('request', (request, response) => {
      const held = this.#held.get(request.socket) ?? this.#under(request.socket)
      if (held === undefined) return
      held.isAsking = true
      response.once('close', () => {
        held.isAsking = false
      })
    })
  }

  /** Returns the connection that a socket of TLS encrypts: it is another object, with the same ends. */
  #under({ remoteAddress, remotePort }: Socket): Held | undefined {
    const isSame = ({ socket }: Held) =>
      socket.remotePort === remotePort && socket.remoteAddress === remoteAddress
    return [...this.#held.values()].find(isSame)
  }

  #add(socket: Socket): void {
    if (this.#held.size >= this.#options.atMost) this.#closeOne()
    this.#held.set(socket, { socket, isAsking: false, holder: undefined })
    socket.once('close', () => this.#held.delete(socket))
    if (this.#held.size > this.#options.kept)
      this.#settling ??= setTimeout(() => this.#settle(), SETTLE_MS).unref()
  }

  #settle(): void {
    this.#settling = undefined
    while (this.#held.size > this.#options.kept) this.#closeOne()
  }

  #closeOne(): void {
    const held = this.#ofLargestHolder()
    const { socket } = held.find(isIdle) ?? held[0]!
    this.#held.delete(socket)
    socket.destroy()
  }

  /**
   * Returns the connections of the holder that has most of them, the oldest first; of several such
   * holders, those of one that has an idle connection.
   */
  #ofLargestHolder(): Held[] {
    const holders = new Map<string, Held[]>()
    for (const held of this.#held.values()) {
      held.holder ??= this.#options.holderOf(held.socket)
      const own = holders.get(held.holder)
      if (own === undefined) holders.set(held.holder, [held])
      else own.push(held)
    }
    const all = [...holders.values()]
    const largest = Math.max(...all.map(({ length }) => length))
    const most = all.filter(({ length }) => length === largest)
    return most.find((each) => each.some(isIdle)) ?? most[0]!
  }
}

const isIdle = ({ isAsking }: Held): boolean => !isAsking
