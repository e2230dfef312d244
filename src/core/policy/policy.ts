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
import type { Packet } from '../packet/packet.js'
import { PrefixSet } from '../packet/prefix-set.js'
import type { Sender } from '../packet/sender.js'
import { answersClient, type Inbound } from '../session/client-replies.js'
import { mayBeInherited } from './inherited-sockets.js'
import { NameTable } from './name-table.js'
import type { Origin } from './origin.js'

/**
 * Why a packet got its verdict; the same word in log, metrics, status and tests:
 * - `malformed`: its headers cannot be read whole
 * - `canary`: the service's own proof that blocking works, by a connection and, where names are enforced, by a name
 * - `session`: it answers an established-inbound session that conntrack does not know
 * - `callback`: it opens a connection back to the client of a service that has such callbacks
 * - `resolver`, `time`, `dhcp`: the host's own infrastructure
 * - `name-not-allowed`: it asks a resolver for a name outside the allowlist, and names are enforced
 * - `mirror`: an update mirror, its port, and a user who updates
 * - `rule`: an `allow` entry of the operator
 * - `not-allowlisted`: nothing allows it
 */
export const REASONS = [
  'malformed',
  'canary',
  'session',
  'callback',
  'resolver',
  'time',
  'dhcp',
  'name-not-allowed',
  'mirror',
  'rule',
  'not-allowlisted',
] as const
export type Reason = (typeof REASONS)[number]

export type Protocol = 'tcp' | 'udp' | 'icmp' | 'any'

/** What a rule lets pass. All that is given must fit; what is empty or undefined fits everything. */
export interface RuleSpec {
  readonly reason: 'resolver' | 'time' | 'dhcp' | 'mirror' | 'rule'
  /** For the operator: unique, as in the configuration. */
  readonly name: string
  readonly protocol: Protocol
  /** Destination ports; only TCP and UDP have any. */
  readonly ports: readonly PortRange[]
  /** The source port that the packet must have. */
  readonly sourcePort?: number | undefined
  /**
   * User ids. A packet without a known user fits only where its connection was approved before; one of root's only from a
   * port that the kernel chooses, or from `sourcePort`.
   */
  readonly users?: readonly number[] | undefined
  /** Names of systemd units, slices among them. Who is in none of them does not fit; the kernel's own copy has no such rule. */
  readonly units?: readonly string[] | undefined
  readonly prefixes: readonly Prefix[]
  /** Host names whose addresses are added as they are learned. */
  readonly names: readonly string[]
  /** The same for all names below these domains: `example.org` stands for `*.example.org`. */
  readonly domains: readonly string[]
  /** Its names were told by a resolver, and may be others tomorrow. */
  readonly isFromSrv?: boolean | undefined
  /** Milliseconds since the epoch: from then on the rule is void. */
  readonly expires?: number | undefined
  readonly origin?: Origin | undefined
}

/** A rule as it stands in a policy. */
export interface Rule {
  readonly spec: RuleSpec
  /** The fixed prefixes of the rule. */
  readonly fixed: PrefixSet
  /** The addresses that its names have now. */
  readonly addresses: AddressSet
  /** Those that they had: a connection from that time goes on, and no new one begins. */
  readonly formerAddresses: AddressSet
  /** For a packet of any protocol but TCP. */
  readonly accept: Decision
  readonly acceptTcp: Decision
}

export interface Decision {
  readonly verdict: 'accept' | 'block'
  readonly reason: Reason
  readonly rule: Rule | undefined
  /** Whether the connection may go on without being judged again. */
  readonly remember: boolean
  /** Index of `reason` in REASONS: for counters in arrays. */
  readonly reasonIndex: number
}

export interface Policy {
  readonly mode: 'observe' | 'enforce'
  readonly canary: Endpoint | undefined
  /** Ports that the kernel chooses from for sockets that ask for none. */
  readonly ephemeralPorts: PortRange
  /** Ids of those who update, and of the host's own resolvers: they ask on behalf of others, or for what is needed. */
  readonly trustedUsers: readonly number[]
  readonly rules: readonly Rule[]
  /** The rules by their names and domains. */
  readonly names: NameTable<Rule>
  /** undefined: any name may be asked for. */
  readonly queryPolicy: QueryPolicy | undefined
}

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
export const CANARY = decision('block', 'canary')
export const SESSION = decision('accept', 'session')
/** Accepted, and not remembered: whoever forges SYNs must not fill what remembers. */
export const HANDSHAKE = decision('accept', 'session', undefined, false)
/** Not remembered: the next packet may be a question. */
export const REPLY = decision('accept', 'session', undefined, false)
export const CALLBACK = decision('accept', 'callback')
export const NAME_NOT_ALLOWED = decision('block', 'name-not-allowed')
export const NOT_ALLOWLISTED = decision('block', 'not-allowlisted')

/** Makes a policy of rules. `queryPolicy` says what may be asked for besides the names of the rules. */
export function assemble({ queryPolicy, ...rest }: Omit<Policy, 'names'>): Policy {
  const names = new NameTable<Rule>()
  for (const rule of rest.rules) names.add(rule.spec.names, rule.spec.domains, rule)
  const own = queryPolicy && {
    ...queryPolicy,
    isAllowed: (name: string) => names.has(name) || queryPolicy.isAllowed(name),
  }
  return { ...rest, names, queryPolicy: own }
}

/** Whom a policy takes for a resolver of this host. */
export const resolversOf = ({ rules }: Pick<Policy, 'rules'>): Prefix[] =>
  rules.flatMap(({ spec }) => (spec.reason === 'resolver' ? spec.prefixes : []))

/** Makes a rule that knows no address of its names yet. */
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
 * UDP has no handshake: after the approved sender is gone, another user can take its port and inherit the
 * connection. So what is bound to users or units is judged packet by packet there. TCP is not, by whatever rule it passes:
 * what a closed socket has left to send has no user any more, and goes by what its connection was approved for.
 */
function remembers({ users, units }: RuleSpec): boolean {
  return users === undefined && units === undefined
}

/**
 * Judges one packet whose headers were read. The first that fits, in the order of REASONS; but where names are enforced, what
 * goes to a resolver is judged before sessions are.
 * @param now milliseconds since the epoch
 */
export function decide(
  policy: Policy,
  packet: Packet,
  sender: Sender,
  inbound: Inbound,
  now: number,
): Decision {
  if (policy.canary !== undefined && isFor(packet, policy.canary)) return CANARY
  if (policy.queryPolicy !== undefined) {
    const question = asked(policy, policy.queryPolicy, packet, sender, inbound, now)
    if (question !== undefined) return question
  }
  const answer = answersClient(packet, sender, inbound)
  if (answer !== 'nothing') return answer === 'answer' ? SESSION : HANDSHAKE
  if (inbound.callbacks.allow(packet, sender, inbound.lookUp, inbound.now)) return CALLBACK
  const { rules } = policy
  for (let i = 0; i < rules.length; i++) {
    const candidate = rules[i]!
    if (fits(policy, candidate, packet, sender, now))
      return packet.protocol === IPPROTO_TCP ? candidate.acceptTcp : candidate.accept
  }
  return NOT_ALLOWLISTED
}

/**
 * What goes to a resolver is a question, whoever may seem to have come in from there: an accomplice who forges its address
 * can make it a client of this host.
 */
function asked(
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
    const isWanted = sender.isReply || answersClient(packet, sender, inbound) !== 'nothing'
    return isWanted ? REPLY : NAME_NOT_ALLOWED
  }
  return undefined
}

function judgeQuestion(packet: Packet, queryPolicy: QueryPolicy, { accept }: Rule): Decision {
  if (mayAsk(packet, queryPolicy)) return accept
  return isNamesCanary(packet) ? CANARY : NAME_NOT_ALLOWED
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

/** Whether a rule lets a packet pass. src/core/explain.ts says what is in the way where it does not: from the same parts. */
export function fits(policy: Policy, rule: Rule, packet: Packet, sender: Sender, now: number): boolean {
  const { spec } = rule
  if (!fitsProtocol(spec.protocol, packet)) return false
  if (spec.ports.length > 0 && !fitsPort(spec.ports, packet)) return false
  if (spec.sourcePort !== undefined && spec.sourcePort !== packet.sourcePort) return false
  if (spec.users !== undefined && !fitsUser(spec, spec.users, packet, sender, policy.ephemeralPorts))
    return false
  if (isExpired(spec, now)) return false
  if (!leadsTo(rule, packet) && !(sender.known && ledTo(rule, packet))) return false
  // The last: it costs a question to the kernel.
  return spec.units === undefined || fitsUnit(spec.units, sender)
}

/** Where the packet has no user there is no socket to ask for. */
export const fitsUnit = (units: readonly string[], sender: Sender): boolean =>
  sender.uid === -1 ? sender.known : sender.isOf(units)

export const isExpired = ({ expires }: Pick<RuleSpec, 'expires'>, now: number): boolean =>
  expires !== undefined && expires <= now

export const leadsTo = ({ fixed, addresses }: Rule, { family, destination }: Packet): boolean =>
  fixed.has(family, destination) || addresses.has(family, destination)

/** Whether the destination was an address of the rule's names. */
export const ledTo = ({ formerAddresses }: Rule, { family, destination }: Packet): boolean =>
  formerAddresses.has(family, destination)

export function fitsProtocol(wanted: Protocol, { protocol, family }: Packet): boolean {
  if (wanted === 'any') return true
  if (wanted === 'tcp') return protocol === IPPROTO_TCP
  if (wanted === 'udp') return protocol === IPPROTO_UDP
  return protocol === (family === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)
}

export function fitsPort(ports: readonly PortRange[], { protocol, destinationPort }: Packet): boolean {
  return (protocol === IPPROTO_TCP || protocol === IPPROTO_UDP) && fitsPorts(ports, destinationPort)
}

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

/**
 * Whether some connection that `before` allowed might not be allowed by `after`: then live connections must
 * be judged again. What was learned does not count: a connection outlives the name that led to it.
 */
export function tightens(before: Policy, after: Policy): boolean {
  if (before.mode === 'observe' && after.mode === 'enforce') return true
  const kept = new Map(after.rules.map(({ spec }) => [conditions(spec), new Set(places(spec))]))
  return before.rules.some(({ spec }) => {
    if (spec.isFromSrv) return false
    const left = kept.get(conditions(spec))
    return left === undefined || places(spec).some((place) => !left.has(place))
  })
}

/** All of a rule but where it leads, and where it was written. */
function conditions({
  origin: _origin,
  prefixes: _prefixes,
  names: _names,
  domains: _domains,
  ...rest
}: RuleSpec) {
  return JSON.stringify(rest)
}

const places = ({ prefixes, names, domains }: RuleSpec): string[] => [
  ...prefixes.map(({ family, words, length }) => `${family} ${words.join()} ${length}`),
  ...names,
  ...domains.map((domain) => `*.${domain}`),
]

/** Addresses and prefixes by the kind of rule that allows them: for the metrics. */
export function entriesBySource(policy: Policy): Map<string, number> {
  const entries = new Map<string, number>()
  for (const { spec, fixed, addresses } of policy.rules)
    entries.set(spec.reason, (entries.get(spec.reason) ?? 0) + fixed.size + addresses.size)
  return entries
}

/** Every name that some rule allows. */
export const namesOf = (policy: Policy): Set<string> =>
  new Set(policy.rules.flatMap(({ spec }) => spec.names))
