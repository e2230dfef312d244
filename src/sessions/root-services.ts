import { putLast } from '../core/bounded/put-last.js'
import type { ServicePorts } from '../core/ruleset/ruleset.js'
import { noServices, type Services } from '../core/session/services.js'
import { portsOf } from './service-ports.js'

/** The maximum numbers of TCP ports, and of sockets, that are remembered. */
const MAX_PORTS = 1024
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
  update(listening: Iterable<number>, sockets: Iterable<string>, services: Services): void {
    for (const number of sockets) putLast(this.#sockets, number, true, MAX_SOCKETS)
    for (const port of listening) putLast(this.#tcp, port, true, MAX_PORTS)
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
