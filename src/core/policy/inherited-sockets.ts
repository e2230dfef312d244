/**
 * Decides whether another user may be the sender of root's packets. The kernel reports the user who made the
 * socket. Root makes the sockets of services and hands them to other users: to the workers of a web server,
 * to units with socket activation. An attacker there can reuse such a socket for a connection of his own
 * (shutdown, then connect), but it keeps the port that it was bound to. So a packet counts as root's only
 * when the kernel chose its port, and never from a port of one of root's services.
 */

import { IPPROTO_TCP, IPPROTO_UDP, isIn, type PortRange } from '../packet/ip.js'
import type { Packet } from '../packet/packet.js'
import type { Services } from '../session/services.js'

/** The user id of root. */
export const ROOT = 0

/** The ports that the kernel chooses from, and those among them that are or were ports of root's services. */
export interface RootPorts {
  readonly ephemeralPorts: PortRange
  readonly rootServices: Services
}

/**
 * Whether a packet may come from a socket that root made and handed to another user.
 * @param uid the user who made the socket
 */
export function mayBeInherited(
  { protocol, sourcePort }: Packet,
  uid: number,
  { ephemeralPorts, rootServices }: RootPorts,
): boolean {
  if (uid !== ROOT || (protocol !== IPPROTO_TCP && protocol !== IPPROTO_UDP)) return false
  const services = protocol === IPPROTO_TCP ? rootServices.tcp : rootServices.udp
  return !isIn(ephemeralPorts, sourcePort) || services[sourcePort] === 1
}
