import { SessionTable } from './core/sessions.js'
import { type Connection, IPPROTO_TCP } from './core/types.js'

/** More connections of its own than that are not kept by a web server. */
const CAPACITY = 65_536
const FOR_EVER = 0x7fffffff

/** A set of TCP connections. */
export class Connections {
  readonly table: SessionTable

  /** @param seed as that of a SessionTable */
  constructor(seed: Uint32Array) {
    this.table = new SessionTable({ capacity: CAPACITY, tcpTimeout: FOR_EVER, udpTimeout: FOR_EVER, seed })
  }

  add({ family, local, localPort, remote, remotePort }: Connection): void {
    this.table.seen(family, IPPROTO_TCP, local, localPort, remote, remotePort, 0)
  }

  has({ family, local, localPort, remote, remotePort }: Connection): boolean {
    const silence = this.table.silence(family, IPPROTO_TCP, local, localPort, remote, remotePort, 0)
    return silence < Number.POSITIVE_INFINITY
  }
}

/** What the kernel says of the connections that have a socket. */
export interface Witnesses {
  /** Ports on which somebody listens now. */
  readonly listening: ReadonlySet<number>
  /** Connection tracking has seen this host call. */
  readonly called: Connections
  /** Connection tracking has seen the other end call. */
  readonly came: Connections
}

/**
 * The TCP connections that this host has opened itself, from before the policy that is in force. Their packets are
 * judged, even where connection tracking takes them for answers: it may have come to know them by a packet of the other
 * end (nf_conntrack_tcp_loose).
 */
export class Opened {
  /** For the packet path: the same as `connections`. */
  readonly set: Connections
  /** What was found last. */
  connections: readonly Connection[] = []

  constructor(seed: Uint32Array) {
    this.set = new Connections(seed)
  }

  /** What an earlier run of this service has found. */
  remember(connections: readonly Connection[]): void {
    for (const each of connections) this.set.add(each)
  }

  /**
   * Finds them among the connections that have a socket: those that this host was seen to call, and those that neither a
   * listening port nor a call of the other end explains. What has no socket any more is dropped.
   */
  find(connections: readonly Connection[], { listening, called, came }: Witnesses): void {
    const isUnexplained = (each: Connection) => !listening.has(each.localPort) && !came.has(each)
    this.connections = connections
      .filter((each) => this.set.has(each) || called.has(each) || isUnexplained(each))
      .slice(0, CAPACITY)
    this.set.table.clear()
    this.remember(this.connections)
  }
}
