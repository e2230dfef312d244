/**
 * Decides whether another user may be the sender of root's packets. The kernel reports the user who made the
 * socket. Root makes the sockets of services and hands them to other users: to the workers of a web server,
 * to units with socket activation. An attacker there can reuse such a socket for a connection of his own
 * (shutdown, then connect), but it keeps the port that it was bound to. So a packet counts as root's only
 * when the kernel chose its port.
 */

import { IPPROTO_TCP, IPPROTO_UDP, isIn, type PortRange } from '../packet/ip.js'
import type { Packet } from '../packet/packet.js'

/** The user id of root. */
export const ROOT = 0

/**
 * Whether a packet may come from a socket that root made and handed to another user.
 * @param uid the user who made the socket @param ephemeralPorts the ports that the kernel chooses from
 */
export function mayBeInherited(packet: Packet, uid: number, ephemeralPorts: PortRange): boolean {
  const hasPorts = packet.protocol === IPPROTO_TCP || packet.protocol === IPPROTO_UDP
  return uid === ROOT && hasPorts && !isIn(ephemeralPorts, packet.sourcePort)
}
