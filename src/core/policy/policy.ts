import { answersResolver, isNamesCanary, mayAsk, type QueryPolicy } from '../dns/query-policy.js'
import { AddressSet } from '../packet/address-set.js'
import { type Family, IPPROTO_TCP, type Prefix, type Words } from '../packet/ip.js'
import { isNtpRequest } from '../packet/ntp.js'
import type { Packet } from '../packet/packet.js'
import { PrefixSet } from '../packet/prefix-set.js'
import type { Sender } from '../packet/sender.js'
import { type Inbound, replyKindOf } from '../session/client-replies.js'
import { noServices } from '../session/services.js'
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
import { asksForTime, DNS_PORT, isForQueries } from './infrastructure-rules.js'
import type { RootPorts } from './inherited-sockets.js'
import { NameTable } from './name-table.js'
import { changingShapes, type RuleShape } from './repeats.js'
import { type Decision, REASONS, type Reason, type Rule, type RuleSpec } from './rule.js'
import { RuleIndex } from './rule-index.js'
import type { UsedAddresses } from './used-addresses.js'

/** All rules, compiled, with the mode and the host's facts that verdicts depend on. */
export interface Policy extends RootPorts {
  readonly mode: 'observe' | 'enforce'
  readonly canary: Endpoint | undefined
  /** The user of the service, whose packets alone are canaries; undefined: any user's. */
  readonly canaryUser?: number | undefined
  /** Who used which addresses of names. */
  readonly used: Pick<UsedAddresses, 'has'>
  /** Further endpoints that canaries go to at present; they are replaced while the policy is in force. */
  moreCanaries?: readonly Endpoint[] | undefined
  /** Ids of the users who update and of the host's own resolvers. */
  readonly trustedUsers: readonly number[]
  /** Ids of the users who are never quarantined: root and trusted users, unless the operator names them. */
  readonly sparedUsers: readonly number[]
  /** Ids of the users of transparent proxies, who send from addresses of others. */
  readonly transparentUsers: readonly number[]
  readonly rules: readonly Rule[]
  /** See changingShapes. */
  readonly changing: readonly RuleShape[]
  /** The rules by protocol, port and address. */
  readonly index: Pick<RuleIndex, 'find'>
  /** The rules by their names and domains. */
  readonly names: NameTable<Rule>
  /** The names that may be asked for; undefined when names are not enforced. */
  readonly queryPolicy: QueryPolicy | undefined
}

/** The TCP port of a host. */
export interface Endpoint {
  readonly family: Family
  readonly words: Words
  readonly port: number
}

const decision = (
  verdict: Decision['verdict'],
  reason: Reason,
  rule?: Rule,
  remember = verdict === 'accept',
): Decision => ({ verdict, reason, rule, remember, reasonIndex: REASONS.indexOf(reason) })

export const MALFORMED = decision('block', 'malformed')
/** Dropped, never refused: a refusal would answer the foreign source. */
export const FOREIGN_SOURCE = decision('block', 'foreign-source')
export const CANARY = decision('block', 'canary')
export const SESSION = decision('accept', 'session')
/** Not remembered: an attacker who forges SYNs must not fill the connection table. */
export const HANDSHAKE = decision('accept', 'session', undefined, false)
/** Not remembered: the next packet may be a query. */
export const REPLY = decision('accept', 'session', undefined, false)
export const CALLBACK = decision('accept', 'callback')
export const QUARANTINED = decision('block', 'quarantined')
export const NOT_NTP = decision('block', 'not-ntp')
export const NAME_NOT_ALLOWED = decision('block', 'name-not-allowed')
export const UNJUDGED_STREAM = decision('block', 'unjudged-stream')
export const NOT_ALLOWLISTED = decision('block', 'not-allowlisted')

const NONE_USED: Policy['used'] = { has: () => false }

/**
 * Makes a policy of rules. @param queryPolicy what may be asked for besides the names of the rules @param rootServices
 * none when not given
 */
export function assemble({
  queryPolicy,
  rootServices = noServices(),
  used = NONE_USED,
  ...rest
}: Omit<Policy, 'changing' | 'index' | 'names' | 'rootServices' | 'used'> &
  Partial<Pick<Policy, 'rootServices' | 'used'>>): Policy {
  const names = new NameTable<Rule>()
  for (const rule of rest.rules) names.add(rule.spec.names, rule.spec.domains, rule)
  const withRuleNames = queryPolicy && {
    ...queryPolicy,
    isAllowed: (name: string) => names.has(name) || queryPolicy.isAllowed(name),
  }
  return {
    ...rest,
    names,
    index: new RuleIndex(rest.rules),
    changing: changingShapes(rest.rules),
    rootServices,
    used,
    queryPolicy: withRuleNames,
  }
}

/** Returns the resolvers of this host in a policy. */
export const resolversOf = ({ rules }: Pick<Policy, 'rules'>): Prefix[] =>
  rules.flatMap(({ spec }) => (isForQueries(spec) ? spec.prefixes : []))

/** Compiles a rule. It has no address of its names yet. */
export function compile(spec: RuleSpec): Rule {
  const key = crypto.getRandomValues(new Uint32Array(2))
  const rule = {
    spec,
    fixed: PrefixSet.of(spec.prefixes),
    addresses: new AddressSet(key),
    formerAddresses: new AddressSet(key),
  } as Rule
  const accept = decision('accept', spec.reason, rule, remembers(spec))
  const acceptTcp = accept.remember ? accept : decision('accept', spec.reason, rule)
  const expired = decision('block', 'address-expired', rule)
  return Object.assign(rule, { accept, acceptTcp, expired })
}

/**
 * Whether an approval that is not TCP is remembered. UDP has no handshake: after the approved sender is gone,
 * another user can take its port and inherit the connection. So rules with users or units judge each packet.
 * TCP approvals are always remembered: what a closed socket still sends has no user, and needs the approval
 * of its connection.
 */
function remembers({ users, units }: RuleSpec): boolean {
  return users === undefined && units === undefined
}

/**
 * Judges one decoded packet. The first reason that applies counts, in the order of REASONS; when names are
 * enforced, packets to resolvers are judged before sessions.
 * @param now milliseconds since the epoch
 */
export function decide(
  policy: Policy,
  packet: Packet,
  sender: Sender,
  inbound: Inbound,
  now: number,
): Decision {
  if (sender.isForeign) return FOREIGN_SOURCE
  if (isOfService(policy, sender) && isCanary(policy, packet)) return CANARY
  if (policy.queryPolicy !== undefined) {
    const decision = judgeToResolver(policy, policy.queryPolicy, packet, sender, inbound, now)
    if (decision !== undefined) return decision
  }
  const reply = replyKindOf(packet, sender, inbound)
  if (reply !== 'none') return reply === 'reply' ? SESSION : HANDSHAKE
  if (inbound.callbacks.allow(packet, sender, inbound.lookUp, inbound.now)) return CALLBACK
  if (sender.isQuarantined) return QUARANTINED
  const { rules, index } = policy
  const found = index.find(packet)
  let otherwise = NOT_ALLOWLISTED
  for (let i = found.from(0); i >= 0; i = found.from(i + 1)) {
    const rule = rules[i]!
    const place = placeOf(policy, rule, packet, sender, now)
    if (place === 'former' && otherwise === NOT_ALLOWLISTED) otherwise = rule.expired
    if (place !== 'current') continue
    // An entry of the operator may allow it all the same.
    if (asksForTime(rule.spec) && !isNtpRequest(packet)) otherwise = NOT_NTP
    else return packet.protocol === IPPROTO_TCP ? rule.acceptTcp : rule.accept
  }
  return otherwise
}

/**
 * Whether the content of an accepted packet was judged, not its headers alone. What is sent must be the same content.
 */
export function isByContent({ queryPolicy }: Pick<Policy, 'queryPolicy'>, decision: Decision): boolean {
  if (decision === REPLY) return true
  const { verdict, rule } = decision
  if (verdict !== 'accept' || rule === undefined) return false
  return asksForTime(rule.spec) || (queryPolicy !== undefined && isForQueries(rule.spec))
}

/**
 * Judges a packet to a resolver as a query, even when the resolver seems to be a client of this host: an
 * accomplice who forges its address can make it one. Returns undefined when the packet goes elsewhere.
 */
function judgeToResolver(
  policy: Policy,
  queryPolicy: QueryPolicy,
  packet: Packet,
  sender: Sender,
  inbound: Inbound,
  now: number,
): Decision | undefined {
  if (packet.destinationPort !== DNS_PORT) return undefined
  const { rules, index } = policy
  const found = index.find(packet)
  for (let i = found.from(0); i >= 0; i = found.from(i + 1)) {
    const rule = rules[i]!
    if (rule.spec.reason !== 'resolver' || !fits(policy, rule, packet, sender, now)) continue
    if (!answersResolver(packet)) return judgeQuestion(packet, queryPolicy, rule, isOfService(policy, sender))
    const isReply = sender.isReply || replyKindOf(packet, sender, inbound) !== 'none'
    return isReply ? REPLY : NAME_NOT_ALLOWED
  }
  return undefined
}

function judgeQuestion(packet: Packet, queryPolicy: QueryPolicy, { accept }: Rule, isOwn: boolean): Decision {
  if (mayAsk(packet, queryPolicy)) return accept
  return isOwn && isNamesCanary(packet) ? CANARY : NAME_NOT_ALLOWED
}

const isOfService = ({ canaryUser }: Policy, { uid }: Sender) =>
  canaryUser === undefined || canaryUser === uid

const NO_ENDPOINTS: readonly Endpoint[] = []

function isCanary({ canary, moreCanaries = NO_ENDPOINTS }: Policy, packet: Packet): boolean {
  if (canary !== undefined && isFor(packet, canary)) return true
  for (let i = 0; i < moreCanaries.length; i++) if (isFor(packet, moreCanaries[i]!)) return true
  return false
}

function isFor(packet: Packet, endpoint: Endpoint): boolean {
  const { destination } = packet
  return (
    packet.destinationPort === endpoint.port &&
    packet.protocol === IPPROTO_TCP &&
    packet.family === endpoint.family &&
    destination[0] === endpoint.words[0] &&
    destination[1] === endpoint.words[1] &&
    destination[2] === endpoint.words[2] &&
    destination[3] === endpoint.words[3]
  )
}

/**
 * Whether a packet fits a rule. `missesOf` in explain.ts finds all conditions that it misses, by the same
 * functions.
 */
export const fits = (policy: Policy, rule: Rule, packet: Packet, sender: Sender, now: number): boolean =>
  placeOf(policy, rule, packet, sender, now) === 'current'

/** @returns `current` when a packet fits a rule; `former` when all but that it goes to a former address, which is over */
function placeOf(
  policy: Policy,
  rule: Rule,
  packet: Packet,
  sender: Sender,
  now: number,
): 'current' | 'former' | undefined {
  const { spec } = rule
  if (!fitsProtocol(spec.protocol, packet)) return undefined
  if (spec.ports.length > 0 && !fitsPort(spec.ports, packet)) return undefined
  if (spec.sourcePort !== undefined && spec.sourcePort !== packet.sourcePort) return undefined
  if (spec.users !== undefined && !fitsUser(spec, spec.users, packet, sender, policy)) return undefined
  if (isExpired(spec, now)) return undefined
  const isCurrent = fitsDestination(rule, packet)
  if (!isCurrent && !fitsFormerAddress(rule, packet)) return undefined
  // The last condition, since it asks the kernel.
  if (spec.units !== undefined && !fitsUnit(spec.units, sender)) return undefined
  return isCurrent || mayUseFormer(policy, rule, packet, sender, now) ? 'current' : 'former'
}
