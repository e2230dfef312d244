import { SessionTable } from './core/sessions.js'
import { type Connection, IPPROTO_TCP } from './core/types.js'
import type { Flow } from './kernel/conntrack-wire.js'

/** More connections of its own than that are not kept by a web server. */
const CAPACITY = 65_536
const FOR_EVER = 0x7fffffff

export interface OpenedOptions {
  readonly seed: Uint32Array
  /** Those of them that connection tracking has told of came in, whatever port they are on. */
  readonly sessions: SessionTable
}

/**
 * The TCP connections that this host has opened itself, from before the policy that is in force. Their packets are
 * judged, even where connection tracking takes them for answers: it may have come to know them by a packet of the other
 * end (nf_conntrack_tcp_loose).
 */
export class Opened {
  readonly table: SessionTable
  /** What was found last. */
  connections: readonly Connection[] = []
  readonly #options: OpenedOptions

  constructor(options: OpenedOptions) {
    this.#options = options
    this.table = tableOf(options.seed)
  }

  /** What an earlier run of this service has found. */
  remember(connections: readonly Connection[], now: number): void {
    for (const connection of connections) note(this.table, connection, now)
  }

  /** A list to note down what connection tracking says that this host has called. */
  newCalls(): Calls {
    return new Calls(this.#options.seed)
  }

  /**
   * Finds them among the connections that have a socket: those that this host has called, and those that no listening
   * port and no word of connection tracking explains. What has no socket any more is dropped.
   */
  find(connections: readonly Connection[], listening: ReadonlySet<number>, calls: Calls, now: number): void {
    const isUnexplained = (each: Connection) =>
      !listening.has(each.localPort) && !has(this.#options.sessions, each, now)
    this.connections = connections
      .filter((each) => has(this.table, each, now) || calls.has(each, now) || isUnexplained(each))
      .slice(0, CAPACITY)
    this.table.clear()
    this.remember(this.connections, now)
  }
}

/** What this host has called, as connection tracking says. */
class Calls {
  readonly #table: SessionTable

  constructor(seed: Uint32Array) {
    this.#table = tableOf(seed)
  }

  note({ family, source, sourcePort, destination, destinationPort }: Flow): void {
    const [local, localPort, remote, remotePort] = [destination, destinationPort, source, sourcePort]
    note(this.#table, { family, local, localPort, remote, remotePort }, 0)
  }

  has(connection: Connection, now: number): boolean {
    return has(this.#table, connection, now)
  }
}

function tableOf(seed: Uint32Array): SessionTable {
  return new SessionTable({ capacity: CAPACITY, tcpTimeout: FOR_EVER, udpTimeout: FOR_EVER, seed })
}

function note(table: SessionTable, connection: Connection, now: number): void {
  const { family, local, localPort, remote, remotePort } = connection
  table.seen(family, IPPROTO_TCP, local, localPort, remote, remotePort, now)
}

function has(table: SessionTable, connection: Connection, now: number): boolean {
  const { family, local, localPort, remote, remotePort } = connection
  return (
    table.silence(family, IPPROTO_TCP, local, localPort, remote, remotePort, now) < Number.POSITIVE_INFINITY
  )
}
