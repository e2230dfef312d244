/**
 * Loads the queue rules on kernels without nftables' own `queue` statement (CONFIG_NFT_QUEUE): xtables rules
 * in both families, each first in its chain, for the packets that the chains of the table have marked.
 */
import type { Marks } from '../../core/ruleset/marks.js'
import { namesQueues, type RulesetOptions } from '../../core/ruleset/ruleset.js'
import { CommandError, command } from '../../system/run-command.js'

/** The programs of a family begin with these. */
const FAMILIES = ['iptables', 'ip6tables'] as const
type Family = (typeof FAMILIES)[number]

/** A rule with its chain. */
export interface QueueRule {
  readonly chain: readonly [table: string, chain: string]
  /** Matches and target, as iptables(8) takes them. */
  readonly args: readonly string[]
}

/** Queues packets to be judged, and in a queue of their own DNS queries and answers. */
export function queueRules(marks: Marks, queue: RulesetOptions['queue']): QueueRule[] {
  const mask = (marks.stateMask | marks.names) >>> 0
  const of = (mark: number, target: readonly string[]) => [
    ...['-m', 'mark', '--mark', `0x${mark.toString(16)}/0x${mask.toString(16)}`, '-j', 'NFQUEUE'],
    ...[...target, '--queue-bypass'],
  ]
  const all =
    queue.count === 1
      ? ['--queue-num', String(queue.first)]
      : ['--queue-balance', `${queue.first}:${queue.first + queue.count - 1}`, '--queue-cpu-fanout']
  const { questions, answers } = namesQueues(queue)
  const names = (number: number) => of((marks.judge | marks.names) >>> 0, ['--queue-num', String(number)])
  return [
    { chain: ['filter', 'OUTPUT'], args: of(marks.judge, all) },
    { chain: ['filter', 'OUTPUT'], args: names(questions) },
    { chain: ['mangle', 'PREROUTING'], args: names(answers) },
  ]
}

/** Puts rules first in their chains of both families, unless they are there. @throws CommandError (rejects) */
export function addQueueRules(rules: readonly QueueRule[]): Promise<void> {
  return inBothFamilies(async (family) => {
    const present = await presentRules(family, rules)
    await restore(
      family,
      '-I',
      rules.filter((rule) => !present.includes(rule)),
    )
  })
}

/** Whether all rules are loaded in both families. @throws CommandError (rejects) */
export async function haveQueueRules(rules: readonly QueueRule[]): Promise<boolean> {
  const present = await Promise.all(FAMILIES.map((family) => arePresent(family, rules)))
  return present.every(Boolean)
}

/** Removes all copies of the rules from both families. @throws CommandError (rejects) */
export function removeQueueRules(rules: readonly QueueRule[]): Promise<void> {
  return inBothFamilies(async (family) => {
    for (let tries = 10; tries > 0; tries--) {
      const present = await presentRules(family, rules)
      if (present.length === 0) return
      await restore(family, '-D', present)
    }
  })
}

async function inBothFamilies(change: (family: Family) => Promise<void>): Promise<void> {
  for (const family of FAMILIES) await change(family)
}

/** Most often all rules are loaded, or no rule for any queue: one program, or two, can tell. */
async function presentRules(family: Family, rules: readonly QueueRule[]): Promise<readonly QueueRule[]> {
  if (await arePresent(family, rules)) return rules
  if (!(await command([`${family}-save`])).includes('-j NFQUEUE')) return []
  const present = await Promise.all(rules.map((rule) => arePresent(family, [rule])))
  return rules.filter((_, index) => present[index])
}

async function arePresent(family: Family, rules: readonly QueueRule[]): Promise<boolean> {
  try {
    await restore(family, '-C', rules)
    return true
  } catch (error) {
    if (error instanceof CommandError && error.missing) throw error
    return false
  }
}

/** Does the same to each rule in one run of iptables-restore(8), which changes a table as a whole or not
 * at all. */
async function restore(family: Family, verb: '-C' | '-I' | '-D', rules: readonly QueueRule[]): Promise<void> {
  if (rules.length === 0) return
  const tables = [...new Set(rules.map(({ chain: [table] }) => table))].map((table) => {
    const lines = rules
      .filter(({ chain }) => chain[0] === table)
      .map(({ chain, args }) => [verb, chain[1], ...args].join(' '))
    return [`*${table}`, ...lines, 'COMMIT', ''].join('\n')
  })
  await command([`${family}-restore`, '--noflush', '--wait'], tables.join(''))
}
