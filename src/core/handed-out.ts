/**
 * Whose packet it is. The kernel's user of a packet is whoever has made its socket, and root makes those of services and hands
 * them on: to the workers of a web server, to units with socket activation. Such a socket can be turned around (shutdown,
 * then connect), but it keeps the port that it was bound to. So what root sends is root's only where the kernel has
 * chosen the port.
 */
import type { Packet } from './packet.js'
import { IPPROTO_TCP, IPPROTO_UDP, isIn, type PortRange } from './types.js'

export const ROOT = 0

/** Whether packets are of a protocol that has ports; `any`: some are. */
export type Ported = 'ported' | 'portless' | 'any'

/** Whether a packet may come from a socket that its user has handed on. @param handedOut ports that the kernel chooses from */
export function mayBeHandedOn(packet: Packet, uid: number, handedOut: PortRange): boolean {
  const hasPorts = packet.protocol === IPPROTO_TCP || packet.protocol === IPPROTO_UDP
  return uid === ROOT && hasPorts && !isIn(handedOut, packet.sourcePort)
}

/** The same as matches of nftables, one of which must fit. @param protocols what of those that come here has ports */
export function userMatches(
  users: readonly number[],
  { first, last }: PortRange,
  protocols: Ported,
): string[] {
  const of = (ids: readonly number[]) => (ids.length === 0 ? [] : [`meta skuid { ${ids.join(', ')} }`])
  if (!users.includes(ROOT) || protocols === 'portless') return of(users)
  const others = of(users.filter((uid) => uid !== ROOT))
  const root = (more: string) => `meta skuid ${ROOT} ${more}`
  const chosen = `th sport ${first}-${last}`
  if (protocols === 'ported') return [root(chosen), ...others]
  return [root(`meta l4proto { tcp, udp } ${chosen}`), root('meta l4proto != { tcp, udp }'), ...others]
}
