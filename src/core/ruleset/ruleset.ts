/**
 * The policy as nftables text: the kernel's half of the valve. Three base chains in a row see each packet that
 * leaves the host: `judge` lets pass what needs no judgement and marks the rest, `enqueue` hands the marked to
 * the service, `verdict` does what the service said. What comes out of it unjudged, because the service is
 * dead or its queue full, meets `undecided`: the kernel's own copy of the allowlist.
 */

import { formatAddress } from '../packet/address-text.js'
import { type Address, type Connection, FAMILIES, type Family } from '../packet/ip.js'
import { type Policy, resolversOf } from '../policy/policy.js'
import {
  ASKERS,
  ASKING,
  answer,
  ask,
  askForUpdate,
  call,
  enqueue,
  JUDGING,
  judge,
  loopback,
  question,
  toBeJudged,
  toResolver,
  verdict,
} from './chains.js'
import { fallbackOf, hasHostSets, hostSetName, hostsText, hostTimeoutOf, prefixSet } from './fallback.js'
import { marksOf } from './marks.js'
import type { QueueForm, RulesetOptions, SocketFacts } from './options.js'
import { arrive, leave, noteClient, SOCKET_SETS, UNTRACKED } from './untracked.js'

export { namesQueues } from './chains.js'
export type { QueueForm, RulesetOptions, ServicePorts, SocketFacts } from './options.js'

export const TABLE = 'inet checkvalve'

/** The named counters of the table: the paths that the service does not see. */
export const COUNTERS = [
  'reply',
  'approved',
  'blocked',
  'forged',
  'flooded',
  'fallback_accept',
  'fallback_drop',
] as const
export type KernelCounter = (typeof COUNTERS)[number]

/**
 * The whole table, for `nft -f -` on a host that has none.
 * @param now milliseconds since the epoch: a rule that expires gets what is left as its timeout
 */
export function render(policy: Policy, options: RulesetOptions, now: number): string {
  const marks = marksOf(options.mask, options.generation)
  const { sets, fallback } = fallbackOf(policy, options, now)
  const parts = [
    COUNTERS.map((name) => `counter ${name} { }`),
    SOCKET_SETS,
    [...resolverSets(policy), ...ASKING, ASKERS, JUDGING],
    ...sets.map((set) => [set]),
    chain('arrive', arrive(options, policy)),
    chain('leave', leave(options.pressure, policy)),
    chain('judge', judge(marks, options, policy.queryPolicy !== undefined)),
    plainChain('call', call(marks, options)),
    plainChain('question', question(policy.queryPolicy !== undefined)),
    plainChain('to_resolver', toResolver(policy)),
    plainChain('ask_for_update', askForUpdate),
    plainChain('ask', ask(marks)),
    plainChain('answer', answer(marks, options)),
    plainChain('loopback', loopback(policy)),
    plainChain('note_client', noteClient(options.udpTimeout)),
    plainChain('untracked', UNTRACKED),
    plainChain('to_be_judged', toBeJudged(marks)),
    ...(options.form === 'native' ? [chain('enqueue', enqueue(marks, options))] : []),
    chain('verdict', verdict(marks, options.block, policy.queryPolicy !== undefined)),
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
  const chains = Object.keys(HOOKS).filter((name) => form === 'native' || name !== 'enqueue')
  return [
    `table ${TABLE} {`,
    ...chains.map((name) => `  chain ${name} { ${HOOKS[name]} }`),
    ...PLAIN_CHAINS.map((name) => `  chain ${name} { }`),
    '}',
    ...[...chains, ...PLAIN_CHAINS].map((name) => `flush chain ${TABLE} ${name}`),
    ...present.filter((name) => !isKept(name)).map((name) => `delete set ${TABLE} ${name}`),
    text,
  ].join('\n')
}

/** What the kernel itself has seen survives a change of the rules. */
const isKept = (set: string) => set === 'clients4' || set === 'clients6' || set === 'judging'

/** The commands that put elements in the place of those that a set has. */
const refill = (set: string, elements: readonly (string | number)[]) => [
  `flush set ${TABLE} ${set}`,
  ...(elements.length > 0 ? [`add element ${TABLE} ${set} { ${elements.join(', ')} }`] : []),
]

/** What the sockets tell, as the commands that put it in the place of what they told before. */
export function renderSocketFacts({ services, opened }: SocketFacts): string {
  const ends = (family: Family) => opened.filter((each) => each.family === family).map(endsText)
  return [
    ...refill('tcp_services', services.tcp),
    ...refill('udp_services', services.udp),
    ...FAMILIES.flatMap((family) => refill(`opened${family}`, ends(family))),
  ].join('\n')
}

const endsText = ({ family, local, localPort, remote, remotePort }: Connection) =>
  `${formatAddress(family, local)} . ${localPort} . ${formatAddress(family, remote)} . ${remotePort}`

/** What has changed of the addresses of a rule's names, since the kernel was told last. */
export interface HostChanges {
  /** New ones, and those whose time in the kernel must begin anew. */
  readonly added: readonly Address[]
  readonly removed: readonly Address[]
}

/** nft takes elements in the thousands: what is more goes into further commands. */
const ELEMENTS_AT_ONCE = 2000
/** Addresses in one transaction: an ordinary user's socket takes no more, and others wait less for the kernel. */
const CHANGES_AT_ONCE = 500

/**
 * The transactions that bring changes into the sets of the rule at `index`. To delete what a timeout has taken away would
 * be an error, and to add what is there would not renew its timeout: so all is added, deleted, added.
 * @param now milliseconds since the epoch
 */
export function renderHostChanges(
  { rules }: Policy,
  index: number,
  { added, removed }: HostChanges,
  { hostTimeout }: Pick<RulesetOptions, 'hostTimeout'>,
  now: number,
): string[] {
  const { spec } = rules[index]!
  if (!hasHostSets(spec, now)) return []
  const timeout = hostTimeoutOf(spec, hostTimeout, now)
  const transaction = (family: Family, gone: readonly Address[], fresh: readonly Address[]) =>
    [
      ...elements('add', index, family, [...gone, ...fresh]),
      ...elements('delete', index, family, [...gone, ...fresh]),
      ...elements('add', index, family, fresh, timeout),
    ].join('\n')
  return FAMILIES.flatMap((family) => {
    const of = (hosts: readonly Address[]) => pieces(hosts.filter((host) => host.family === family))
    return [
      ...of(removed).map((gone) => transaction(family, gone, [])),
      ...of(added).map((fresh) => transaction(family, [], fresh)),
    ]
  })
}

function pieces(hosts: readonly Address[]): Address[][] {
  const all: Address[][] = []
  for (let at = 0; at < hosts.length; at += CHANGES_AT_ONCE) all.push(hosts.slice(at, at + CHANGES_AT_ONCE))
  return all
}

/** All addresses of all rules, for a table that has none of them. */
export function renderHosts({ rules }: Policy, { hostTimeout }: RulesetOptions, now: number): string[] {
  return rules.flatMap(({ spec, addresses }, index) => {
    if (!hasHostSets(spec, now)) return []
    const all = [...addresses]
    const timeout = hostTimeoutOf(spec, hostTimeout, now)
    return FAMILIES.flatMap((family) =>
      elements(
        'add',
        index,
        family,
        all.filter((host) => host.family === family),
        timeout,
      ),
    )
  })
}

function elements(
  verb: 'add' | 'delete',
  index: number,
  family: Family,
  hosts: readonly Address[],
  timeout?: number,
): string[] {
  const lines: string[] = []
  for (let at = 0; at < hosts.length; at += ELEMENTS_AT_ONCE) {
    const texts = hostsText(hosts.slice(at, at + ELEMENTS_AT_ONCE), timeout)
    lines.push(`${verb} element ${TABLE} ${hostSetName(index, family)} { ${texts.join(', ')} }`)
  }
  return lines
}

const resolverSets = (policy: Policy): string[] =>
  FAMILIES.map((family) => prefixSet(`resolvers${family}`, family, resolversOf(policy)))

const HOOKS: Record<string, string> = {
  arrive: 'type filter hook prerouting priority raw + 1; policy accept;',
  leave: 'type filter hook output priority raw + 1; policy accept;',
  judge: 'type filter hook output priority filter - 1; policy accept;',
  enqueue: 'type filter hook output priority filter; policy accept;',
  verdict: 'type filter hook output priority filter + 10; policy accept;',
}

/** Chains that others jump to. */
const PLAIN_CHAINS = [
  'note_client',
  'call',
  'question',
  'to_resolver',
  'ask_for_update',
  'ask',
  'answer',
  'loopback',
  'untracked',
  'to_be_judged',
  'undecided',
]

const indent = (line: string) => `  ${line}`
const chain = (name: string, rules: string[]) => [
  `chain ${name} {`,
  ...[HOOKS[name]!, ...rules].map(indent),
  '}',
]

const plainChain = (name: string, rules: readonly string[]) => [`chain ${name} {`, ...rules.map(indent), '}']
