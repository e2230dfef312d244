/**
 * Writes the kernel's own copy of the allowlist, for unjudged packets: the service is dead, or its queue is
 * full.
 */

import { formatAddress, formatPortRange, formatPrefix } from '../packet/address-text.js'
import { type Address, FAMILIES, type Family, type Prefix } from '../packet/ip.js'
import type { Sender } from '../packet/sender.js'
import { isExpired } from '../policy/conditions.js'
import type { Candidate, Miss } from '../policy/explain.js'
import { isForQueries } from '../policy/infrastructure-rules.js'
import type { Policy } from '../policy/policy.js'
import type { Decision, Rule, RuleSpec } from '../policy/rule.js'
import type { RulesetOptions } from './options.js'
import { ENDS, IP, NOT_A_CALL } from './untracked.js'
import { type Ported, userMatches } from './user-matches.js'

interface FallbackText {
  /** The sets, a line each. */
  readonly sets: string[]
  /** The rules of the chain `undecided`, or the matches of them. */
  readonly fallback: string[]
}

/** Writes the sets and the chain `undecided`. @param now milliseconds since the epoch */
export function fallbackOf(policy: Policy, options: RulesetOptions, now: number): FallbackText {
  const accept = 'counter name "fallback_accept" accept'
  const pass = 'counter name "fallback_accept" goto pass'
  const drop = 'counter name "fallback_drop" drop'
  const refuse = 'counter name "fallback_drop" goto refuse'
  if (policy.mode === 'observe' || options.fallback === 'open') return { sets: [], fallback: [accept] }
  if (options.fallback === 'closed') return { sets: [], fallback: [refuse] }
  const specs = policy.rules.map(({ spec }) => asInKernel(spec, policy))
  const texts = specs.map((spec, index) => ruleText(spec, policy, index, now))
  // Without users a packet of a closed socket fits its rule by itself.
  const acceptOf = ({ users }: RuleSpec) => (users === undefined ? accept : pass)
  const acceptsOf = (isWanted: (rule: Rule) => boolean) =>
    texts.flatMap(({ fallback }, index) =>
      isWanted(policy.rules[index]!) ? fallback.map((line) => `${line} ${acceptOf(specs[index]!)}`) : [],
    )
  const isEnforced = ({ spec }: Rule) => policy.queryPolicy !== undefined && isForQueries(spec)
  const replies = [
    ...FAMILIES.map((family) => `${ENDS[family]} @opened${family} ${refuse}`),
    `tcp sport @tcp_services ${NOT_A_CALL} ${accept}`,
  ]
  return {
    sets: texts.flatMap(({ sets }) => sets),
    fallback: [
      ...(policy.queryPolicy === undefined ? [] : queries(acceptsOf(isEnforced), drop, refuse)),
      ...replies,
      ...acceptsOf((rule) => !isEnforced(rule)),
      refuse,
    ],
  }
}

/**
 * Writes the rules for queries when names are enforced. While the service judges queries (`judging`), an unjudged one is
 * part of a flood and is dropped, since its sender asks again. These rules come before those for replies: a program may
 * listen on the port that it asks from.
 */
const queries = (rules: readonly string[], drop: string, refuse: string): string[] => {
  const toResolver = FAMILIES.map(
    (family) => `meta l4proto { tcp, udp } th dport 53 ${IP[family]} daddr @resolvers${family}`,
  )
  return [
    ...toResolver.map((line) => `th dport @judging ${line} ${drop}`),
    ...rules,
    ...toResolver.map((line) => `${line} ${refuse}`),
  ]
}

/**
 * Returns a rule as the kernel applies it. The kernel cannot read names: when they are enforced, only trusted
 * users may ask.
 */
function asInKernel(spec: RuleSpec, { queryPolicy, trustedUsers }: Policy): RuleSpec {
  if (spec.whenSilent === 'open') return { ...spec, users: undefined }
  return queryPolicy !== undefined && isForQueries(spec) ? { ...spec, users: trustedUsers } : spec
}

/** Whether the kernel's copy has no such rule. A unit's cgroup is new at each start. */
export const isClosedWhenSilent = ({ units, whenSilent }: Pick<RuleSpec, 'units' | 'whenSilent'>): boolean =>
  (whenSilent ?? (units === undefined ? 'users' : 'closed')) === 'closed'

/** Writes one rule of the policy: its address sets, and the matches for each set. */
function ruleText(spec: RuleSpec, policy: Policy, index: number, now: number): FallbackText {
  if (isVoid(spec, now)) return { sets: [], fallback: [] }
  const text: FallbackText = { sets: [], fallback: [] }
  const timeout = spec.expires === undefined ? '' : ` timeout ${timeoutText(spec.expires - now)}`
  for (const family of FAMILIES) {
    const matches = matchesOf(spec, policy, family)
    const add = (name: string, set: string) => {
      text.sets.push(set)
      for (const match of matches) text.fallback.push(`${match} ${IP[family]} daddr @${name}`.trim())
    }
    const name = `rule${index}_prefixes${family}`
    if (spec.prefixes.some((prefix) => prefix.family === family))
      add(name, prefixSet(name, family, spec.prefixes, spec.name, timeout))
    const hosts = hostSetName(index, family)
    if (hasHostSets(spec, now)) add(hosts, setText(hosts, family, 'timeout', spec.name, []))
  }
  return text
}

/** Whether the kernel's copy leaves a rule out: it matches no user, has expired, or is closed there. */
const isVoid = (spec: RuleSpec, now: number) =>
  (spec.users?.length === 0 && spec.whenSilent !== 'open') || isClosedWhenSilent(spec) || isExpired(spec, now)

/**
 * Whether the ruleset has sets for the addresses of a rule's names.
 * @param now milliseconds since the epoch
 */
export const hasHostSets = (spec: RuleSpec, now: number) =>
  spec.names.length + spec.domains.length > 0 && !isVoid(spec, now)

/** Returns the name of the set with the addresses of a rule's names. */
export const hostSetName = (index: number, family: Family) => `rule${index}_hosts${family}`

/** Writes a set of the prefixes of one family. @param timeout text after each element: ` timeout 5s` */
export function prefixSet(
  name: string,
  family: Family,
  prefixes: readonly Prefix[],
  comment?: string,
  timeout = '',
): string {
  const disjoint = withoutCovered(prefixes.filter((prefix) => prefix.family === family))
  const flags = timeout === '' ? 'interval' : 'interval, timeout'
  const elements = disjoint.map((prefix) => formatPrefix(prefix) + timeout)
  return setText(name, family, flags, comment, elements)
}

const DAY_MS = 86_400_000
/** The maximum timeout: the kernel counts nanoseconds in 64 bits, which overflow after 584 years. */
const MAX_DAYS = 36_500

/**
 * Writes a timeout in days and milliseconds: nft reads at most eight digits for each unit, and 28 hours need
 * nine.
 */
function timeoutText(ms: number): string {
  const whole = Math.min(Math.ceil(ms), MAX_DAYS * DAY_MS)
  const days = Math.floor(whole / DAY_MS)
  const rest = whole % DAY_MS
  return `${days > 0 ? `${days}d` : ''}${rest > 0 ? `${rest}ms` : ''}`
}

function setText(
  name: string,
  family: Family,
  flags: string,
  comment: string | undefined,
  elements: string[],
): string {
  const type = family === 4 ? 'ipv4_addr' : 'ipv6_addr'
  const commentText = comment === undefined ? '' : ` comment "${comment}";`
  const elementsText = elements.length === 0 ? '' : ` elements = { ${elements.join(', ')} };`
  return `set ${name} { type ${type}; flags ${flags};${commentText}${elementsText} }`
}

/**
 * Writes addresses as elements of a set.
 * @param timeout seconds until they expire; undefined when they do not
 */
export const hostsText = (hosts: readonly Address[], timeout?: number) =>
  hosts.map(
    ({ family, words }) =>
      formatAddress(family, words) + (timeout === undefined ? '' : ` timeout ${timeout}s`),
  )

/** Returns the seconds after which a learned address expires in the kernel: not later than its rule. */
export const hostTimeoutOf = ({ expires }: RuleSpec, timeout: number, now: number) =>
  expires === undefined ? timeout : Math.max(1, Math.min(timeout, Math.ceil((expires - now) / 1000)))

/** Writes all conditions of a rule but its addresses: a packet must fit one of the matches. */
function matchesOf(spec: RuleSpec, { ephemeralPorts }: Policy, family: Family): string[] {
  const rest = matchOf(spec, family)
  if (spec.users === undefined) return [rest]
  // A rule with a source port of its own does not ask for one that the kernel chooses.
  const ported = spec.sourcePort === undefined ? portedOf(spec) : 'portless'
  return userMatches(spec.users, ephemeralPorts, ported).map((match) => `${match} ${rest}`.trim())
}

function portedOf({ protocol, ports }: RuleSpec): Ported {
  if (protocol === 'icmp') return 'portless'
  return protocol === 'any' && ports.length === 0 ? 'any' : 'ported'
}

function matchOf(spec: RuleSpec, family: Family): string {
  const matches: string[] = []
  const ported = spec.ports.length > 0 || spec.sourcePort !== undefined
  if (spec.protocol === 'icmp') matches.push(`meta l4proto ${family === 4 ? 'icmp' : 'ipv6-icmp'}`)
  else if (spec.protocol !== 'any') matches.push(`meta l4proto ${spec.protocol}`)
  else if (ported) matches.push('meta l4proto { tcp, udp }')
  if (spec.sourcePort !== undefined) matches.push(`th sport ${spec.sourcePort}`)
  if (spec.ports.length > 0) matches.push(`th dport { ${spec.ports.map(formatPortRange).join(', ')} }`)
  return matches.join(' ')
}

/** Removes the prefixes inside of others: nftables refuses overlapping elements. */
function withoutCovered(prefixes: readonly Prefix[]): Prefix[] {
  const sorted = [...prefixes].sort(byAddressThenLength)
  const kept: Prefix[] = []
  for (const prefix of sorted) {
    const last = kept.at(-1)
    if (last === undefined || !covers(last, prefix)) kept.push(prefix)
  }
  return kept
}

function byAddressThenLength(one: Prefix, other: Prefix): number {
  for (let i = 0; i < 4; i++) {
    const difference = one.words[i]! - other.words[i]!
    if (difference !== 0) return difference
  }
  return one.length - other.length
}

function covers(wide: Prefix, narrow: Prefix): boolean {
  if (wide.length > narrow.length) return false
  for (let i = 0; i < 4; i++) {
    const bits = Math.min(32, Math.max(0, wide.length - i * 32))
    const mask = bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0
    if (((wide.words[i]! ^ narrow.words[i]!) & mask) !== 0) return false
  }
  return true
}

/**
 * Returns the verdict of the kernel's copy of the allowlist (`fallbackOf`). The copy has no sessions, callbacks and
 * units, and no users of a rule that is open there.
 * @param candidates all rules with the conditions that the packet misses
 */
export function verdictOfKernel(
  policy: Policy,
  fallback: RulesetOptions['fallback'],
  candidates: readonly Candidate[],
  { uid, isQuarantined }: Sender,
): Decision['verdict'] {
  if (isQuarantined) return 'block'
  if (policy.mode === 'observe' || fallback === 'open') return 'accept'
  const isCopied = ({ rule: { spec }, misses }: Candidate) =>
    misses.every((miss) => isIgnored(miss, spec)) &&
    !isClosedWhenSilent(spec) &&
    (!isEnforced(spec) || policy.trustedUsers.includes(uid))
  const isEnforced = (spec: RuleSpec) => policy.queryPolicy !== undefined && isForQueries(spec)
  return fallback === 'static' && candidates.some(isCopied) ? 'accept' : 'block'
}

/** Whether the kernel's copy of a rule does not have a condition that a packet misses. */
const isIgnored = (miss: Miss, { whenSilent }: RuleSpec) =>
  miss === 'unit' || (whenSilent === 'open' && ['user', 'handed-on'].includes(miss))
