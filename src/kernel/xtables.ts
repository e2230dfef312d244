/**
 * The queue rule for kernels without nftables' own `queue` statement (CONFIG_NFT_QUEUE): one rule of xtables a
 * family, first in filter/OUTPUT, for the packets that the chain `judge` has marked.
 */
import type { Marks } from '../core/marks.js'
import { CommandError, command } from './command.js'

const PROGRAMS = ['iptables', 'ip6tables'] as const

/** What the rule says, without the command that puts it in. */
export function queueRule(marks: Marks, queue: { first: number; count: number }): string[] {
  const mark = `0x${marks.judge.toString(16)}/0x${marks.stateMask.toString(16)}`
  const target =
    queue.count === 1
      ? ['--queue-num', String(queue.first)]
      : ['--queue-balance', `${queue.first}:${queue.first + queue.count - 1}`, '--queue-cpu-fanout']
  return ['-m', 'mark', '--mark', mark, '-j', 'NFQUEUE', ...target, '--queue-bypass']
}

/** Puts the rule first in OUTPUT of both families, once. @throws CommandError (rejects) */
export async function addQueueRule(rule: readonly string[]): Promise<void> {
  for (const program of PROGRAMS) {
    if (!(await isPresent(program, rule))) await command([program, '-w', '-I', 'OUTPUT', '1', ...rule])
  }
}

/** Whether the rule stands in both families. */
export async function hasQueueRule(rule: readonly string[]): Promise<boolean> {
  const present = await Promise.all(PROGRAMS.map((program) => isPresent(program, rule)))
  return present.every(Boolean)
}

/** Takes the rule out of both families, however often it stands there. */
export async function removeQueueRule(rule: readonly string[]): Promise<void> {
  for (const program of PROGRAMS) {
    for (let left = 10; left > 0 && (await isPresent(program, rule)); left--)
      await command([program, '-w', '-D', 'OUTPUT', ...rule])
  }
}

async function isPresent(program: (typeof PROGRAMS)[number], rule: readonly string[]): Promise<boolean> {
  try {
    await command([program, '-w', '-C', 'OUTPUT', ...rule])
    return true
  } catch (error) {
    if (error instanceof CommandError && error.missing) throw error
    return false
  }
}
