/**
 * Makes a DnsWatch with a queue and a valve that the test controls, and the packets of a query and its
 * answer.
 */
import { type HELD, NF_ACCEPT, type Queue, QueuedPacket, type Verdict } from 'node-netfilter-queue'
import type { Test } from 'tap'
import type { Question } from '../../../src/core/dns/question.js'
import { ResolvedNames } from '../../../src/core/dns/resolved-names.js'
import { decode, Packet } from '../../../src/core/packet/packet.js'
import { MALFORMED, NAME_NOT_ALLOWED, SESSION } from '../../../src/core/policy/policy.js'
import type { Decision } from '../../../src/core/policy/rule.js'
import type { Asker } from '../../../src/names/confirmations.js'
import type { AnswerContent } from '../../../src/names/dns/answer-reader.js'
import { DnsWatch, type DnsWatchOptions } from '../../../src/packet-path/dns-watch.js'
import { textOf } from '../../names/addresses.js'
import { Clock } from '../../names/clock.js'
import { type Asked, a, asked, framed, query, response } from '../../names/dns/answers.js'
import { fromResolver, toResolver, type Way } from '../../names/dns/traffic.js'

/** These are the names of the two queues. */
export const QUESTIONS = 'questions'
export const ANSWERS = 'answers'
type QueueName = typeof QUESTIONS | typeof ANSWERS
const MASK = 0x3f000000
/** FOREIGN has bits of a mark that other programs have set; the other bits were set by the ruleset. */
export const FOREIGN = 0xc0abcdef
export const OURS = 0x22000000
export const NAME = 'mirror.example.org'
export const ROOT = 0
export const BUDGET = 2000

/** A learned answer, with addresses as text. */
export interface Lesson {
  readonly name: string
  readonly hosts: readonly string[]
  readonly asker: Asker
}

/** Makes a DnsWatch with a queue and a valve that the test controls. */
export function watching(t: Test, options: Partial<DnsWatchOptions> = {}) {
  const clock = Clock.install(t)
  const valve = fakeValve()
  const state = {
    clock,
    valve,
    stats: { learned: 0, held: 0, missed: 0 },
    faults: [] as unknown[],
    lessons: [] as Lesson[],
    /** The promise that an answer has to wait for. */
    wait: (_question: Question, _reading: AnswerContent): Promise<void> | undefined => undefined,
    seen: new ResolvedNames(10, 100),
    budget: BUDGET,
    released: [] as { id: number; verdict: Verdict; mark: number | undefined }[],
    watch: undefined as unknown as DnsWatch,
  }
  state.watch = new DnsWatch({
    form: 'native',
    mask: MASK,
    valve,
    learned: {
      isOfInterest: ({ name }) => name.endsWith('.example.org'),
      learn: (question, reading, asker) => {
        state.lessons.push({ name: question.name, hosts: reading.hosts.map(textOf), asker })
        return state.wait(question, reading)
      },
    },
    isTrusted: (uid) => uid === ROOT,
    seen: state.seen,
    budget: () => state.budget,
    stats: state.stats,
    onFault: (error) => state.faults.push(error),
    ...options,
  })
  const release = (id: number, verdict: Verdict, mark?: number) => {
    state.released.push({ id, verdict, mark })
    return true
  }
  state.watch.attach({ release } as unknown as Queue)
  return Object.assign(state, courier(state.watch))
}

/** Simulates a valve that accepts everything except the names that the test blocks. */
function fakeValve() {
  const packet = new Packet()
  const sender = {
    uid: -1,
    known: false,
    isReply: false,
    isForeign: false,
    isQuarantined: false,
    device: 0,
    isOf: () => false,
  }
  const valve = {
    pass: NF_ACCEPT as Verdict,
    packet,
    sender,
    judged: 0,
    refuses: false,
    judge: (queued: QueuedPacket): Decision => {
      valve.judged++
      sender.uid = queued.uid
      const problem = decode(queued.bytes, queued.start, queued.end, queued.length, packet)
      if (problem !== undefined) return MALFORMED
      return valve.refuses ? NAME_NOT_ALLOWED : SESSION
    },
  }
  return valve
}

/**
 * Delivers packets as the queue does: at an offset in a buffer that is reused, with the same handling of
 * exceptions.
 */
function courier(watch: DnsWatch) {
  let id = 0
  function deliver(bytes: Uint8Array, queue: QueueName, uid: number, mark = (FOREIGN | OURS) >>> 0) {
    const queued = new QueuedPacket()
    const slab = new Uint8Array(bytes.length + 200).fill(0xee)
    slab.set(bytes, 100)
    Object.assign(queued, { id: ++id, uid, mark, bytes: slab, start: 100 })
    Object.assign(queued, { end: 100 + bytes.length, length: bytes.length })
    let verdict: Verdict | typeof HELD
    try {
      verdict = queue === QUESTIONS ? watch.onQuestion(queued) : watch.onAnswer(queued)
    } catch (error) {
      queued.mark = mark
      verdict = watch.onAnswerError(error, queued)
    }
    slab.fill(0xdd)
    return { id, verdict, mark: queued.mark }
  }
  const framing = (message: Uint8Array, { protocol }: Way) => (protocol === 'tcp' ? framed(message) : message)
  return {
    deliver,
    ask: (of: Asked, { uid = ROOT, ...way }: Way & { uid?: number } = {}) =>
      deliver(toResolver(framing(query(of), way), way), QUESTIONS, uid),
    answer: (message: Uint8Array, way: Way = {}) =>
      deliver(fromResolver(framing(message, way), way), ANSWERS, -1),
  }
}

export const QUESTION = asked(NAME)
export const ANSWER = response(QUESTION, [a(NAME, '198.51.100.1')])
export const PASSED = { verdict: NF_ACCEPT, mark: FOREIGN }
