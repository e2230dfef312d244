/**
 * The kernel's own copy of the allowlist, for what comes out of the queue unjudged: the service is dead, or its queue is
 * full.
 */
import type { Policy, Rule } from './policy.js'
import type { Host, Hosts, RulesetOptions } from './ruleset-options.js'
import { addressText, prefixText } from './text.js'
import { FAMILIES, type Family, type PortRange, type Prefix } from './types.js'
import { ENDS, NOT_A_CALL } from './untracked.js'

interface Lines {
  readonly sets: string[]
  readonly fallback: string[]
}

export function fallbackOf(policy: Policy, options: RulesetOptions, hosts: Hosts, now: number): Lines {
  const accept = 'counter name "fallback_accept" accept'
  const drop = 'counter name "fallback_drop" drop'
  if (policy.mode === 'observe' || options.fallback === 'open') return { sets: [], fallback: [accept] }
  if (options.fallback === 'closed') return { sets: [], fallback: [drop] }
  const each = policy.rules.map((rule, index) =>
    fallbackRule(rule, index, hosts.get(rule.spec.name) ?? [], options.hostTimeout, now),
  )
  const answers = [
    ...FAMILIES.map((family) => `${ENDS[family]} @opened${family} ${drop}`),
    `tcp sport @tcp_services ${NOT_A_CALL} ${accept}`,
  ]
  return {
    sets: each.flatMap((lines) => lines.sets),
    fallback: [
      ...answers,
      ...each.flatMap((lines) => lines.fallback.map((line) => `${line} ${accept}`)),
      drop,
    ],
  }
}

/** One rule of the policy: its address sets, and a match for each of them. */
function fallbackRule(
  rule: Rule,
  index: number,
  hosts: readonly Host[],
  timeout: number,
  now: number,
): Lines {
  const { spec } = rule
  if (spec.expires !== undefined && spec.expires <= now) return { sets: [], fallback: [] }
  const lines: Lines = { sets: [], fallback: [] }
  const left = spec.expires === undefined ? '' : ` timeout ${spec.expires - now}ms`
  for (const family of FAMILIES) {
    const matches = matchOf(rule, family)
    if (matches === undefined) continue
    const add = (kind: string, flags: string, elements: string[]) => {
      const name = `${setName(index)}_${kind}${family}`
      lines.sets.push(setText(name, family, flags, spec.name, elements))
      lines.fallback.push(`${matches} ${family === 4 ? 'ip' : 'ip6'} daddr @${name}`.trim())
    }
    const prefixes = withoutCovered(spec.prefixes.filter((prefix) => prefix.family === family))
    if (prefixes.length > 0)
      add(
        'prefixes',
        left === '' ? 'interval' : 'interval, timeout',
        prefixes.map((p) => prefixText(p) + left),
      )
    if (spec.names.length > 0) add('hosts', 'timeout', hostElements(hosts, family, timeout))
  }
  return lines
}

export const setName = (index: number) => `rule${index}`

function setText(name: string, family: Family, flags: string, comment: string, elements: string[]): string {
  const type = family === 4 ? 'ipv4_addr' : 'ipv6_addr'
  const filled = elements.length === 0 ? '' : ` elements = { ${elements.join(', ')} };`
  return `set ${name} { type ${type}; flags ${flags}; comment "${comment}";${filled} }`
}

export const hostElements = (hosts: readonly Host[], family: Family, timeout: number) =>
  hosts
    .filter((host) => host.family === family)
    .map((host) => `${addressText(family, host.words)} timeout ${timeout}s`)

/** Everything of a rule but its addresses; undefined where nobody could match it. */
function matchOf({ spec }: Rule, family: Family): string | undefined {
  if (spec.users?.length === 0) return undefined
  const matches: string[] = []
  if (spec.users !== undefined) matches.push(`meta skuid { ${spec.users.join(', ')} }`)
  const ported = spec.ports.length > 0 || spec.sourcePort !== undefined
  if (spec.protocol === 'icmp') matches.push(`meta l4proto ${family === 4 ? 'icmp' : 'ipv6-icmp'}`)
  else if (spec.protocol !== 'any') matches.push(`meta l4proto ${spec.protocol}`)
  else if (ported) matches.push('meta l4proto { tcp, udp }')
  if (spec.sourcePort !== undefined) matches.push(`th sport ${spec.sourcePort}`)
  if (spec.ports.length > 0) matches.push(`th dport { ${spec.ports.map(portText).join(', ')} }`)
  return matches.join(' ')
}

const portText = ({ first, last }: PortRange) => (first === last ? String(first) : `${first}-${last}`)

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
