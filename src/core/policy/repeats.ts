/** Decides which blocked packets the kernel may refuse itself when they come again. */

import { IPPROTO_TCP, IPPROTO_UDP } from '../packet/ip.js'
import type { Packet } from '../packet/packet.js'
import type { Sender } from '../packet/sender.js'
import type { Inbound } from '../session/client-replies.js'
import { fitsPort, fitsProtocol } from './conditions.js'
import { ROOT } from './inherited-sockets.js'
import type { Rule, RuleSpec } from './rule.js'

/** The conditions of a rule that the kernel remembers of a packet, without its addresses. */
export type RuleShape = Pick<RuleSpec, 'protocol' | 'ports' | 'users'>

/**
 * Returns the shapes of the rules that may fit a packet which they did not fit a moment ago: an address of a name is
 * learned, or another unit or source port sends. Many rules have the same shape.
 */
export function changingShapes(rules: readonly Rule[]): readonly RuleShape[] {
  const shapes = new Map<string, RuleShape>()
  for (const { spec } of rules) {
    const { protocol, ports, users, names, domains, units, sourcePort } = spec
    if (names.length + domains.length === 0 && units === undefined && sourcePort === undefined) continue
    shapes.set(JSON.stringify([protocol, ports, users]), { protocol, ports, users })
  }
  return [...shapes.values()]
}

/**
 * Whether each packet of the same user to the same protocol, address and port is blocked, too, as long as the policy
 * stays. What root sends depends on its socket as well, and a callback on its client.
 * @param shapes see changingShapes
 */
export function isBlockedAgain(
  shapes: readonly RuleShape[],
  packet: Packet,
  { uid, isForeign }: Sender,
  { callbacks }: Pick<Inbound, 'callbacks'>,
): boolean {
  if (uid <= ROOT || isForeign) return false
  if (packet.protocol !== IPPROTO_TCP && packet.protocol !== IPPROTO_UDP) return false
  if (callbacks.mayAllow(packet)) return false
  for (let i = 0; i < shapes.length; i++) if (fitsShape(shapes[i]!, packet, uid)) return false
  return true
}

const fitsShape = ({ protocol, ports, users }: RuleShape, packet: Packet, uid: number): boolean =>
  fitsProtocol(protocol, packet) &&
  (ports.length === 0 || fitsPort(ports, packet)) &&
  (users === undefined || users.includes(uid))
