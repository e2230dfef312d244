/**
 * The kernel's own copy of the allowlist, for what comes out of the queue unjudged: the service is dead, or its queue is
 * full.
 */

import { formatAddress, formatPortRange, formatPrefix } from '../packet/address-text.js'
import { type Address, FAMILIES, type Family, type Prefix } from '../packet/ip.js'
import type { Sender } from '../packet/sender.js'
import type { Candidate } from '../policy/explain.js'
import { type Decision, isExpired, type Policy, type Rule, type RuleSpec } from '../policy/policy.js'
import type { RulesetOptions } from './options.js'
import { ENDS, IP, NOT_A_CALL } from './untracked.js'
import { type Ported, userMatches } from './user-matches.js'

interface Lines {
  readonly sets: string[]
  readonly fallback: string[]
}

export function fallbackOf(policy: Policy, options: RulesetOptions, now: number): Lines {
  const accept = 'counter name "fallback_accept" accept'
  const drop = 'counter name "fallback_drop" drop'
  if (policy.mode === 'observe' || options.fallback === 'open') return { sets: [], fallback: [accept] }
  if (options.fallback === 'closed') return { sets: [], fallback: [drop] }
  const each = policy.rules.map(({ spec }, index) => fallbackRule(byKernel(spec, policy), policy, index, now))
  const of = (isWanted: (rule: Rule) => boolean) =>
    each
      .filter((_, index) => isWanted(policy.rules[index]!))
      .flatMap(({ fallback }) => fallback.map((line) => `${line} ${accept}`))
  const isQuestions = ({ spec }: Rule) => policy.queryPolicy !== undefined && spec.reason === 'resolver'
  const answers = [
    ...FAMILIES.map((family) => `${ENDS[family]} @opened${family} ${drop}`),
    `tcp sport @tcp_services ${NOT_A_CALL} ${accept}`,
  ]
  return {
    sets: each.flatMap((lines) => lines.sets),
    fallback: [
      ...(policy.queryPolicy === undefined ? [] : questions(of(isQuestions), drop)),
      ...answers,
      ...of((rule) => !isQuestions(rule)),
      drop,
    ],
  }
}

/**
 * Where names are enforced. While the service reads questions, one that comes here is of a flood: nobody reads it. Before
 * anything that takes it for an answer: a program may listen on the port that it asks from.
 */
const questions = (rules: readonly string[], drop: string): string[] => {
  const toResolver = FAMILIES.map(
    (family) => `meta l4proto { tcp, udp } th dport 53 ${IP[family]} daddr @resolvers${family} ${drop}`,
  )
  return [...toResolver.map((line) => `th dport @judging ${line}`), ...rules, ...toResolver]
}

/** The kernel cannot read names: where they are enforced, it lets only those ask who look for mirrors. */
const byKernel = (spec: RuleSpec, { queryPolicy, trustedUsers }: Policy): RuleSpec =>
  spec.reason === 'resolver' && queryPolicy !== undefined ? { ...spec, users: trustedUsers } : spec

/** One rule of the policy: its address sets, and a match for each of them. */
function fallbackRule(spec: RuleSpec, policy: Policy, index: number, now: number): Lines {
  if (isVoid(spec, now)) return { sets: [], fallback: [] }
  const lines: Lines = { sets: [], fallback: [] }
  const left = spec.expires === undefined ? '' : ` timeout ${timeoutText(spec.expires - now)}`
  for (const family of FAMILIES) {
    const matches = matchesOf(spec, policy, family)
    const add = (name: string, set: string) => {
      lines.sets.push(set)
      for (const match of matches) lines.fallback.push(`${match} ${IP[family]} daddr @${name}`.trim())
    }
    const name = `rule${index}_prefixes${family}`
    if (spec.prefixes.some((prefix) => prefix.family === family))
      add(name, prefixSet(name, family, spec.prefixes, spec.name, left))
    const hosts = hostSetName(index, family)
    if (hasHostSets(spec, now)) add(hosts, setText(hosts, family, 'timeout', spec.name, []))
  }
  return lines
}

/** Nobody can match it, or not any more. The kernel knows units by the number of a cgroup, which each start makes anew. */
const isVoid = (spec: RuleSpec, now: number) =>
  spec.users?.length === 0 || spec.units !== undefined || isExpired(spec, now)

/** Whether the kernel has sets for the addresses of a rule's names. */
export const hasHostSets = (spec: RuleSpec, now: number) =>
  spec.names.length + spec.domains.length > 0 && !isVoid(spec, now)

export const hostSetName = (index: number, family: Family) => `rule${index}_hosts${family}`

/** The set of those prefixes that are of this family. */
export function prefixSet(
  name: string,
  family: Family,
  prefixes: readonly Prefix[],
  comment?: string,
  timeout = '',
): string {
  const own = withoutCovered(prefixes.filter((prefix) => prefix.family === family))
  const flags = timeout === '' ? 'interval' : 'interval, timeout'
  const elements = own.map((prefix) => formatPrefix(prefix) + timeout)
  return setText(name, family, flags, comment, elements)
}

const DAY_MS = 86_400_000
/** No kernel runs for so long; in one of 584 years its nanoseconds would overflow. */
const DAYS_AT_MOST = 36_500

/** Whole milliseconds, and of each unit eight digits at most: nft reads no others, and 28 hours have nine of milliseconds. */
function timeoutText(ms: number): string {
  const whole = Math.min(Math.ceil(ms), DAYS_AT_MOST * DAY_MS)
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
  const said = comment === undefined ? '' : ` comment "${comment}";`
  const filled = elements.length === 0 ? '' : ` elements = { ${elements.join(', ')} };`
  return `set ${name} { type ${type}; flags ${flags};${said}${filled} }`
}

/** @param timeout seconds that they stay in the kernel; undefined: as long as the set has them */
export const hostsText = (hosts: readonly Address[], timeout?: number) =>
  hosts.map(
    ({ family, words }) =>
      formatAddress(family, words) + (timeout === undefined ? '' : ` timeout ${timeout}s`),
  )

/** Seconds that a learned address of a rule stays in the kernel by itself. */
export const hostTimeoutOf = ({ expires }: RuleSpec, timeout: number, now: number) =>
  expires === undefined ? timeout : Math.max(1, Math.min(timeout, Math.ceil((expires - now) / 1000)))

/** Everything of a rule but its addresses: whoever fits one of these. */
function matchesOf(spec: RuleSpec, { ephemeralPorts }: Policy, family: Family): string[] {
  const rest = matchOf(spec, family)
  if (spec.users === undefined) return [rest]
  // Whoever must have a certain port has it from its own making.
  const ported = spec.sourcePort === undefined ? portedOf(spec) : 'portless'
  return userMatches(spec.users, ephemeralPorts, ported).map((who) => `${who} ${rest}`.trim())
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

/** nftables refuses overlapping elements: a prefix inside another adds nothing. */
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
 * What the kernel's own copy of the allowlist says while the service is silent (core/fallback.ts): it knows no sessions, no
 * callbacks and no units.
 */
export function verdictOfKernel(
  policy: Policy,
  fallback: RulesetOptions['fallback'],
  candidates: readonly Candidate[],
  { uid }: Sender,
): Decision['verdict'] {
  if (policy.mode === 'observe' || fallback === 'open') return 'accept'
  const isCopied = ({ rule: { spec }, misses }: Candidate) =>
    misses.length === 0 &&
    spec.units === undefined &&
    (!isEnforced(spec) || policy.trustedUsers.includes(uid))
  const isEnforced = ({ reason }: RuleSpec) => reason === 'resolver' && policy.queryPolicy !== undefined
  return fallback === 'static' && candidates.some(isCopied) ? 'accept' : 'block'
}
