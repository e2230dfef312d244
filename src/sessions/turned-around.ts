import type { SocketLookUp } from '../core/packet/ip.js'
import type { Sockets } from '../kernel/sockets/sockets.js'
import type { RootServices } from './root-services.js'

type Ends = Parameters<SocketLookUp>

/** Milliseconds in a number of 32 bits. */
const WRAP = 2 ** 32
// include/linux/jiffies.h: #define INITIAL_JIFFIES ((unsigned long)(unsigned int) (-300*HZ))
const KERNEL_CLOCK_STARTS_MS = -300_000
/** How far the kernel's clock may be from where its start says: the boot takes time. */
const MAX_OFFSET_MS = 60_000
/** A socket whose last acknowledgement is no further from the clock's start is new. */
const EXACT_TO_MS = 2000

/**
 * Recognises a socket that opens a connection and was used before: it listened, or had another connection. Root may have
 * handed it to another user, with a client or without, who has turned it around; a program of root opens a new socket.
 *
 * The kernel keeps the time of the last acknowledgement when a socket is disconnected (net/ipv4/tcp.c: tcp_disconnect).
 * On a new socket it is 0, so that as much time as the kernel's clock shows has passed since (tcpi_last_ack_recv).
 */
export class TurnedAround {
  readonly #sockets: Pick<Sockets, 'opening'>
  readonly #rootServices: Pick<RootServices, 'hasListened'>
  readonly #now: () => number
  /** How far the kernel's clock is from where its start says: milliseconds; undefined before it is known. */
  #offset: number | undefined

  /** @param now milliseconds of CLOCK_MONOTONIC */
  constructor(
    sockets: Pick<Sockets, 'opening'>,
    rootServices: Pick<RootServices, 'hasListened'>,
    now = () => Number(process.hrtime.bigint() / 1_000_000n),
  ) {
    this.#sockets = sockets
    this.#rootServices = rootServices
    this.#now = now
  }

  /** Whether the socket with these ends, which opens a connection, was used before. */
  is(...ends: Ends): boolean {
    const socket = this.#sockets.opening(...ends)
    if (socket === undefined) return false
    return this.#rootServices.hasListened(socket.number) || this.#wasConnected(socket.lastAck)
  }

  /** Learns the kernel's clock from a socket that is new for certain. On a kernel with another clock nothing is known. */
  learn(...ends: Ends): void {
    const lastAck = this.#sockets.opening(...ends)?.lastAck
    if (lastAck === undefined) return
    const offset = this.#behindStart(lastAck)
    this.#offset = Math.abs(offset) <= MAX_OFFSET_MS ? offset : undefined
  }

  #wasConnected(lastAck: number | undefined): boolean {
    if (lastAck === undefined || this.#offset === undefined) return false
    return Math.abs(this.#behindStart(lastAck) - this.#offset) > EXACT_TO_MS
  }

  /** How much more time has passed since an acknowledgement than since the start of the kernel's clock. */
  #behindStart(lastAck: number): number {
    const difference = (lastAck - this.#now() - KERNEL_CLOCK_STARTS_MS) % WRAP
    return ((difference + 1.5 * WRAP) % WRAP) - WRAP / 2
  }
}
