/**
 * The policy as nftables text: the kernel's half of the valve. Three base chains in a row see each packet that
 * leaves the host: `judge` lets pass what needs no judgement and marks the rest, `enqueue` hands the marked to
 * the service, `verdict` does what the service said. What comes out of it unjudged, because the service is
 * dead or its queue full, meets `undecided`: the kernel's own copy of the allowlist.
 */
import { type Marks, marksOf } from './marks.js'
import type { Policy, Rule } from './policy.js'
import { addressText, prefixText } from './text.js'
import type { Connection, Family, PortRange, Prefix, Words } from './types.js'

export const TABLE = 'inet checkvalve'

/** How packets get from the kernel to the service: by nftables itself, or by a rule of xtables beside it. */
export type QueueForm = 'native' | 'xtables'

/** The named counters of the table: the paths that the service does not see. */
export const COUNTERS = [
  'reply',
  'approved',
  'blocked',
  'forged',
  'fallback_accept',
  'fallback_drop',
] as const
export type KernelCounter = (typeof COUNTERS)[number]

export interface RulesetOptions {
  readonly form: QueueForm
  readonly queue: { readonly first: number; readonly count: number }
  readonly mask: number
  readonly generation: number
  readonly block: 'reject' | 'drop'
  readonly fallback: 'static' | 'closed' | 'open'
  /** Seconds that a learned address stays in the kernel when the service does not renew it. */
  readonly hostTimeout: number
  /** Seconds after which an untracked UDP client that is silent is none any more. */
  readonly udpTimeout: number
}

/** Ports of this host. */
export interface ServicePorts {
  readonly tcp: readonly number[]
  readonly udp: readonly number[]
}

/** What the host's sockets tell the kernel's rules. */
export interface SocketFacts {
  /** Services whose port no ordinary user can have taken. */
  readonly services: ServicePorts
  /** TCP connections that this host has opened before the policy was in force: no answers come from them. */
  readonly opened: readonly Connection[]
}

/** An address that a name of a rule has now. */
export interface Host {
  readonly family: Family
  readonly words: Words
}

/** The addresses that each rule's names have now, by the rule's name. */
export type Hosts = ReadonlyMap<string, readonly Host[]>

interface Lines {
  readonly sets: string[]
  readonly fallback: string[]
}

/**
 * The whole table, for `nft -f -` on a host that has none.
 * @param now milliseconds since the epoch: a rule that expires gets what is left as its timeout
 */
export function render(policy: Policy, options: RulesetOptions, hosts: Hosts, now: number): string {
  const marks = marksOf(options.mask, options.generation)
  const { sets, fallback } = fallbackOf(policy, options, hosts, now)
  const parts = [
    COUNTERS.map((name) => `counter ${name} { }`),
    SOCKET_SETS,
    ...sets.map((set) => [set]),
    chain('arrive', arrive(options.udpTimeout)),
    chain('judge', judge(marks)),
    plainChain('untracked', UNTRACKED),
    plainChain('to_be_judged', toBeJudged(marks)),
    ...(options.form === 'native' ? [chain('enqueue', enqueue(marks, options.queue))] : []),
    chain('verdict', verdict(marks, options.block)),
    plainChain('undecided', fallback),
  ]
  return `table ${TABLE} {\n${parts.map((lines) => lines.map(indent).join('\n')).join('\n\n')}\n}\n`
}

/**
 * The same for a host that has the table already: in one transaction, the base chains stay where they are
 * (taking a hook away would drop every packet that waits in any queue) and get their new rules.
 * @param present names of the sets that stand in the table now
 */
export function renderUpdate(text: string, form: QueueForm, present: readonly string[]): string {
  const chains =
    form === 'native' ? ['arrive', 'judge', 'enqueue', 'verdict'] : ['arrive', 'judge', 'verdict']
  return [
    `table ${TABLE} {`,
    ...chains.map((name) => `  chain ${name} { ${HOOKS[name]} }`),
    ...PLAIN_CHAINS.map((name) => `  chain ${name} { }`),
    '}',
    ...[...chains, ...PLAIN_CHAINS].map((name) => `flush chain ${TABLE} ${name}`),
    ...present.filter((name) => !isClients(name)).map((name) => `delete set ${TABLE} ${name}`),
    text,
  ].join('\n')
}

/** Whom the kernel itself has seen come in survives a change of the rules. */
const isClients = (set: string) => set === 'clients4' || set === 'clients6'

/** What the sockets tell, as the commands that put it in the place of what they told before. */
export function renderSocketFacts({ services, opened }: SocketFacts): string {
  const fill = (set: string, elements: readonly (string | number)[]) => [
    `flush set ${TABLE} ${set}`,
    ...(elements.length > 0 ? [`add element ${TABLE} ${set} { ${elements.join(', ')} }`] : []),
  ]
  const ends = (family: Family) => opened.filter((each) => each.family === family).map(endsText)
  return [
    ...fill('tcp_services', services.tcp),
    ...fill('udp_services', services.udp),
    ...fill('opened4', ends(4)),
    ...fill('opened6', ends(6)),
  ].join('\n')
}

const endsText = ({ family, local, localPort, remote, remotePort }: Connection) =>
  `${addressText(family, local)} . ${localPort} . ${addressText(family, remote)} . ${remotePort}`

/** New addresses of one rule's names: the commands that put them in the place of the old ones. */
export function renderHosts(index: number, hosts: readonly Host[], timeout: number): string {
  return ([4, 6] as const)
    .flatMap((family) => {
      const name = `${setName(index)}_hosts${family}`
      const elements = hostElements(hosts, family, timeout)
      const add = elements.length > 0 ? [`add element ${TABLE} ${name} { ${elements.join(', ')} }`] : []
      return [`flush set ${TABLE} ${name}`, ...add]
    })
    .join('\n')
}

const HOOKS: Record<string, string> = {
  arrive: 'type filter hook prerouting priority raw + 1; policy accept;',
  judge: 'type filter hook output priority filter - 1; policy accept;',
  enqueue: 'type filter hook output priority filter; policy accept;',
  verdict: 'type filter hook output priority filter + 10; policy accept;',
}

/** Chains that others jump to. */
const PLAIN_CHAINS = ['untracked', 'to_be_judged', 'undecided']

const indent = (line: string) => `  ${line}`
const hex = (value: number) => `0x${value.toString(16).padStart(8, '0')}`
const chain = (name: string, rules: string[]) => [
  `chain ${name} {`,
  ...[HOOKS[name]!, ...rules].map(indent),
  '}',
]

const plainChain = (name: string, rules: readonly string[]) => [`chain ${name} {`, ...rules.map(indent), '}']

/** Rewrites the bits of the mask and leaves the others. */
const setMark = (what: 'meta' | 'ct', mask: number, value: number) =>
  `${what} mark set ${what} mark & ${hex(~mask >>> 0)} | ${hex(value)}`

/** More untracked clients and connections than that are judged one by one. */
const UNTRACKED_AT_MOST = 131_072
/** Seconds until an untracked connection that the service has approved is judged again, if it is silent. */
const UNTRACKED_TIMEOUT = 300

const SOCKET_SETS = [
  'set tcp_services { type inet_service; }',
  'set udp_services { type inet_service; }',
  ...(['4', '6'] as const).flatMap((v) => {
    const ends = `ipv${v}_addr . inet_service . ipv${v}_addr . inet_service`
    return [
      `set opened${v} { type ${ends}; }`,
      `set clients${v} { type ipv${v}_addr . inet_service . inet_service; size ${UNTRACKED_AT_MOST}; flags dynamic, timeout; }`,
      `set approved${v} { type ${ends}; size ${UNTRACKED_AT_MOST}; flags dynamic, timeout; }`,
    ]
  }),
]

/** Never a bare SYN: that starts a connection. */
const NOT_A_CALL = 'tcp flags & (syn | ack) != syn'

/** Both ends of a packet that goes out, as the sets have them. */
const ENDS = {
  4: 'ip saddr . tcp sport . ip daddr . tcp dport',
  6: 'ip6 saddr . tcp sport . ip6 daddr . tcp dport',
} as const

/** Whom connection tracking does not follow, the kernel itself must remember: UDP has no sockets to ask. */
function arrive(udpTimeout: number): string[] {
  const client = (ip: string) => `${ip} saddr . udp sport . udp dport timeout ${Math.ceil(udpTimeout)}s`
  return [
    `ct state untracked udp dport @udp_services update @clients4 { ${client('ip')} }`,
    `ct state untracked udp dport @udp_services update @clients6 { ${client('ip6')} }`,
  ]
}

const rememberApproved = (family: Family) =>
  `update @approved${family} { ${ENDS[family]} timeout ${UNTRACKED_TIMEOUT}s }`

/** What is not tracked has no mark: what was approved is in sets instead. */
const UNTRACKED = [
  'ip daddr . udp dport . udp sport @clients4 counter name "reply" accept',
  'ip6 daddr . udp dport . udp sport @clients6 counter name "reply" accept',
  ...([4, 6] as const).map(
    (family) =>
      `${NOT_A_CALL} ${ENDS[family]} @approved${family} ${rememberApproved(family)} counter name "approved" accept`,
  ),
]

function judge(marks: Marks): string[] {
  return [
    // Any user may bind a foreign IPv6 address (IPV6_FREEBIND) and send from it to this host: conntrack would take
    // that for a client that came in, and all that is sent to the real owner of the address for replies.
    'oif "lo" meta nfproto ipv6 fib saddr type != local counter name "forged" drop',
    'oif "lo" accept',
    `ct mark & ${hex(marks.mask)} == ${hex(marks.approvedNow)} counter name "approved" accept`,
    // Before the replies: connection tracking may know them by a packet of the other end only.
    `${ENDS[4]} @opened4 goto to_be_judged`,
    `${ENDS[6]} @opened6 goto to_be_judged`,
    'ct state established,related ct direction reply counter name "reply" accept',
    'ct state untracked jump untracked',
    'ct state related icmp type { destination-unreachable, time-exceeded, parameter-problem } accept',
    'ct state related icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept',
    'icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } accept',
    'icmpv6 type { mld-listener-report, mld-listener-done, mld2-listener-report } accept',
    'ip protocol igmp accept',
    'goto to_be_judged',
  ]
}

function toBeJudged(marks: Marks): string[] {
  return [
    setMark('meta', marks.mask, marks.judge),
    `ct mark & ${hex(marks.stateMask)} == ${hex(marks.approved)} meta mark set meta mark | ${hex(marks.known)}`,
  ]
}

function enqueue(marks: Marks, { first, count }: RulesetOptions['queue']): string[] {
  const target =
    count === 1 ? `flags bypass to ${first}` : `flags bypass,fanout to ${first}-${first + count - 1}`
  return [`meta mark & ${hex(marks.stateMask)} == ${hex(marks.judge)} queue ${target}`]
}

function verdict(marks: Marks, block: RulesetOptions['block']): string[] {
  const clear = `meta mark set meta mark & ${hex(~marks.mask >>> 0)}`
  const is = (value: number) => `meta mark & ${hex(marks.mask)} == ${hex(value)}`
  const refuse = block === 'reject' ? 'reject with icmpx admin-prohibited' : 'drop'
  return [
    // Two rules: reading the mark of a connection that is not tracked ends a rule.
    `${is(marks.approvedNow)} ${setMark('ct', marks.mask, marks.approvedNow)}`,
    ...([4, 6] as const).map(
      (family) => `${is(marks.approvedNow)} ct state untracked ${rememberApproved(family)}`,
    ),
    `meta mark & ${hex(marks.mask)} { ${hex(marks.approvedOnce)}, ${hex(marks.approvedNow)} } ${clear} accept`,
    `${is(marks.blocked)} ${clear} counter name "blocked" ${refuse}`,
    // Not judged, or judged by an earlier policy.
    `meta mark & ${hex(marks.mask)} != 0x00000000 ${clear} jump undecided`,
  ]
}

function fallbackOf(policy: Policy, options: RulesetOptions, hosts: Hosts, now: number): Lines {
  const accept = 'counter name "fallback_accept" accept'
  const drop = 'counter name "fallback_drop" drop'
  if (policy.mode === 'observe' || options.fallback === 'open') return { sets: [], fallback: [accept] }
  if (options.fallback === 'closed') return { sets: [], fallback: [drop] }
  const each = policy.rules.map((rule, index) =>
    fallbackRule(rule, index, hosts.get(rule.spec.name) ?? [], options.hostTimeout, now),
  )
  const answers = [
    ...([4, 6] as const).map((family) => `${ENDS[family]} @opened${family} ${drop}`),
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
  for (const family of [4, 6] as const) {
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

const setName = (index: number) => `rule${index}`

function setText(name: string, family: Family, flags: string, comment: string, elements: string[]): string {
  const type = family === 4 ? 'ipv4_addr' : 'ipv6_addr'
  const filled = elements.length === 0 ? '' : ` elements = { ${elements.join(', ')} };`
  return `set ${name} { type ${type}; flags ${flags}; comment "${comment}";${filled} }`
}

const hostElements = (hosts: readonly Host[], family: Family, timeout: number) =>
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
