/** Checks the firewall rules of other programs for conflicts with ours. */
import { hasNetAdmin } from 'node-netfilter-queue/system'
import { marksOf } from '../../core/ruleset/marks.js'
import { type QueueForm, TABLE } from '../../core/ruleset/ruleset.js'
import { queueRules } from '../../kernel/nftables/xtables.js'
import { command } from '../../system/run-command.js'
import { attempt, type DoctorContext, running, textOf } from './context.js'
import { type Finding, Findings } from './finding.js'
import { parseSave } from './iptables-save.js'
import { type Listing, parseNft } from './nft-json.js'
import { queueNumbers } from './queues.js'
import { type ForeignRules, type Reached, reached, together } from './rules-of-others.js'

/**
 * Priorities of our chains (src/core/ruleset/ruleset.ts): between these two a packet carries our verdict in
 * its mark.
 */
const JUDGE = -1
const VERDICT = 10
/**
 * Between these two an answer of a resolver carries our mark: from our chain to the rule of xtables in
 * mangle/PREROUTING.
 */
const ANSWER = -299
const MANGLE = -150

/** Tables that iptables makes with nftables. */
const OF_IPTABLES = /^(ip6?) (?:filter|mangle|nat|raw|security)$/

/** @param form of the queue, where it is known */
export async function tables(subject: DoctorContext, form: QueueForm | undefined): Promise<Finding[]> {
  const found = new Findings('firewall')
  // The check of privileges has reported this.
  if (!hasNetAdmin()) return []
  const text = await command(['nft', '-j', '-t', 'list', 'ruleset']).catch((error: Error) => error)
  if (text instanceof Error) {
    found.fail('the rules cannot be listed', text.message)
    return found.all
  }
  const listing = parseNft(text)
  const saved = await savedRules(listing)
  const foreign = withoutOurs(together(withoutSaved(listing, saved), saved), subject)
  conflicts(found, foreign, subject.config.firewall.mark.mask, queueNumbers(subject))
  if (running(subject) && form === 'xtables') position(found, saved, subject)
  if (found.all.length === 0)
    found.ok(`none of ${foreign.rules.length} rules of other programs is in the way`)
  managers(found, foreign)
  return found.all
}

const others = ({ chains }: ForeignRules): string[] => [...new Set(chains.map(({ table }) => table))]

/**
 * Lists the rules of iptables. Legacy tables are listed only when the kernel has some: listing would create
 * them.
 */
async function savedRules({ tables }: Listing): Promise<ForeignRules> {
  const texts = await Promise.all(
    (['ip', 'ip6'] as const).map(async (family) => {
      const program = family === 'ip' ? 'iptables' : 'ip6tables'
      const isLegacy = textOf(`/proc/self/net/${family}_tables_names`).trim() !== ''
      const isNew = tables.some((table) => OF_IPTABLES.exec(table)?.[1] === family)
      const saves = [...(isNew ? ['nft'] : []), ...(isLegacy ? ['legacy'] : [])]
      const saved = await Promise.all(
        saves.map(
          async (kind) => (await attempt([`${program}-${kind}-save`])) ?? attempt([`${program}-save`]),
        ),
      )
      return together(...saved.map((text) => parseSave(text ?? '', family)))
    }),
  )
  return together(...texts)
}

/** Leaves out the tables that iptables-save has listed: nft does not know the targets of iptables. */
function withoutSaved({ chains, rules }: ForeignRules, saved: ForeignRules): ForeignRules {
  const known = new Set(others(saved))
  const isUnknown = ({ table }: { readonly table: string }) => !known.has(table)
  return { chains: chains.filter(isUnknown), rules: rules.filter(isUnknown) }
}

/** Leaves out our table, and our rules of xtables. */
function withoutOurs({ chains, rules }: ForeignRules, subject: DoctorContext): ForeignRules {
  const isOurs = ourRules(subject)
  return {
    chains: chains.filter(({ table }) => table !== TABLE),
    rules: rules.filter(({ table, text = '' }) => table !== TABLE && !isOurs(text)),
  }
}

/** Recognises our rules of xtables by their target, and by the mark that they match. */
function ourRules({ config: { firewall, queue } }: DoctorContext): (text: string) => boolean {
  const ours = queueRules(marksOf(firewall.mark.mask, 1), queue).map(({ args }) => args)
  const value = (says: readonly string[], option: string) => says[says.indexOf(option) + 1]!
  return (text) =>
    ours.some((says) => text.includes(`--mark ${value(says, '--mark')}`) && text.includes('-j NFQUEUE'))
}

/** @param mask our bits of marks @param queues our numbers */
export function conflicts(
  found: Findings,
  foreign: ForeignRules,
  mask: number,
  queues: readonly number[],
): void {
  const reported = new Set<string>()
  for (const each of reached(foreign)) {
    const place = placeOf(each)
    const report = (grade: 'fail' | 'look' | 'note', what: string, advice: string) => {
      const line = `${place} ${what}`
      if (!reported.has(line)) found[grade](line, advice)
      reported.add(line)
    }
    marks(each, mask, report)
    queueing(each, queues, report)
    redirecting(each, report)
    if (each.rule.isSynproxy6)
      report(
        'look',
        'answers new clients over IPv6 itself (SYNPROXY)',
        'these clients are cut off: limit the rule to IPv4 (docs/sessions.md says why)',
      )
    if (each.rule.isNotrack && ['output', 'prerouting'].includes(each.from.hook!))
      report(
        'note',
        'takes traffic out of connection tracking (notrack)',
        'docs/sessions.md says how such traffic is judged',
      )
  }
  for (const { table, name, hook, policy } of foreign.chains)
    if (hook === 'output' && policy === 'drop')
      found.note(`${table} ${name} drops what it does not allow`, 'allow there, too, what checkvalve allows')
}

type Report = (grade: 'fail' | 'look' | 'note', what: string, advice: string) => void

const OTHER_BITS = 'take other bits for one of both: there, or with firewall.mark.mask'

function marks(
  { rule: { change }, from: { hook, priority = 0 } }: Reached,
  mask: number,
  report: Report,
): void {
  if (change === undefined) return
  const [ones, zeros] = [(change.ones & mask) !== 0, (change.zeros & mask) !== 0]
  if (change.kind === 'connection') {
    if (ones)
      report(
        'fail',
        'sets our bits of connection marks',
        `connections may pass for approved ones: ${OTHER_BITS}`,
      )
    else if (zeros)
      report(
        'look',
        'clears our bits of connection marks',
        `approved connections are judged again and again: ${OTHER_BITS}`,
      )
  } else if (hook === 'output') {
    const isBetween = priority >= JUDGE && priority <= VERDICT
    if (isBetween && (ones || zeros))
      report(
        'fail',
        'changes our bits of packet marks between our chains',
        `packets may pass unjudged: ${OTHER_BITS}`,
      )
    else if (priority < JUDGE && ones)
      report('fail', 'sets our bits of packet marks', `replies may pass for blocked packets: ${OTHER_BITS}`)
  } else if (hook === 'prerouting' && priority >= ANSWER && priority <= MANGLE && (ones || zeros))
    report('look', 'changes our bits of packet marks', `answers of resolvers may go unread: ${OTHER_BITS}`)
}

function queueing(
  { rule: { queue }, from: { hook } }: Reached,
  own: readonly number[],
  report: Report,
): void {
  if (queue === undefined) return
  if (own.includes(queue))
    report(
      'fail',
      `sends packets to queue ${queue}, which is ours`,
      'give that, or the service (queue.first), another number',
    )
  else if (hook === 'output' || hook === 'postrouting')
    report(
      'look',
      `sends outgoing packets to ${queue < 0 ? 'a queue' : `queue ${queue}`}`,
      'another program judges as well: when it does not run, packets are lost there',
    )
}

function redirecting({ rule: { redirects }, from: { hook } }: Reached, report: Report): void {
  if (redirects === 'dnat' && hook === 'output')
    report('note', 'changes where packets of this host go (DNAT)', 'their new destination is judged')
  if (redirects === 'tproxy')
    report(
      'note',
      'hands connections to a transparent proxy (TPROXY)',
      'if it sends from addresses of its clients, name its user in transparentUsers',
    )
}

const placeOf = ({ rule: { table, chain }, from }: Reached): string => {
  const where = `${from.hook}, priority ${from.priority}`
  return from.name === chain
    ? `${table} ${chain} (${where})`
    : `${table} ${chain} (from ${from.name}: ${where})`
}

/**
 * Checks that our rule is the first of its chain: a packet that an earlier rule accepts never reaches the
 * queue.
 */
function position(found: Findings, saved: ForeignRules, subject: DoctorContext): void {
  const isOurs = ourRules(subject)
  for (const table of ['ip filter', 'ip6 filter']) {
    const first = saved.rules.find((rule) => rule.table === table && rule.chain === 'OUTPUT')
    if (first !== undefined && !isOurs(first.text ?? ''))
      found.look(
        `${table} OUTPUT has a rule before the queue: ${first.text}`,
        "what it accepts is not judged, and meets the kernel's copy of the allowlist only: put it behind, or restart the service",
      )
  }
}

/** Programs that write firewall rules, recognised by their chains. */
const MANAGERS: readonly [name: string, sign: RegExp, advice: string][] = [
  ['firewalld', /^inet firewalld /, 'it leaves the tables of others alone'],
  ['ufw', /^ip6? filter ufw6?-/, 'rules of ours that it removes are restored within moments, and counted'],
  [
    'Docker',
    /^ip6? (?:nat|filter) DOCKER/,
    'what containers send is forwarded, not sent by this host: it is not judged',
  ],
  [
    'Kubernetes',
    /^ip6? (?:nat|filter) KUBE-/,
    'what pods send is forwarded, not sent by this host: it is not judged',
  ],
  ['libvirt', /^ip6? (?:nat|filter) LIBVIRT/, 'what virtual machines send is forwarded: it is not judged'],
]

function managers(found: Findings, { chains }: ForeignRules): void {
  for (const [name, sign, advice] of MANAGERS)
    if (chains.some((chain) => sign.test(`${chain.table} ${chain.name}`)))
      found.note(`${name} has rules`, advice)
}
