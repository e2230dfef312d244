/** The conditions of a rule, each by itself: `fits` in policy.ts and `missesOf` in explain.ts ask the same ones. */

import {
  fitsPorts,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  type PortRange,
} from '../packet/ip.js'
import type { Packet } from '../packet/packet.js'
import type { Sender } from '../packet/sender.js'
import { mayBeInherited, type RootPorts } from './inherited-sockets.js'
import type { Protocol, Rule, RuleSpec } from './rule.js'
import type { UsedAddresses } from './used-addresses.js'

/**
 * Whether the sender is in one of the units. A packet without a user has no socket that the kernel could be
 * asked for.
 */
export const fitsUnit = (units: readonly string[], sender: Sender): boolean =>
  sender.uid === -1 ? sender.known : sender.isOf(units)

/** Whether a rule has expired. @param now milliseconds since the epoch */
export const isExpired = ({ expires }: Pick<RuleSpec, 'expires'>, now: number): boolean =>
  expires !== undefined && expires <= now

/** Whether the destination is an address of the rule now. */
export const fitsDestination = ({ fixed, addresses }: Rule, { family, destination }: Packet): boolean =>
  fixed.has(family, destination) || addresses.has(family, destination)

/** Whether the destination was an address of the rule's names. */
export const fitsFormerAddress = ({ formerAddresses }: Rule, { family, destination }: Packet): boolean =>
  formerAddresses.has(family, destination)

/** Whether a packet has the protocol of a rule. */
export function fitsProtocol(wanted: Protocol, { protocol, family }: Packet): boolean {
  if (wanted === 'any') return true
  if (wanted === 'tcp') return protocol === IPPROTO_TCP
  if (wanted === 'udp') return protocol === IPPROTO_UDP
  return protocol === (family === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)
}

/** Whether a packet is TCP or UDP to one of the ports. */
export function fitsPort(ports: readonly PortRange[], { protocol, destinationPort }: Packet): boolean {
  return (protocol === IPPROTO_TCP || protocol === IPPROTO_UDP) && fitsPorts(ports, destinationPort)
}

/** Whether a packet's user is one of a rule's. @param ports a policy */
export function fitsUser(
  { sourcePort }: RuleSpec,
  users: readonly number[],
  packet: Packet,
  { uid, known }: Sender,
  ports: RootPorts,
): boolean {
  if (uid === -1) return known
  return users.includes(uid) && (sourcePort !== undefined || !mayBeInherited(packet, uid, ports))
}

/**
 * Whether a packet may go to a former address of a rule: its connection was approved before, or its user has used the
 * address lately. @param now milliseconds since the epoch
 */
export const mayUseFormer = (
  { used }: { readonly used: Pick<UsedAddresses, 'has'> },
  { spec }: Rule,
  { family, destination }: Packet,
  { uid, known }: Sender,
  now: number,
): boolean => known || used.has(spec.name, uid, family, destination, now)
