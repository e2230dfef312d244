/** Reads the kernel's port ranges: privileged ports, and ephemeral ports. */
import { readFileSync } from 'node:fs'
import type { PortRange } from '../../core/packet/ip.js'

const UNPRIVILEGED_START = '/proc/sys/net/ipv4/ip_unprivileged_port_start'
const PORT_RANGE = '/proc/sys/net/ipv4/ip_local_port_range'

/** Reads the first port that any user may bind; a socket below it proves privilege (ip-sysctl). */
export function unprivilegedPortStart(): number {
  try {
    return Number(readFileSync(UNPRIVILEGED_START, 'utf8'))
  } catch {
    return 1024
  }
}

/** Reads the ports that the kernel chooses from for sockets that do not bind one (ip-sysctl). */
export function readEphemeralPorts(): PortRange {
  try {
    const [first = 32768, last = 60999] = readFileSync(PORT_RANGE, 'utf8').trim().split(/\s+/).map(Number)
    return { first, last }
  } catch {
    return { first: 32768, last: 60999 }
  }
}
