import { putLast } from '../core/bounded/put-last.js'
import type { ServicePorts } from '../core/ruleset/ruleset.js'
import { noServices, type Services } from '../core/session/services.js'
import { portsOf } from './service-ports.js'

/** The maximum number of TCP ports that are remembered. */
const MAX_PORTS = 1024

/**
 * Remembers the ports of root's services, also after they have stopped to listen: a process that inherited such a socket
 * can turn it around at any time. When there are too many, the port that has not listened for the longest time is
 * forgotten.
 */
export class RootServices {
  /** A flag for each port that is a service's of root, or was since the start. */
  readonly flags: Services = noServices()
  readonly #tcp = new Map<number, true>()

  /** Takes the ports that serve now. @param listening TCP ports of sockets that root made @param services all services */
  update(listening: Iterable<number>, services: Services): void {
    for (const port of listening) putLast(this.#tcp, port, true, MAX_PORTS)
    this.flags.tcp.fill(0)
    for (const port of this.#tcp.keys()) this.flags.tcp[port] = 1
    for (const port of portsOf(services.udp)) this.flags.udp[port] = 1
  }

  /** Returns these ports for the kernel's rules, sorted. */
  get ports(): ServicePorts {
    return { tcp: portsOf(this.flags.tcp), udp: portsOf(this.flags.udp) }
  }
}
