/** Why a packet gets its verdict, and what is in the way of each rule that does not let it pass. */

import type { Packet } from '../packet/packet.js'
import type { Sender } from '../packet/sender.js'
import type { Inbound } from '../session/client-replies.js'
import {
  type Decision,
  decide,
  fitsPort,
  fitsProtocol,
  fitsUnit,
  fitsUser,
  isExpired,
  leadsTo,
  ledTo,
  type Policy,
  type Rule,
} from './policy.js'

/**
 * A condition of a rule that a packet does not fit:
 * - `protocol`, `port`, `source-port`
 * - `user`: the rule is for others
 * - `handed-on`: it is for root, and root's packets are root's only from ports that the kernel chooses
 * - `unit`: it is for those who are in another one
 * - `expired`
 * - `former`: the destination was an address of its names, and is none any more
 * - `destination`: it leads elsewhere
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

/** A rule, and all that keeps it from letting the packet pass; nothing where it fits. */
export interface Candidate {
  readonly rule: Rule
  readonly misses: readonly Miss[]
}

export interface Explanation {
  readonly decision: Decision
  /** All rules, in the order in which they are tried. */
  readonly candidates: readonly Candidate[]
}

/**
 * Decides, and says why.
 * @param inbound which only looks (`onlyLooking`): there is no such packet, and nothing may come of it
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

/** What `fits` in policy.ts fails for, but all of it. */
export function missesOf(policy: Policy, rule: Rule, packet: Packet, sender: Sender, now: number): Miss[] {
  const { spec } = rule
  const { protocol, ports, sourcePort, units } = spec
  const misses: Miss[] = []
  if (!fitsProtocol(protocol, packet)) misses.push('protocol')
  if (ports.length > 0 && !fitsPort(ports, packet)) misses.push('port')
  if (sourcePort !== undefined && sourcePort !== packet.sourcePort) misses.push('source-port')
  const who = userMiss(policy, rule, packet, sender)
  if (who !== undefined) misses.push(who)
  if (units !== undefined && !fitsUnit(units, sender)) misses.push('unit')
  if (isExpired(spec, now)) misses.push('expired')
  const where = placeMiss(rule, packet, sender)
  if (where !== undefined) misses.push(where)
  return misses
}

function userMiss(
  { ephemeralPorts }: Policy,
  { spec }: Rule,
  packet: Packet,
  sender: Sender,
): 'user' | 'handed-on' | undefined {
  const { users } = spec
  if (users === undefined || fitsUser(spec, users, packet, sender, ephemeralPorts)) return undefined
  return users.includes(sender.uid) ? 'handed-on' : 'user'
}

function placeMiss(rule: Rule, packet: Packet, { known }: Sender): 'former' | 'destination' | undefined {
  if (leadsTo(rule, packet)) return undefined
  if (!ledTo(rule, packet)) return 'destination'
  return known ? undefined : 'former'
}

/** How much a miss keeps a rule from being near: another protocol is mostly another matter. */
const WEIGHT: Partial<Record<Miss, number>> = { protocol: 2, destination: 3 }
const NEAR = 2

const distance = ({ misses }: Candidate) => misses.reduce((sum, miss) => sum + (WEIGHT[miss] ?? 1), 0)

/**
 * The rules that come nearest to letting a packet pass. First those that lead to its destination: what is missing there is
 * some word of the rule. Where there is none, those of the operator's that only lead elsewhere.
 */
export function nearest(candidates: readonly Candidate[]): Candidate[] {
  const missing = candidates.filter(({ misses }) => misses.length > 0)
  const there = missing.filter((each) => distance(each) <= NEAR && !isPingRule(each))
  if (there.length > 0) return there.toSorted((a, b) => distance(a) - distance(b) || byOwner(a, b))
  return missing.filter((each) => isOwn(each) && each.misses.length === 1 && each.misses[0] === 'destination')
}

const isOwn = ({ rule }: Candidate) => rule.spec.reason === 'rule'
/** Those of the operator can be changed. */
const byOwner = (a: Candidate, b: Candidate) => Number(isOwn(b)) - Number(isOwn(a))

/** What is allowed to be pinged says nothing of what else may be done with it. */
const isPingRule = ({ rule, misses }: Candidate) =>
  rule.spec.protocol === 'icmp' && misses.includes('protocol')
