import { areFound, type Service, type Services } from '../config/types.js'
import type { ServicePorts } from '../core/ruleset/ruleset.js'
import type { Services as ServiceFlags } from '../core/session/services.js'

/** The ports of DHCP clients (RFC 2131, RFC 8415): privileged ports that serve no clients. */
const DHCP_CLIENT_PORTS = [68, 546]

/**
 * Sets the flags of the service ports. With `auto` these are all listening TCP ports, and the UDP ports that
 * only a privileged process can bind; an unprivileged user's UDP socket is a service only when the operator
 * declares it. Declared services are services beside those.
 * @param services the flags, which are overwritten @param open open ports @param firstUnprivileged the first
 *   port that any user can bind (ip_unprivileged_port_start)
 */
export function setServices(
  services: ServiceFlags,
  declared: Services,
  open: { tcp: ReadonlySet<number>; udp: ReadonlySet<number> },
  firstUnprivileged: number,
): void {
  services.tcp.fill(0)
  services.udp.fill(0)
  if (areFound(declared)) {
    for (const port of open.tcp) services.tcp[port] = 1
    for (const port of open.udp) if (port < firstUnprivileged) services.udp[port] = 1
    for (const port of DHCP_CLIENT_PORTS) services.udp[port] = 0
  }
  for (const { protocol, port } of namedIn(declared)) services[protocol][port] = 1
}

/** The maximum number of ports per protocol for the kernel: any user can listen on ports. */
const MAX_KERNEL_PORTS = 2048

/**
 * Selects the service ports for the kernel's rules, without ephemeral ports, which soon change. Known ports
 * stay: a user who opens thousands of ports removes no other port.
 */
export class KernelPorts {
  readonly #firstEphemeral: number
  readonly #known = { tcp: new Set<number>(), udp: new Set<number>() }

  /** @param firstEphemeral the first port that the kernel chooses from */
  constructor(firstEphemeral: number) {
    this.#firstEphemeral = firstEphemeral
  }

  /** Returns the ports of these services for the kernel, sorted. */
  of(services: ServiceFlags, declared: Services): ServicePorts {
    const named = namedIn(declared)
    const isNamed = (protocol: string, port: number) =>
      named.some((service) => service.protocol === protocol && service.port === port)
    const ports = (protocol: keyof ServiceFlags) => {
      const known = this.#known[protocol]
      const flags = services[protocol]
      for (const port of known) if (flags[port] !== 1) known.delete(port)
      for (const port of portsOf(flags))
        if (known.size < MAX_KERNEL_PORTS && (port < this.#firstEphemeral || isNamed(protocol, port)))
          known.add(port)
      return [...known].sort((a, b) => a - b)
    }
    return { tcp: ports('tcp'), udp: ports('udp') }
  }
}

/** Returns the ports whose flag is set, in order. */
export function portsOf(flags: Uint8Array): number[] {
  const ports: number[] = []
  for (let port = flags.indexOf(1); port >= 0; port = flags.indexOf(1, port + 1)) ports.push(port)
  return ports
}

/** The services that a list names. */
const namedIn = (services: Services): Service[] =>
  services === 'auto' ? [] : services.flatMap((each) => (each === 'auto' ? [] : [each]))
