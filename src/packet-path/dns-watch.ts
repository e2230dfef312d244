import { HELD, NF_ACCEPT, NF_REPEAT, type Queue, type QueuedPacket, type Verdict } from 'node-netfilter-queue'
import { TokenBucket } from '../core/bounded/token-bucket.js'
import { UserTimeBudget } from '../core/bounded/user-time-budget.js'
import { questionsOf } from '../core/dns/query-policy.js'
import { type Question, readAnswered } from '../core/dns/question.js'
import type { ResolvedNames } from '../core/dns/resolved-names.js'
import { IPPROTO_TCP, IPPROTO_UDP } from '../core/packet/ip.js'
import { decode, Packet } from '../core/packet/packet.js'
import type { QueueForm } from '../core/ruleset/ruleset.js'
import { type AnswerContent, readAnswer } from '../names/dns/answer-reader.js'
import { PendingQueries, type PendingQuery } from '../names/dns/pending-queries.js'
import { TcpStreams } from '../names/dns/tcp-streams.js'
import type { LearnedAddresses } from '../names/learned-addresses.js'
import type { Valve } from './valve.js'

/** The maximum number of held answers: each takes a place in the queue. */
const MAX_HELD = 1024

/**
 * Milliseconds per second for answers to queries of users without trust: anybody can forge answers that take long to
 * read. Further ones go on unread; the service looks the names of rules up itself.
 */
const UNTRUSTED_MS = 60
/** Milliseconds per second for answers to names of no rule: they give only names for the log. */
const LOG_NAMES_MS = 20

export interface DnsWatchOptions {
  readonly form: QueueForm
  readonly mask: number
  readonly valve: Pick<Valve, 'judge' | 'pass' | 'packet' | 'sender'>
  readonly learned: Pick<LearnedAddresses, 'isOfInterest' | 'learn'>
  /** Whether a query comes from a trusted user, who is no accomplice of an attacker who forges answers. */
  readonly isTrusted: (uid: number, query: Packet) => boolean
  /** Remembers the names of addresses, allowed or not: for the log. */
  readonly seen: ResolvedNames
  /**
   * Returns the milliseconds that an answer may be held. With 0 no answer is held, and nothing is learned.
   */
  readonly budget: () => number
  readonly stats: AnswerStats
  /** Called when an answer could not be read because of a fault in the program; the answer goes on. */
  readonly onFault: (error: unknown) => void
}

/** Counts the answers to queries for allowed names. */
export interface AnswerStats {
  /** Answers whose addresses were learned or confirmed. */
  learned: number
  /** Answers of these that were held until their addresses were allowed. */
  held: number
  /** Held answers that went on before their addresses were allowed, since the time was over. */
  missed: number
}

/**
 * Handles the queues of DNS queries and answers. A query is judged like every packet, and remembered. An
 * answer is read, and goes on as soon as its addresses are allowed, mostly at once. No answer is ever
 * dropped.
 */
export class DnsWatch {
  readonly #options: DnsWatchOptions
  readonly #packet = new Packet()
  /** Queries for names of rules. */
  readonly #queries = new PendingQueries()
  /** Queries for all other names. */
  readonly #otherQueries = new PendingQueries()
  readonly #untrustedTime = new UserTimeBudget(UNTRUSTED_MS, performance.now())
  readonly #otherTime = new TokenBucket(LOG_NAMES_MS, LOG_NAMES_MS, performance.now())
  readonly #streams = new TcpStreams()
  readonly #held = new Map<number, () => void>()
  /** The verdict by which an answer leaves the queue: see Valve. */
  readonly #pass: Verdict
  #queue: Queue | undefined

  constructor(options: DnsWatchOptions) {
    this.#options = options
    this.#pass = options.form === 'xtables' ? NF_REPEAT : NF_ACCEPT
  }

  /** Sets the queue of answers, which releases the held ones. */
  attach(queue: Queue): void {
    this.#queue = queue
  }

  /** Handles a fault in `onAnswer`: the answer goes on. */
  readonly onAnswerError = (error: unknown, queued: QueuedPacket): Verdict => {
    this.#options.onFault(error)
    queued.mark = this.#unmarked(queued)
    return this.#pass
  }

  /** Forgets queries without an answer. @param now milliseconds since the epoch */
  expire(now: number): void {
    this.#queries.expire(now)
    this.#otherQueries.expire(now)
    this.#streams.expire(now)
  }

  /** Releases all held answers. */
  release(): void {
    for (const release of [...this.#held.values()]) release()
  }

  /** Judges a packet to a resolver, and remembers its queries when it is accepted. */
  readonly onQuestion = (queued: QueuedPacket): Verdict => {
    const { valve } = this.#options
    const decision = valve.judge(queued)
    if (decision.verdict === 'accept') this.#note(valve.packet, valve.sender.uid, Date.now())
    return valve.pass
  }

  #note(packet: Packet, uid: number, now: number): void {
    if (this.#options.budget() === 0) return
    const isTrusted = this.#options.isTrusted(uid, packet)
    let followsStream = false
    for (const question of questionsOf(packet) ?? []) {
      const isOfInterest = this.#options.learned.isOfInterest(question)
      const questions = isOfInterest ? this.#queries : this.#otherQueries
      questions.note(packet, question, uid, now, isTrusted)
      followsStream ||= isOfInterest
    }
    if (followsStream && packet.protocol === IPPROTO_TCP) this.#streams.follow(packet, uid, now, isTrusted)
  }

  /** Reads a packet from a resolver. @returns HELD when it must wait until its addresses are allowed */
  readonly onAnswer = (queued: QueuedPacket): Verdict | typeof HELD => {
    const packet = this.#packet
    const { id } = queued
    const mark = this.#unmarked(queued)
    queued.mark = mark
    if (decode(queued.bytes, queued.start, queued.end, queued.length, packet) !== undefined) return this.#pass
    const waits = this.#messages(packet).flatMap((message) => this.#learn(message, packet) ?? [])
    // Rejections are handled even when the answer is not held.
    const wait = Promise.allSettled(waits)
    if (waits.length === 0 || this.#held.size >= MAX_HELD) return this.#pass
    this.#hold(id, mark, wait)
    return HELD
  }

  /** Returns the DNS messages in a packet from a resolver. */
  #messages(packet: Packet): Uint8Array[] {
    const { bytes, payloadOffset, payloadEnd, protocol } = packet
    if (protocol === IPPROTO_UDP) return [bytes.subarray(payloadOffset, payloadEnd)]
    return protocol === IPPROTO_TCP ? this.#streams.messages(packet, Date.now()) : []
  }

  /**
   * Learns the addresses of an answer.
   * @returns what the answer must wait for; undefined when it can go on at once
   */
  #learn(message: Uint8Array, packet: Packet): Promise<void> | undefined {
    const now = Date.now()
    const answered = readAnswered(message, 0, message.length)
    if (answered === undefined) return undefined
    const asked = this.#queries.take(packet, answered, now)
    if (asked === undefined) return this.#noteForLog(message, packet, answered, now)
    const reading = this.#read(message, asked)
    if (reading === undefined) return undefined
    const { learned, stats, seen } = this.#options
    seen.note(reading.hosts, asked.question.name, asked.uid, now)
    stats.learned++
    const { question, uid, isTrusted: trusted } = asked
    const isForgeable = packet.protocol === IPPROTO_UDP
    return learned.learn(question, reading, { uid, trusted, isForgeable })
  }

  /** Reads an answer to a name of a rule, as long as there is time for the user who asked. */
  #read(message: Uint8Array, { question, uid, isTrusted }: PendingQuery): AnswerContent | undefined {
    if (isTrusted) return readAnswer(message, question)
    const start = performance.now()
    if (!this.#untrustedTime.has(uid, start)) return undefined
    const content = readAnswer(message, question)
    this.#untrustedTime.spend(uid, performance.now() - start, start)
    return content
  }

  /** Reads an answer to a name of no rule, for the log. It can go on at once. */
  #noteForLog(message: Uint8Array, packet: Packet, answered: Question, now: number): undefined {
    const start = performance.now()
    const asked = this.#otherTime.available(start) > 0 && this.#otherQueries.take(packet, answered, now)
    if (!asked) return
    const reading = readAnswer(message, asked.question)
    if (reading !== undefined) this.#options.seen.note(reading.hosts, asked.question.name, asked.uid, now)
    this.#otherTime.take(performance.now() - start)
  }

  /** Releases an answer when `wait` is settled, or when the time is over. */
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

  /** Returns the mark of a packet without the bits of this service. */
  #unmarked({ mark }: QueuedPacket): number {
    return (mark & ~this.#options.mask) >>> 0
  }
}
