import { HELD, NF_ACCEPT, NF_REPEAT, type Queue, type QueuedPacket, type Verdict } from 'node-netfilter-queue'
import { TokenBucket } from '../core/bounded/token-bucket.js'
import { questionsOf } from '../core/dns/query-policy.js'
import { type Question, readAnswered } from '../core/dns/question.js'
import type { ResolvedNames } from '../core/dns/resolved-names.js'
import { IPPROTO_TCP, IPPROTO_UDP } from '../core/packet/ip.js'
import { decode, Packet } from '../core/packet/packet.js'
import type { QueueForm } from '../core/ruleset/ruleset.js'
import { readAnswer } from '../names/dns/answer-reader.js'
import { PendingQueries } from '../names/dns/pending-queries.js'
import { TcpStreams } from '../names/dns/tcp-streams.js'
import type { LearnedAddresses } from '../names/learned-addresses.js'
import type { Valve } from './valve.js'

/** Answers that wait at the same time; each holds room in the queue. */
const HELD_AT_MOST = 1024

/** Milliseconds a second for answers that teach nothing but a name for the log. */
const OTHERS_MS = 20

export interface ResolverWatchOptions {
  readonly form: QueueForm
  readonly mask: number
  readonly valve: Pick<Valve, 'judge' | 'pass' | 'packet' | 'sender'>
  readonly learned: Pick<LearnedAddresses, 'isOfInterest' | 'learn'>
  /** Whether a user can be no accomplice of whoever forges answers: those who update, and the host's own resolvers. */
  readonly isTrusted: (uid: number, question: Packet) => boolean
  /** By which names addresses were found, allowed or not: for the log. */
  readonly seen: ResolvedNames
  /** Milliseconds that an answer may be held; 0: none is, and nothing is learned from any. */
  readonly budget: () => number
  readonly stats: AnswerStats
  /** An answer could not be read because of a fault in the program; it has gone on. */
  readonly onFault: (error: unknown) => void
}

/** Answers of resolvers to questions for allowed names. */
export interface AnswerStats {
  /** Those that taught something, or confirmed it. */
  learned: number
  /** Of them, those that had to wait. */
  held: number
  /** Of those, the ones that went on before the wait had its end. */
  missed: number
}

/**
 * The queues of what is said to and by the host's resolvers. A question is judged like every packet, and remembered. Its
 * answer is read, and goes on when the addresses in it are allowed: at once, for most. Nothing that comes in is ever lost here.
 */
export class DnsWatch {
  readonly #options: ResolverWatchOptions
  readonly #packet = new Packet()
  readonly #questions = new PendingQueries()
  /** Those that are for names of no rule. */
  readonly #others = new PendingQueries()
  readonly #othersTime = new TokenBucket(OTHERS_MS, OTHERS_MS, performance.now())
  readonly #streams = new TcpStreams()
  readonly #held = new Map<number, () => void>()
  /** How an answer leaves the queue: see Valve. */
  readonly #pass: Verdict
  #queue: Queue | undefined

  constructor(options: ResolverWatchOptions) {
    this.#options = options
    this.#pass = options.form === 'xtables' ? NF_REPEAT : NF_ACCEPT
  }

  /** The queue of answers. */
  attach(queue: Queue): void {
    this.#queue = queue
  }

  /** An answer that cannot be read goes on. */
  readonly onAnswerError = (error: unknown, queued: QueuedPacket): Verdict => {
    this.#options.onFault(error)
    queued.mark = this.#unmarked(queued)
    return this.#pass
  }

  expire(now: number): void {
    this.#questions.expire(now)
    this.#others.expire(now)
    this.#streams.expire(now)
  }

  /** Lets everything go on that waits. */
  release(): void {
    for (const release of [...this.#held.values()]) release()
  }

  readonly onQuestion = (queued: QueuedPacket): Verdict => {
    const { valve } = this.#options
    const decision = valve.judge(queued, true)
    if (decision.verdict === 'accept') this.#note(valve.packet, valve.sender.uid, Date.now())
    return valve.pass
  }

  #note(packet: Packet, uid: number, now: number): void {
    if (this.#options.budget() === 0) return
    const isTrusted = this.#options.isTrusted(uid, packet)
    let follow = false
    for (const question of questionsOf(packet) ?? []) {
      const isOfInterest = this.#options.learned.isOfInterest(question)
      const questions = isOfInterest ? this.#questions : this.#others
      questions.note(packet, question, uid, now, isTrusted)
      follow ||= isOfInterest
    }
    if (follow && packet.protocol === IPPROTO_TCP) this.#streams.follow(packet, uid, now, isTrusted)
  }

  readonly onAnswer = (queued: QueuedPacket): Verdict | typeof HELD => {
    const packet = this.#packet
    const { id } = queued
    const mark = this.#unmarked(queued)
    queued.mark = mark
    if (decode(queued.bytes, queued.start, queued.end, queued.length, packet) !== undefined) return this.#pass
    const waits = this.#messages(packet).flatMap((message) => this.#learn(message, packet) ?? [])
    // Whatever becomes of them: there may be nobody who waits.
    const wait = Promise.allSettled(waits)
    if (waits.length === 0 || this.#held.size >= HELD_AT_MOST) return this.#pass
    this.#hold(id, mark, wait)
    return HELD
  }

  #messages(packet: Packet): Uint8Array[] {
    const { bytes, payloadOffset, payloadEnd, protocol } = packet
    if (protocol === IPPROTO_UDP) return [bytes.subarray(payloadOffset, payloadEnd)]
    return protocol === IPPROTO_TCP ? this.#streams.messages(packet, Date.now()) : []
  }

  /** @returns what the program that has asked should wait for */
  #learn(message: Uint8Array, packet: Packet): Promise<void> | undefined {
    const now = Date.now()
    const answered = readAnswered(message, 0, message.length)
    if (answered === undefined) return undefined
    const asked = this.#questions.take(packet, answered, now)
    if (asked === undefined) return this.#overhear(message, packet, answered, now)
    const reading = readAnswer(message, asked.question)
    if (reading === undefined) return undefined
    const { learned, stats, seen } = this.#options
    seen.note(reading.hosts, asked.question.name, asked.uid, now)
    stats.learned++
    const { question, uid, isTrusted: trusted } = asked
    const isForgeable = packet.protocol === IPPROTO_UDP
    return learned.learn(question, reading, { uid, trusted, isForgeable })
  }

  /** An answer for a name of no rule: nobody has to wait for it, and it changes nothing. */
  #overhear(message: Uint8Array, packet: Packet, answered: Question, now: number): undefined {
    const start = performance.now()
    const asked = this.#othersTime.available(start) > 0 && this.#others.take(packet, answered, now)
    if (!asked) return
    const reading = readAnswer(message, asked.question)
    if (reading !== undefined) this.#options.seen.note(reading.hosts, asked.question.name, asked.uid, now)
    this.#othersTime.take(performance.now() - start)
  }

  #hold(id: number, mark: number, wait: Promise<unknown>): void {
    const { stats, budget } = this.#options
    stats.held++
    const end = () => {
      clearTimeout(timer)
      if (this.#held.delete(id)) this.#queue?.release(id, this.#pass, mark)
    }
    const timer = setTimeout(() => {
      stats.missed++
      end()
    }, budget())
    this.#held.set(id, end)
    wait.then(end)
  }

  #unmarked({ mark }: QueuedPacket): number {
    return (mark & ~this.#options.mask) >>> 0
  }
}
