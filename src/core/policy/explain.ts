/**
 * Explains the verdict of a packet: for each rule that does not match, all conditions that the packet misses.
 */

import type { Packet } from '../packet/packet.js'
import type { Sender } from '../packet/sender.js'
import type { Inbound } from '../session/client-replies.js'
import {
  fitsDestination,
  fitsFormerAddress,
  fitsPort,
  fitsProtocol,
  fitsUnit,
  fitsUser,
  isExpired,
  mayUseFormer,
} from './conditions.js'
import { decide, type Policy } from './policy.js'
import type { Decision, Rule } from './rule.js'

/**
 * A condition of a rule that a packet misses:
 * - `protocol`, `port`, `source-port`
 * - `user`: the rule is for other users
 * - `handed-on`: the rule is for root, and the socket may be inherited: the kernel did not choose its port
 * - `unit`: the rule is for other units
 * - `expired`: the rule has expired
 * - `former`: the destination was an address of the rule's names, and no longer is
 * - `destination`: the rule has other destinations
 */
export type Miss =
  | 'protocol'
  | 'port'
  | 'source-port'
  | 'user'
  | 'handed-on'
  | 'unit'
  | 'expired'
  | 'former'
  | 'destination'

/** A rule, and all conditions of it that the packet misses; none when the rule matches. */
export interface Candidate {
  readonly rule: Rule
  readonly misses: readonly Miss[]
}

/** A decision, and what each rule had to do with it. */
export interface Explanation {
  readonly decision: Decision
  /** All rules, in the order in which they are tried. */
  readonly candidates: readonly Candidate[]
}

/**
 * Decides like `decide`, and explains the decision.
 * @param inbound a read-only view (`readOnly`): the packet does not exist, so nothing may change because of
 *   it
 * @param now milliseconds since the epoch
 */
export const explain = (
  policy: Policy,
  packet: Packet,
  sender: Sender,
  inbound: Inbound,
  now: number,
): Explanation => ({
  decision: decide(policy, packet, sender, inbound, now),
  candidates: policy.rules.map((rule) => ({ rule, misses: missesOf(policy, rule, packet, sender, now) })),
})

/** Returns all conditions that the packet misses; `fits` in policy.ts stops at the first one. */
export function missesOf(policy: Policy, rule: Rule, packet: Packet, sender: Sender, now: number): Miss[] {
  const { spec } = rule
  const { protocol, ports, sourcePort, units } = spec
  const misses: Miss[] = []
  if (!fitsProtocol(protocol, packet)) misses.push('protocol')
  if (ports.length > 0 && !fitsPort(ports, packet)) misses.push('port')
  if (sourcePort !== undefined && sourcePort !== packet.sourcePort) misses.push('source-port')
  const user = userMiss(policy, rule, packet, sender)
  if (user !== undefined) misses.push(user)
  if (units !== undefined && !fitsUnit(units, sender)) misses.push('unit')
  if (isExpired(spec, now)) misses.push('expired')
  const destination = destinationMiss(policy, rule, packet, sender, now)
  if (destination !== undefined) misses.push(destination)
  return misses
}

function userMiss(
  policy: Policy,
  { spec }: Rule,
  packet: Packet,
  sender: Sender,
): 'user' | 'handed-on' | undefined {
  const { users } = spec
  if (users === undefined || fitsUser(spec, users, packet, sender, policy)) return undefined
  return users.includes(sender.uid) ? 'handed-on' : 'user'
}

function destinationMiss(
  policy: Policy,
  rule: Rule,
  packet: Packet,
  sender: Sender,
  now: number,
): 'former' | 'destination' | undefined {
  if (fitsDestination(rule, packet)) return undefined
  if (!fitsFormerAddress(rule, packet)) return 'destination'
  return mayUseFormer(policy, rule, packet, sender, now) ? undefined : 'former'
}

/**
 * How far a miss puts a rule from the packet (1 when not listed): another protocol is mostly another purpose.
 */
const WEIGHT: Partial<Record<Miss, number>> = { protocol: 2, destination: 3 }
/** The largest distance at which a rule is near. */
const NEAR = 2

/** Returns the sum of the weights of a rule's misses. */
const distance = ({ misses }: Candidate) => misses.reduce((sum, miss) => sum + (WEIGHT[miss] ?? 1), 0)

/**
 * Returns the rules that nearly match a packet. These are the rules with its destination: some other
 * condition has to be changed. When there is none, these are the operator's rules that miss the destination
 * only.
 */
export function nearest(candidates: readonly Candidate[]): Candidate[] {
  const missing = candidates.filter(({ misses }) => misses.length > 0)
  const near = missing.filter((each) => distance(each) <= NEAR && !isPingRule(each))
  if (near.length > 0) return near.toSorted((a, b) => distance(a) - distance(b) || byOwner(a, b))
  return missing.filter(
    (each) => isOperators(each) && each.misses.length === 1 && each.misses[0] === 'destination',
  )
}

const isOperators = ({ rule }: Candidate) => rule.spec.reason === 'rule'
/** Puts the operator's rules first: the operator can change them. */
const byOwner = (a: Candidate, b: Candidate) => Number(isOperators(b)) - Number(isOperators(a))

/** Whether a rule allows ping and the packet is none: allowed ping suggests no other use of the host. */
const isPingRule = ({ rule, misses }: Candidate) =>
  rule.spec.protocol === 'icmp' && misses.includes('protocol')
