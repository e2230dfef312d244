/**
 * Whose packet it is. The kernel's user of a packet is whoever has made its socket, and root makes those of services and hands
 * them on: to the workers of a web server, to units with socket activation. Such a socket can be turned around (shutdown,
 * then connect), but it keeps the port that it was bound to. So what root sends is root's only where the kernel has
 * chosen the port.
 */

import { IPPROTO_TCP, IPPROTO_UDP, isIn, type PortRange } from '../packet/ip.js'
import type { Packet } from '../packet/packet.js'

export const ROOT = 0

/** Whether a packet may come from a socket that its user has handed on. @param ephemeralPorts ports that the kernel chooses from */
export function mayBeInherited(packet: Packet, uid: number, ephemeralPorts: PortRange): boolean {
  const hasPorts = packet.protocol === IPPROTO_TCP || packet.protocol === IPPROTO_UDP
  return uid === ROOT && hasPorts && !isIn(ephemeralPorts, packet.sourcePort)
}
