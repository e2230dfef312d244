/**
 * Loads the queue rules on kernels without nftables' own `queue` statement (CONFIG_NFT_QUEUE): xtables rules
 * in both families, each first in its chain, for the packets that the chains of the table have marked.
 */
import type { Marks } from '../../core/ruleset/marks.js'
import { namesQueues, type RulesetOptions } from '../../core/ruleset/ruleset.js'
import { CommandError, command } from '../../system/run-command.js'

const PROGRAMS = ['iptables', 'ip6tables'] as const

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

/** Puts a rule first in its chain of both families, once. @throws CommandError (rejects) */
export async function addQueueRule(rule: QueueRule): Promise<void> {
  for (const program of PROGRAMS) if (!(await isPresent(program, rule))) await run(program, '-I', rule, '1')
}

/** Whether the rule is loaded in both families. */
export async function hasQueueRule(rule: QueueRule): Promise<boolean> {
  const present = await Promise.all(PROGRAMS.map((program) => isPresent(program, rule)))
  return present.every(Boolean)
}

/** Removes all copies of the rule from both families. */
export async function removeQueueRule(rule: QueueRule): Promise<void> {
  for (const program of PROGRAMS)
    for (let tries = 10; tries > 0 && (await isPresent(program, rule)); tries--)
      await run(program, '-D', rule)
}

type Program = (typeof PROGRAMS)[number]

async function isPresent(program: Program, rule: QueueRule): Promise<boolean> {
  try {
    await run(program, '-C', rule)
    return true
  } catch (error) {
    if (error instanceof CommandError && error.missing) throw error
    return false
  }
}

async function run(
  program: Program,
  verb: string,
  { chain: [table, chain], args }: QueueRule,
  ...position: string[]
) {
  await command([program, '-w', '-t', table, verb, chain, ...position, ...args])
}
