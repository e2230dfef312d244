import { type Connection, IPPROTO_TCP } from '../core/packet/ip.js'
import { SessionTable } from '../core/session/session-table.js'
import type { SocketConnection } from '../kernel/sockets/sock-diag-wire.js'

/** The maximum number of connections: a web server opens fewer. */
const CAPACITY = 65_536
/** Seconds: connections do not expire. */
const NEVER = 0x7fffffff

/**
 * Holds the TCP connections that this host opened: those from before the active policy, and those whose SYN
 * was seen since. Their packets are judged even when connection tracking takes them for replies: it may have
 * seen a packet of the other end first (nf_conntrack_tcp_loose).
 */
export class OpenedConnections {
  /** For the packet path: all of `connections`, and those whose SYN was seen since (`noteOpening`). */
  readonly table: SessionTable
  /** The connections that `find` found last. */
  connections: readonly Connection[] = []
  /** The value of `#opened` at the last `keepOpen`. */
  #openedBefore = 0

  /** @param seed 64 random bits in two words, secret: see SessionTable */
  constructor(seed: Uint32Array) {
    this.table = new SessionTable({ capacity: CAPACITY, tcpTimeout: NEVER, udpTimeout: NEVER, seed })
  }

  /**
   * Finds the opened connections among all TCP sockets. When the socket does not show which end opened the
   * connection, one at a listening port counts as a client's, unless its SYN was seen.
   * @param listening local ports
   */
  find(connections: readonly SocketConnection[], listening: ReadonlySet<number>): void {
    this.connections = connections
      .filter(
        (connection) =>
          connection.initiator === 'this-host' ||
          (connection.initiator === 'unknown' && !listening.has(connection.localPort)) ||
          this.#isKnown(connection),
      )
      .slice(0, CAPACITY)
    this.table.clear()
    this.#note(this.connections)
  }

  /** Whether `keepOpen` is due: many connections were opened since, and a full table evicts the oldest. */
  get isCrowded(): boolean {
    return this.#opened() - this.#openedBefore >= CAPACITY / 4
  }

  /**
   * Makes the connections that are still open the youngest of the table.
   * @param connections all TCP sockets
   */
  keepOpen(connections: readonly SocketConnection[]): void {
    this.#note(connections.filter((connection) => this.#isKnown(connection)))
    this.#openedBefore = this.#opened()
  }

  /** Returns the connections that were added to the table so far. */
  #opened(): number {
    return this.table.size + this.table.evicted
  }

  #note(connections: readonly Connection[]): void {
    for (const { family, local, localPort, remote, remotePort } of connections)
      this.table.seen(family, IPPROTO_TCP, local, localPort, remote, remotePort, 0)
  }

  #isKnown({ family, local, localPort, remote, remotePort }: Connection): boolean {
    return this.table.silence(family, IPPROTO_TCP, local, localPort, remote, remotePort, 0) === 0
  }
}
