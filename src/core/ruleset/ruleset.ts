/**
 * Writes the policy as nftables text: the kernel's part of the valve. Each outgoing packet passes three base
 * chains: `judge` accepts what needs no verdict and marks the rest, `enqueue` passes the marked packets to
 * the service, `verdict` carries out the verdict. An unjudged packet (the service is dead, or its queue full)
 * goes to `undecided`: the kernel's own copy of the allowlist.
 */

import { formatAddress } from '../packet/address-text.js'
import { type Address, type Connection, FAMILIES, type Family } from '../packet/ip.js'
import { type Policy, resolversOf } from '../policy/policy.js'
import {
  call,
  depart,
  enqueue,
  FORMER_SETS,
  foreign,
  judge,
  loopback,
  pass,
  refuse,
  staying,
  toBeJudged,
  verdict,
} from './chains.js'
import {
  contained,
  containmentSets,
  isOfContainment,
  ownerless,
  quarantine,
  repeat,
} from './containment-chains.js'
import { fallbackOf, hasHostSets, hostSetName, hostsText, hostTimeoutOf, prefixSet } from './fallback.js'
import { marksOf } from './marks.js'
import type { QueueForm, RulesetOptions, SocketFacts } from './options.js'
import { ASKERS, ASKING, answer, ask, askForUpdate, JUDGING, question, toResolver } from './query-chains.js'
import { refill, TABLE } from './statements.js'
import { arrive, leave, noteClient, SOCKET_SETS, untracked } from './untracked.js'

export {
  FORGET_BLOCKS,
  type Quarantined,
  renderQuarantinedUnits,
  renderQuarantinedUsers,
} from './containment-chains.js'
export type { QueueForm, RulesetOptions, ServicePorts, SocketFacts } from './options.js'
export { namesQueues } from './query-chains.js'
export { TABLE } from './statements.js'

/** The named counters of the table, for packets that the service does not see. */
export const COUNTERS = [
  'reply',
  'approved',
  'blocked',
  'forged',
  'source_routed',
  'reset',
  'flooded',
  'quarantined',
  'repeated',
  'fallback_accept',
  'fallback_drop',
] as const
export type KernelCounter = (typeof COUNTERS)[number]

/** Returns the name of a counter in the table: `reset` is a keyword of nft. */
export const counterName = (counter: KernelCounter): string => (counter === 'reset' ? 'resets' : counter)

/**
 * Writes the whole table, for `nft -f -` on a host that has none.
 * @param now milliseconds since the epoch: a rule that expires gets the remaining time as its timeout
 */
export function render(policy: Policy, options: RulesetOptions, now: number): string {
  const marks = marksOf(options.mask, options.generation)
  const { sets, fallback } = fallbackOf(policy, options, now)
  const parts = [
    COUNTERS.map((counter) => `counter ${counterName(counter)} { }`),
    SOCKET_SETS,
    [...FORMER_SETS, ...resolverSets(policy), ...ASKING, ASKERS, JUDGING],
    containmentSets(options, policy),
    ...sets.map((set) => [set]),
    chain('arrive', arrive(options, policy)),
    chain('leave', leave(options.pressure, policy)),
    chain('judge', judge(marks, options, policy)),
    plainChain('call', call(marks, options, policy)),
    plainChain('question', question(policy.queryPolicy !== undefined)),
    plainChain('to_resolver', toResolver(policy)),
    plainChain('ask_for_update', askForUpdate),
    plainChain('ask', ask(marks)),
    plainChain('answer', answer(marks, options)),
    plainChain('loopback', loopback(policy)),
    plainChain('foreign', foreign(marks, policy)),
    plainChain('staying', staying(marks, policy)),
    plainChain('note_client', noteClient(options.udpTimeout)),
    plainChain('untracked', untracked(options, policy)),
    plainChain('ownerless', ownerless(policy)),
    plainChain('contained', contained(options)),
    plainChain('quarantine', quarantine),
    plainChain('repeat', repeat),
    plainChain('to_be_judged', toBeJudged(marks)),
    ...(options.form === 'native' ? [chain('enqueue', enqueue(marks, options))] : []),
    chain('verdict', verdict(marks, policy)),
    chain('depart', depart(marks)),
    plainChain('pass', pass(marks)),
    plainChain('refuse', refuse(options.block)),
    plainChain('undecided', fallback),
  ]
  return `table ${TABLE} {\n${parts.map((lines) => lines.map(indent).join('\n')).join('\n\n')}\n}\n`
}

/**
 * Writes the update of an existing table, as one transaction. The base chains stay (removing a hook would
 * drop every packet that waits in any queue) and get their new rules.
 * @param text the table as `render` writes it @param present names of the sets in the loaded table
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

/** Whether a set survives an update: the kernel filled it from packets. */
const isKept = (set: string) => ['clients4', 'clients6', 'judging'].includes(set) || isOfContainment(set)

/** Writes the commands that replace service ports, opened connections and former addresses by the current ones. */
export function renderSocketFacts({ services, rootServices, opened, former }: SocketFacts): string {
  const ends = (family: Family) => opened.filter((connection) => connection.family === family).map(endsText)
  return [
    ...refill('tcp_services', services.tcp),
    ...refill('udp_services', services.udp),
    ...refill('root_services', [
      ...rootServices.tcp.map((port) => `tcp . ${port}`),
      ...rootServices.udp.map((port) => `udp . ${port}`),
    ]),
    ...FAMILIES.flatMap((family) => refill(`opened${family}`, ends(family))),
    ...FAMILIES.flatMap((family) =>
      refill(`former${family}`, hostsText(former.filter((each) => each.family === family))),
    ),
  ].join('\n')
}

const endsText = ({ family, local, localPort, remote, remotePort }: Connection) =>
  `${formatAddress(family, local)} . ${localPort} . ${formatAddress(family, remote)} . ${remotePort}`

/** The changes of the addresses of a rule's names since the last update of the kernel. */
export interface HostChanges {
  /** New addresses, and those whose timeout in the kernel must start again. */
  readonly added: readonly Address[]
  readonly removed: readonly Address[]
}

/** The maximum number of elements in one command of nft. */
const ELEMENTS_AT_ONCE = 2000
/**
 * The maximum number of addresses in one transaction: an unprivileged socket takes no more, and other
 * programs wait less.
 */
const CHANGES_AT_ONCE = 500

/**
 * Writes the transactions that change the address sets of the rule at `index`. Each address is added,
 * deleted, and added again: deleting an element that has expired would be an error, and adding an existing
 * one would not renew its timeout.
 * @param now milliseconds since the epoch @returns a text for `nft -f -` each
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
  const transaction = (family: Family, old: readonly Address[], current: readonly Address[]) =>
    [
      ...elements('add', index, family, [...old, ...current]),
      ...elements('delete', index, family, [...old, ...current]),
      ...elements('add', index, family, current, timeout),
    ].join('\n')
  return FAMILIES.flatMap((family) => {
    const batchesOf = (hosts: readonly Address[]) => batches(hosts.filter((host) => host.family === family))
    return [
      ...batchesOf(removed).map((old) => transaction(family, old, [])),
      ...batchesOf(added).map((current) => transaction(family, [], current)),
    ]
  })
}

function batches(hosts: readonly Address[]): Address[][] {
  const result: Address[][] = []
  for (let at = 0; at < hosts.length; at += CHANGES_AT_ONCE)
    result.push(hosts.slice(at, at + CHANGES_AT_ONCE))
  return result
}

/**
 * Writes the commands that add all addresses of all rules, for a table without any.
 * @param now ms since the epoch
 */
export function renderHosts({ rules }: Policy, { hostTimeout }: RulesetOptions, now: number): string[] {
  return rules.flatMap(({ spec, addresses }, index) => {
    if (!hasHostSets(spec, now)) return []
    const hosts = [...addresses]
    const timeout = hostTimeoutOf(spec, hostTimeout, now)
    return FAMILIES.flatMap((family) =>
      elements(
        'add',
        index,
        family,
        hosts.filter((host) => host.family === family),
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
  depart: 'type filter hook postrouting priority filter; policy accept;',
}

/** Chains without a hook, which other chains jump to. */
const PLAIN_CHAINS = [
  'note_client',
  'call',
  'question',
  'to_resolver',
  'ask_for_update',
  'ask',
  'answer',
  'loopback',
  'foreign',
  'staying',
  'untracked',
  'ownerless',
  'contained',
  'quarantine',
  'repeat',
  'to_be_judged',
  'pass',
  'refuse',
  'undecided',
]

const indent = (line: string) => `  ${line}`
const chain = (name: string, rules: string[]) => [
  `chain ${name} {`,
  ...[HOOKS[name]!, ...rules].map(indent),
  '}',
]

const plainChain = (name: string, rules: readonly string[]) => [`chain ${name} {`, ...rules.map(indent), '}']
