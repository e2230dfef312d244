/** Checks which programs serve our queue numbers. */
import { namesQueues } from '../../core/ruleset/ruleset.js'
import { type DoctorContext, holderOfSocket, isAbsent, textOf } from './context.js'
import { type Finding, Findings } from './finding.js'
import { type BoundQueue, inodeOfPort, parseQueues } from './proc.js'

const QUEUES = '/proc/self/net/netfilter/nfnetlink_queue'
const SOCKETS = '/proc/self/net/netlink'

/** Returns all queue numbers of the service. */
export function queueNumbers({ config: { queue } }: Pick<DoctorContext, 'config'>): number[] {
  const { questions, answers } = namesQueues(queue)
  return [...Array.from({ length: queue.count }, (_, i) => queue.first + i), questions, answers]
}

export function queues(subject: DoctorContext): Finding[] {
  const found = new Findings('queue')
  const text = textOf(QUEUES)
  const numbers = queueNumbers(subject)
  const own = `${numbers[0]} to ${numbers.at(-1)}`
  if (text === '' && process.geteuid?.() !== 0) {
    found.unknown('who serves the queues', `run this as root: ${QUEUES} is for root only`)
    return found.all
  }
  const bound = parseQueues(text).filter(({ number }) => numbers.includes(number))
  if (!isAbsent(subject)) asServed(found, bound, numbers, subject)
  else {
    for (const each of bound)
      found.fail(
        `queue ${each.number} is taken by ${holder(each)}`,
        'the service cannot start: stop that program, or give the service other numbers (queue.first)',
      )
    if (bound.length === 0) found.ok(`${own} are free`)
  }
  return found.all
}

/** Checks that the running service serves all of its queues, and no other program one of them. */
function asServed(
  found: Findings,
  bound: readonly BoundQueue[],
  numbers: readonly number[],
  { process }: DoctorContext,
) {
  const missing = numbers.filter((number) => !bound.some((each) => each.number === number))
  for (const number of missing)
    found.fail(
      `queue ${number} is served by nobody`,
      'restart the service; until then the kernel judges by itself',
    )
  const others = bound.filter(
    (each) => process !== undefined && pidOf(each) !== undefined && pidOf(each) !== process.pid,
  )
  for (const each of others)
    found.fail(
      `queue ${each.number} is served by ${holder(each)}`,
      'another program decides: give the service other numbers (queue.first)',
    )
  if (missing.length + others.length === 0)
    found.ok(`${numbers[0]} to ${numbers.at(-1)} are served by the service`)
}

function processOf({ port }: BoundQueue) {
  const inode = inodeOfPort(textOf(SOCKETS), port)
  return inode === undefined ? undefined : holderOfSocket(inode)
}

const pidOf = (queue: BoundQueue) => processOf(queue)?.pid

function holder(queue: BoundQueue): string {
  const process = processOf(queue)
  if (process === undefined) return `a program that this user may not see (netlink port ${queue.port})`
  return `${process.executable ?? 'a program'} (pid ${process.pid})`
}
