import { NETLINK_SOCK_DIAG, NetlinkError, NetlinkSocket, NLMSG_HDRLEN } from 'node-netfilter-queue/system'
import type { SocketLookUp } from '../../core/packet/ip.js'
import {
  type Family,
  type Initiator,
  IPPROTO_TCP,
  IPPROTO_UDP,
  type SocketState,
  type Words,
} from '../../core/packet/ip.js'
import { SerialQueue } from '../../system/serial-queue.js'
import { cookieAt, cookieOf, isListening, LookUp, lastAckOf, socketState } from './look-up-wire.js'
import { portsUpTo, portsWithout } from './port-filters.js'
import {
  AF_INET,
  AF_INET6,
  connectionOf,
  diagRequest,
  Figures,
  localPort,
  OPEN_STATES,
  openPort,
  portOfRoot,
  type SocketConnection,
  TCP_CLOSE,
  TCP_LISTEN,
} from './sock-diag-wire.js'

const FAMILIES = [AF_INET, AF_INET6] as const
/** The longest answer to one look-up, with attributes that were not asked for: bytes. */
const ANSWER_LENGTH = 1024
/** After this many look-ups with changing counters, the caller stays unknown. */
const LOOKUPS_AT_MOST = 16
/** Milliseconds for a list of open ports, after the first one. */
const LONGEST_LIST_MS = 200
/** Listening sockets on one port that no service has; ports that are left out after a list that took too long, and in all. */
const CROWD = 100
const CROWDED_AT_ONCE = 64
const MAX_CROWDED = 512
const TOO_LONG = new Error('the kernel takes too long to list sockets')
const openDumps = () => new NetlinkSocket({ protocol: NETLINK_SOCK_DIAG, slots: 4 })
const NO_ADDRESS = new Uint32Array(4)

/** Local ports of open sockets. */
export type OpenPorts = Readonly<Record<'tcp' | 'udp' | 'rootTcp', Set<number>>> & {
  /** The numbers of the sockets of `rootTcp`. */
  readonly rootSockets: readonly string[]
}

/** A socket that opens a connection. */
export interface OpeningSocket {
  /** As in `rootSockets`. */
  readonly number: string
  /** Milliseconds since the last acknowledgement; of a new socket, since the start of the kernel's clock. */
  readonly lastAck: number | undefined
}

/** Asks the kernel for the sockets of this network namespace, by sock_diag(7). */
export class Sockets {
  /** Counts look-ups of single connections by their result. */
  readonly lookups: Record<SocketState, number> = { established: 0, transient: 0, none: 0, unknown: 0 }
  #dumps = openDumps()
  /** Ports with very many listening sockets, which the lists leave out. */
  readonly #crowded = new Set<number>()
  /** What `listening` found last. */
  #open: OpenPorts | undefined
  readonly #asked = new NetlinkSocket({ protocol: NETLINK_SOCK_DIAG, slots: 1, slotSize: ANSWER_LENGTH })
  readonly #question = new LookUp()
  readonly #answer = new Uint8Array(ANSWER_LENGTH)
  readonly #answerView = new DataView(this.#answer.buffer)
  readonly #figures = new Figures()
  readonly #before = new Figures()
  /** The kernel runs one dump at a time on a socket. */
  readonly #turns = new SerialQueue()

  /**
   * Lists the ports of listening TCP sockets and of unconnected UDP sockets that other hosts can reach; `rootTcp` are
   * those of all listening TCP sockets that root made. A user can open sockets without end: when the kernel takes too
   * long for them, the last list stays, and the next ones leave out the ports with the most sockets.
   * @param lastUdp the highest UDP port of interest @throws NetlinkError (rejects) when the kernel lacks inet_diag
   */
  listening(lastUdp: number): Promise<OpenPorts> {
    return this.#turns.run(async () => {
      const end = this.#open === undefined ? Number.POSITIVE_INFINITY : performance.now() + LONGEST_LIST_MS
      try {
        this.#open = await this.#list(lastUdp, end)
      } catch (error) {
        if (error !== TOO_LONG) throw error
        // The kernel would not begin another list on the same socket.
        this.#dumps.close()
        this.#dumps = openDumps()
      }
      return this.#open!
    })
  }

  async #list(lastUdp: number, end: number): Promise<OpenPorts> {
    const [rootTcp, rootSockets, counts] = [new Set<number>(), [] as string[], new Map<number, number>()]
    const visit = (view: DataView, payload: number, stop: number) => {
      const port = localPort(view, payload, stop)
      if (port !== undefined) counts.set(port, (counts.get(port) ?? 0) + 1)
      const own = portOfRoot(view, payload, stop)
      if (own === undefined) return
      rootTcp.add(own)
      rootSockets.push(cookieAt(view, payload).join())
    }
    try {
      const tcp = await this.#ports(IPPROTO_TCP, TCP_LISTEN, end, portsWithout([...this.#crowded]), visit)
      for (const port of this.#crowded) tcp.add(port)
      const udp =
        lastUdp < 0 ? new Set<number>() : await this.#ports(IPPROTO_UDP, TCP_CLOSE, end, portsUpTo(lastUdp))
      return { tcp, udp, rootTcp, rootSockets }
    } catch (error) {
      this.#leaveOut(counts)
      throw error
    }
  }

  /** Leaves the ports with the most sockets out of the next lists. When there are too many, all are tried again. */
  #leaveOut(counts: ReadonlyMap<number, number>): void {
    if (this.#crowded.size >= MAX_CROWDED) this.#crowded.clear()
    const crowded = [...counts].filter(([, sockets]) => sockets > CROWD).sort(([, a], [, b]) => b - a)
    for (const [port] of crowded.slice(0, CROWDED_AT_ONCE)) this.#crowded.add(port)
  }

  /**
   * Lists all TCP connections that are not closed; those of clients only after their handshake.
   * @param isLocal whether an address is this host's: connections to it are left out, and take no memory
   * @throws NetlinkError (rejects)
   */
  connections(isLocal: (family: Family, words: Words) => boolean): Promise<SocketConnection[]> {
    return this.#turns.run(async () => {
      const found: SocketConnection[] = []
      for (const family of FAMILIES) {
        const request = diagRequest(family, IPPROTO_TCP, OPEN_STATES)
        await this.#dumps.request(request, 'listing connections', ({ view, payload, end }) => {
          const connection = connectionOf(view, payload, end)
          if (connection && !isLocal(connection.family, connection.remote))
            found.push(connection.initiator === 'unknown' ? this.#lookAgain(connection) : connection)
        })
      }
      return found
    })
  }

  /**
   * Finds the state of the TCP socket with these two ends, and whether a client opened it. The kernel answers
   * at once: nothing here waits.
   * @param device index of the device that the packet leaves by; 0 finds no socket that is bound to one
   */
  readonly lookUp: SocketLookUp = (family, local, localPort, remote, remotePort, device) => {
    const state = this.look(family, local, localPort, remote, remotePort, device)
    this.lookups[state]++
    return state
  }

  /** As `lookUp`, but not counted. */
  readonly look: SocketLookUp = (family, local, localPort, remote, remotePort, device) => {
    this.#question.set(family, local, localPort, remote, remotePort, device)
    return this.#state()
  }

  /** Finds the socket that opens a connection with these two ends; undefined when there is none. */
  opening(
    ...[family, local, localPort, remote, remotePort, device]: Parameters<SocketLookUp>
  ): OpeningSocket | undefined {
    this.#question.set(family, local, localPort, remote, remotePort, device)
    const length = this.#ask()
    const number = cookieOf(this.#answerView, length, remotePort)?.join()
    return number === undefined ? undefined : { number, lastAck: lastAckOf(this.#answerView, length) }
  }

  /** Whether a socket listens on a TCP port of an address now. The kernel answers at once. */
  listens(family: Family, local: Words, localPort: number, device: number): boolean {
    this.#question.set(family, local, localPort, NO_ADDRESS, 0, device)
    return isListening(this.#answerView, this.#ask())
  }

  close(): void {
    this.#dumps.close()
    this.#asked.close()
  }

  /** The state of the socket that was set; a socket that this host opened has no client. */
  #state(): SocketState {
    const length = this.#ask()
    const state = socketState(this.#answerView, length)
    if (state === 'none' || state === 'unknown') return state
    // Older kernels have no counters: a connection to a service counts as one of a client.
    if (!this.#figures.read(this.#answerView, NLMSG_HDRLEN, length)) return state
    const initiator = this.#initiator()
    return initiator === 'this-host' ? 'none' : initiator === 'other-end' ? state : 'unknown'
  }

  #lookAgain(connection: SocketConnection): SocketConnection {
    const { family, local, localPort, remote, remotePort, device } = connection
    this.#question.set(family, local, localPort, remote, remotePort, device)
    const hasCounters = this.#figures.read(this.#answerView, NLMSG_HDRLEN, this.#ask())
    return hasCounters ? { ...connection, initiator: this.#initiator() } : connection
  }

  /**
   * The end that opened the connection, by the counters read last. Counters that two look-ups agree on are of
   * one instant.
   */
  #initiator(): Initiator {
    for (let lookups = 1; this.#figures.isMoving; lookups++) {
      this.#before.copy(this.#figures)
      if (lookups === LOOKUPS_AT_MOST || !this.#figures.read(this.#answerView, NLMSG_HDRLEN, this.#ask()))
        return 'unknown'
      if (this.#figures.equals(this.#before)) break
    }
    return this.#figures.initiator
  }

  /** @returns bytes of the answer, 0 when there is none */
  #ask(): number {
    try {
      return this.#asked.exchange(this.#question.message, this.#answer, 'looking up a connection')
    } catch (error) {
      if (error instanceof NetlinkError) return 0
      throw error
    }
  }

  /** @param end when it is enough, in milliseconds of the monotonic clock */
  async #ports(
    protocol: number,
    state: number,
    end: number,
    filter?: Uint8Array,
    visit?: (view: DataView, payload: number, end: number) => void,
  ): Promise<Set<number>> {
    const ports = new Set<number>()
    for (const family of FAMILIES) {
      const request = diagRequest(family, protocol, [state], filter)
      await this.#dumps.request(request, 'listing sockets', ({ view, payload, end: stop }) => {
        if (performance.now() > end) throw TOO_LONG
        const port = openPort(view, payload, stop)
        if (port !== undefined) ports.add(port)
        visit?.(view, payload, stop)
      })
    }
    return ports
  }
}
