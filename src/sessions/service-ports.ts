import type { Service } from '../config/config.js'
import type { ServicePorts } from '../core/ruleset/ruleset.js'
import type { Services } from '../core/session/services.js'

/** A DHCP client (RFC 2131, RFC 8415) has a privileged port and serves nobody. */
const DHCP_CLIENTS = [68, 546]

/**
 * Sets the flags of the ports that serve clients. By themselves: every listening TCP port, and UDP ports that only
 * a privileged process can have bound; an ordinary user's UDP socket is no service unless it is declared.
 */
export function setServices(
  services: Services,
  declared: 'auto' | readonly Service[],
  open: { tcp: ReadonlySet<number>; udp: ReadonlySet<number> },
  firstUnprivileged: number,
): void {
  services.tcp.fill(0)
  services.udp.fill(0)
  if (declared === 'auto') {
    for (const port of open.tcp) services.tcp[port] = 1
    for (const port of open.udp) if (port < firstUnprivileged) services.udp[port] = 1
    for (const port of DHCP_CLIENTS) services.udp[port] = 0
  } else for (const { protocol, port } of declared) services[protocol][port] = 1
}

/** Any user can make ports listen: so many and no more are passed on. */
const KERNEL_PORTS = 2048

/**
 * The services that the kernel's own rules are to know: without ports that were handed out and soon change again. Whoever
 * was there first stays: a user who opens thousands of ports pushes nobody out.
 */
export class KernelPorts {
  readonly #firstEphemeral: number
  readonly #known = { tcp: new Set<number>(), udp: new Set<number>() }

  constructor(firstEphemeral: number) {
    this.#firstEphemeral = firstEphemeral
  }

  /** Those of these services, as sorted lists. */
  of(services: Services, declared: 'auto' | readonly Service[]): ServicePorts {
    const isLasting = (port: number) => declared !== 'auto' || port < this.#firstEphemeral
    const ports = (protocol: keyof Services) => {
      const known = this.#known[protocol]
      const flags = services[protocol]
      for (const port of known) if (flags[port] !== 1) known.delete(port)
      for (const port of portsOf(flags)) if (known.size < KERNEL_PORTS && isLasting(port)) known.add(port)
      return [...known].sort((a, b) => a - b)
    }
    return { tcp: ports('tcp'), udp: ports('udp') }
  }
}

/** The ports whose flag is set, in order. */
function portsOf(flags: Uint8Array): number[] {
  const found: number[] = []
  for (let port = flags.indexOf(1); port >= 0; port = flags.indexOf(1, port + 1)) found.push(port)
  return found
}
