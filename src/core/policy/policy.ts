import { answersResolver, isNamesCanary, mayAsk, type QueryPolicy } from '../dns/query-policy.js'
import { AddressSet } from '../packet/address-set.js'
import {
  type Family,
  fitsPorts,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  type PortRange,
  type Prefix,
  type Words,
} from '../packet/ip.js'
import { isNtpRequest } from '../packet/ntp.js'
import type { Packet } from '../packet/packet.js'
import { PrefixSet } from '../packet/prefix-set.js'
import type { Sender } from '../packet/sender.js'
import { type Inbound, replyKindOf } from '../session/client-replies.js'
import { mayBeInherited } from './inherited-sockets.js'
import { NameTable } from './name-table.js'
import type { Origin } from './origin.js'

/**
 * The reasons of verdicts, the same words in log, metrics, status and tests:
 * - `malformed`: the headers cannot be read
 * - `foreign-source`: the source is no address of this host
 * - `canary`: the service's own proof that blocking works, by a connection and, when names are enforced, by a
 *   query
 * - `session`: a reply in a client's session that conntrack does not know
 * - `callback`: a connection back to the client of a service that has callbacks
 * - `resolver`, `time`, `dhcp`: the host's own infrastructure
 * - `not-ntp`: a datagram to a time server that is no request of NTP
 * - `name-not-allowed`: a query for a name outside the allowlist, when names are enforced
 * - `mirror`: an update mirror, its port, and a user who updates
 * - `rule`: an `allow` entry of the operator
 * - `not-allowlisted`: no rule matches
 */
export const REASONS = [
  'malformed',
  'foreign-source',
  'canary',
  'session',
  'callback',
  'resolver',
  'time',
  'dhcp',
  'not-ntp',
  'name-not-allowed',
  'mirror',
  'rule',
  'not-allowlisted',
] as const
export type Reason = (typeof REASONS)[number]

/** The protocol of a rule; `icmp` is ICMP for IPv4 and ICMPv6 for IPv6. */
export type Protocol = 'tcp' | 'udp' | 'icmp' | 'any'

/**
 * The conditions of a rule. A packet must fit all of them; an empty or undefined condition fits every packet.
 */
export interface RuleSpec {
  readonly reason: 'resolver' | 'time' | 'dhcp' | 'mirror' | 'rule'
  /** The unique name that the operator knows from the configuration. */
  readonly name: string
  readonly protocol: Protocol
  /** Destination ports; only TCP and UDP have any. */
  readonly ports: readonly PortRange[]
  /** The source port that the packet must have. */
  readonly sourcePort?: number | undefined
  /**
   * User ids. A packet without a user fits only when its connection was approved before; one of root's only
   * from a port that the kernel chooses, or from `sourcePort`.
   */
  readonly users?: readonly number[] | undefined
  /**
   * Names of systemd units and slices, one of which the sender must be in. The kernel's copy has no such
   * rule.
   */
  readonly units?: readonly string[] | undefined
  readonly prefixes: readonly Prefix[]
  /** Host names whose addresses are added as they are learned. */
  readonly names: readonly string[]
  /** Domains whose names do the same: `example.org` for `*.example.org`. */
  readonly domains: readonly string[]
  /** Whether the names come from an SRV answer, and may be others tomorrow. */
  readonly isFromSrv?: boolean | undefined
  /** When the rule expires: milliseconds since the epoch. */
  readonly expires?: number | undefined
  readonly origin?: Origin | undefined
}

/** A compiled rule of a policy. */
export interface Rule {
  readonly spec: RuleSpec
  /** The fixed prefixes of the rule. */
  readonly fixed: PrefixSet
  /** The current addresses of its names. */
  readonly addresses: AddressSet
  /** The former addresses of its names: a connection from that time goes on, no new one begins. */
  readonly formerAddresses: AddressSet
  /** The decision for a packet that is not TCP, and the one for TCP. */
  readonly accept: Decision
  readonly acceptTcp: Decision
}

/** Verdict, reason and rule for one packet. */
export interface Decision {
  readonly verdict: 'accept' | 'block'
  readonly reason: Reason
  readonly rule: Rule | undefined
  /**
   * Whether the approval is remembered for the whole connection, so that its further packets are not judged.
   */
  readonly remember: boolean
  /** Index of `reason` in REASONS: for counters in arrays. */
  readonly reasonIndex: number
}

/** All rules, compiled, with the mode and the host's facts that verdicts depend on. */
export interface Policy {
  readonly mode: 'observe' | 'enforce'
  readonly canary: Endpoint | undefined
  /** Further endpoints that canaries go to at present; they are replaced while the policy is in force. */
  moreCanaries?: readonly Endpoint[] | undefined
  /** The ports that the kernel chooses from for sockets without a given one. */
  readonly ephemeralPorts: PortRange
  /** Ids of the users who update and of the host's own resolvers. */
  readonly trustedUsers: readonly number[]
  /** Ids of the users of transparent proxies, who send from addresses of others. */
  readonly transparentUsers: readonly number[]
  readonly rules: readonly Rule[]
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
export const NOT_NTP = decision('block', 'not-ntp')
export const NAME_NOT_ALLOWED = decision('block', 'name-not-allowed')
export const NOT_ALLOWLISTED = decision('block', 'not-allowlisted')

/** Makes a policy of rules. @param queryPolicy what may be asked for besides the names of the rules */
export function assemble({ queryPolicy, ...rest }: Omit<Policy, 'names'>): Policy {
  const names = new NameTable<Rule>()
  for (const rule of rest.rules) names.add(rule.spec.names, rule.spec.domains, rule)
  const withRuleNames = queryPolicy && {
    ...queryPolicy,
    isAllowed: (name: string) => names.has(name) || queryPolicy.isAllowed(name),
  }
  return { ...rest, names, queryPolicy: withRuleNames }
}

/** Returns the resolvers of this host in a policy. */
export const resolversOf = ({ rules }: Pick<Policy, 'rules'>): Prefix[] =>
  rules.flatMap(({ spec }) => (spec.reason === 'resolver' ? spec.prefixes : []))

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
  return Object.assign(rule, { accept, acceptTcp })
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
  if (isCanary(policy, packet)) return CANARY
  if (policy.queryPolicy !== undefined) {
    const decision = judgeToResolver(policy, policy.queryPolicy, packet, sender, inbound, now)
    if (decision !== undefined) return decision
  }
  const reply = replyKindOf(packet, sender, inbound)
  if (reply !== 'none') return reply === 'reply' ? SESSION : HANDSHAKE
  if (inbound.callbacks.allow(packet, sender, inbound.lookUp, inbound.now)) return CALLBACK
  const { rules } = policy
  let otherwise = NOT_ALLOWLISTED
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i]!
    if (!fits(policy, rule, packet, sender, now)) continue
    // An entry of the operator may allow it all the same.
    if (rule.spec.reason === 'time' && !isNtpRequest(packet)) otherwise = NOT_NTP
    else return packet.protocol === IPPROTO_TCP ? rule.acceptTcp : rule.accept
  }
  return otherwise
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
  const { rules } = policy
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i]!
    if (rule.spec.reason !== 'resolver' || !fits(policy, rule, packet, sender, now)) continue
    if (!answersResolver(packet)) return judgeQuestion(packet, queryPolicy, rule)
    const isReply = sender.isReply || replyKindOf(packet, sender, inbound) !== 'none'
    return isReply ? REPLY : NAME_NOT_ALLOWED
  }
  return undefined
}

function judgeQuestion(packet: Packet, queryPolicy: QueryPolicy, { accept }: Rule): Decision {
  if (mayAsk(packet, queryPolicy)) return accept
  return isNamesCanary(packet) ? CANARY : NAME_NOT_ALLOWED
}

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
export function fits(policy: Policy, rule: Rule, packet: Packet, sender: Sender, now: number): boolean {
  const { spec } = rule
  if (!fitsProtocol(spec.protocol, packet)) return false
  if (spec.ports.length > 0 && !fitsPort(spec.ports, packet)) return false
  if (spec.sourcePort !== undefined && spec.sourcePort !== packet.sourcePort) return false
  if (spec.users !== undefined && !fitsUser(spec, spec.users, packet, sender, policy.ephemeralPorts))
    return false
  if (isExpired(spec, now)) return false
  if (!fitsDestination(rule, packet) && !(sender.known && fitsFormerAddress(rule, packet))) return false
  // The last condition, since it asks the kernel.
  return spec.units === undefined || fitsUnit(spec.units, sender)
}

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

/** Whether a packet's user is one of a rule's. @param ephemeralPorts ports that the kernel chooses from */
export function fitsUser(
  { sourcePort }: RuleSpec,
  users: readonly number[],
  packet: Packet,
  { uid, known }: Sender,
  ephemeralPorts: PortRange,
): boolean {
  if (uid === -1) return known
  return users.includes(uid) && (sourcePort !== undefined || !mayBeInherited(packet, uid, ephemeralPorts))
}
