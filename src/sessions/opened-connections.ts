import { type Connection, IPPROTO_TCP } from '../core/packet/ip.js'
import { SessionTable } from '../core/session/session-table.js'
import type { SocketConnection } from '../kernel/sockets/sock-diag-wire.js'

/** More connections of its own than that are not kept by a web server. */
const CAPACITY = 65_536
const FOR_EVER = 0x7fffffff

/**
 * The TCP connections that this host has opened itself: those from before the policy that is in force, and calls that were
 * seen since. Their packets are judged, even where connection tracking takes them for answers: it may have come to know them by a packet of the other
 * end (nf_conntrack_tcp_loose).
 */
export class OpenedConnections {
  /** For the packet path: the same as `connections`, and those that were seen to call since (`noteCall`). */
  readonly table: SessionTable
  /** What was found last. */
  connections: readonly Connection[] = []
  #callsBefore = 0

  /** @param seed as that of a SessionTable */
  constructor(seed: Uint32Array) {
    this.table = new SessionTable({ capacity: CAPACITY, tcpTimeout: FOR_EVER, udpTimeout: FOR_EVER, seed })
  }

  /**
   * Finds them among all that have a socket, whoever was seen calling with them. Where a socket does not tell, a client is who
   * came to a listening port.
   */
  find(connections: readonly SocketConnection[], listening: ReadonlySet<number>): void {
    this.connections = connections
      .filter(
        (each) =>
          each.caller === 'this-host' ||
          (each.caller === 'unknown' && !listening.has(each.localPort)) ||
          this.#isKnown(each),
      )
      .slice(0, CAPACITY)
    this.table.clear()
    this.#note(this.connections)
  }

  /** Whether so many have called since the last time that `keepOpen` is due: the oldest are dropped when the table is full. */
  get isCrowded(): boolean {
    return this.#calls() - this.#callsBefore >= CAPACITY / 4
  }

  /** Those that are still open become the youngest of the table. @param connections all that have a socket */
  keepOpen(connections: readonly SocketConnection[]): void {
    this.#note(connections.filter((each) => this.#isKnown(each)))
    this.#callsBefore = this.#calls()
  }

  #calls(): number {
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
