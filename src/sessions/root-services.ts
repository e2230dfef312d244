import { putLast } from '../core/bounded/put-last.js'
import type { ServicePorts } from '../core/ruleset/ruleset.js'
import { noServices, type Services } from '../core/session/services.js'
import { portsOf } from './service-ports.js'

/**
 * The maximum numbers of TCP ports, and of sockets, that are remembered after they have stopped to listen. From such a
 * port root opens no connections: 256 are less than one in a hundred of those that the kernel chooses from.
 */
const MAX_PORTS = 256
const MAX_SOCKETS = 4096

/**
 * Remembers the ports of root's services, also after they have stopped to listen: a process that inherited such a socket
 * can turn it around at any time. The socket has another port then, unless its port was chosen by a program; its number
 * stays. When there are too many, what has not listened for the longest time is forgotten.
 */
export class RootServices {
  /** A flag for each port that is a service's of root, or was since the start. */
  readonly flags: Services = noServices()
  readonly #tcp = new Map<number, true>()
  readonly #sockets = new Map<string, true>()

  /**
   * Takes what serves now.
   * @param listening TCP ports of sockets that root made @param sockets their numbers @param services all services
   */
  update(listening: ReadonlySet<number>, sockets: readonly string[], services: Services): void {
    keepLast(this.#sockets, sockets, MAX_SOCKETS)
    keepLast(this.#tcp, [...listening], MAX_PORTS)
    this.flags.tcp.fill(0)
    for (const port of this.#tcp.keys()) this.flags.tcp[port] = 1
    for (const port of portsOf(services.udp)) this.flags.udp[port] = 1
  }

  /** Whether a socket with this number has listened for root. */
  hasListened(number: string | undefined): boolean {
    return number !== undefined && this.#sockets.has(number)
  }

  /** Returns these ports for the kernel's rules, sorted. */
  get ports(): ServicePorts {
    return { tcp: portsOf(this.flags.tcp), udp: portsOf(this.flags.udp) }
  }
}

/** Puts the current entries at the end of a map, and forgets the first ones above `max` others. */
function keepLast<K>(map: Map<K, true>, current: readonly K[], max: number): void {
  for (const key of current) putLast(map, key, true, Number.POSITIVE_INFINITY)
  for (const key of map.keys()) {
    if (map.size <= max + current.length) return
    map.delete(key)
  }
}
