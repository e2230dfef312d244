import { readFileSync } from 'node:fs'
import type { Service } from '../config.js'
import type { Services } from '../core/answers.js'
import type { ServicePorts } from '../core/ruleset.js'

const PORTS = 65536
const UNPRIVILEGED_START = '/proc/sys/net/ipv4/ip_unprivileged_port_start'

/** The first port that any user may bind; below it a socket proves privilege (ip-sysctl). */
export function unprivilegedPortStart(): number {
  try {
    return Number(readFileSync(UNPRIVILEGED_START, 'utf8'))
  } catch {
    return 1024
  }
}

export const noServices = (): Services => ({ tcp: new Uint8Array(PORTS), udp: new Uint8Array(PORTS) })

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
  } else for (const { protocol, port } of declared) services[protocol][port] = 1
}

/**
 * The services that the kernel's own rules may rely on while this service is silent: no ordinary user can have taken such
 * a port unless the operator said so.
 */
export function trustedServices(
  { tcp, udp }: Services,
  declared: 'auto' | readonly Service[],
  firstUnprivileged: number,
): ServicePorts {
  const trusted = (port: number) => declared !== 'auto' || port < firstUnprivileged
  const ports = (flags: Uint8Array) => {
    const found: number[] = []
    for (let port = flags.indexOf(1); port >= 0; port = flags.indexOf(1, port + 1)) found.push(port)
    return found.filter(trusted)
  }
  return { tcp: ports(tcp), udp: ports(udp) }
}
