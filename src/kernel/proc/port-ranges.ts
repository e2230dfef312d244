/** Port ranges of the kernel: which ports are privileged, and which it chooses for sockets that ask for none. */
import { readFileSync } from 'node:fs'
import type { PortRange } from '../../core/packet/ip.js'

const UNPRIVILEGED_START = '/proc/sys/net/ipv4/ip_unprivileged_port_start'
const PORT_RANGE = '/proc/sys/net/ipv4/ip_local_port_range'

/** The first port that any user may bind; below it a socket proves privilege (ip-sysctl). */
export function unprivilegedPortStart(): number {
  try {
    return Number(readFileSync(UNPRIVILEGED_START, 'utf8'))
  } catch {
    return 1024
  }
}

/** The ports that the kernel chooses from for sockets that ask for none (ip-sysctl). */
export function readEphemeralPorts(): PortRange {
  try {
    const [first = 32768, last = 60999] = readFileSync(PORT_RANGE, 'utf8').trim().split(/\s+/).map(Number)
    return { first, last }
  } catch {
    return { first: 32768, last: 60999 }
  }
}
