import { Queue } from 'node-netfilter-queue'
import type { Config } from '../config/config.js'
import { namesQueues } from '../core/ruleset/ruleset.js'
import type { DnsWatch } from './dns-watch.js'
import type { Valve } from './valve.js'

/** All headers fit: IPv4 with options and TCP, or IPv6 with a chain of extension headers. */
const COPY_RANGE = 512
/** Packets judged in one go. */
const BATCH = 64
/** The same, of DNS questions and answers. */
const DNS_BATCH = 16
/** For so long after a backlog packets are expected to find the queue full. */
const BUSY_MS = 1000
const RECEIVE_BUFFER = 8 * 1024 * 1024
/** Answers of resolvers that may wait; more go on unread. */
const ANSWERS_AT_MOST = 4096
const ANSWERS_RECEIVE_BUFFER = 1024 * 1024

/**
 * The three netfilter queues of the service: new connections, questions to resolvers, and answers of resolvers. A full
 * queue lets packets go on to the kernel's fallback.
 */
export class Queues {
  #packets: Queue | undefined
  #questions: Queue | undefined
  #answers: Queue | undefined
  /** When more packets were waiting than are judged in one go: milliseconds of the monotonic clock. */
  #lastFull = Number.NEGATIVE_INFINITY

  /**
   * Binds all three; the kernel hands packets over from then on.
   * @throws QueueOpenError (rejects); those already open stay open until `close`
   */
  async open(queue: Config['queue'], valve: Valve, resolvers: DnsWatch): Promise<void> {
    this.#packets = await this.#openPackets(queue, valve)
    this.#questions = await openQuestions(queue, valve, resolvers)
    this.#answers = await openAnswers(queue, valve, resolvers)
    resolvers.attach(this.#answers)
  }

  /** Whether packets may soon find the queue full and meet the kernel's fallback. */
  get isBusy(): boolean {
    return performance.now() - this.#lastFull < BUSY_MS
  }

  /** What keeps the service from being ready, a line each; empty when all queues are bound. */
  get unready(): string[] {
    const dns = isOpen(this.#questions) && isOpen(this.#answers)
    return [
      ...(isOpen(this.#packets) ? [] : ['the queue is not bound']),
      ...(dns ? [] : ['the queues for names are not bound']),
    ]
  }

  close(): void {
    this.#packets?.close()
    this.#questions?.close()
    this.#answers?.close()
  }

  #openPackets({ first, maxLength }: Config['queue'], valve: Valve): Promise<Queue> {
    return Queue.open({
      number: first,
      copyRange: COPY_RANGE,
      maxLength,
      failOpen: true,
      uidGid: true,
      gso: true,
      receiveBuffer: RECEIVE_BUFFER,
      onPacket: valve.onPacket,
      batch: BATCH,
      onError: valve.onError,
      onBatch: (packets) => {
        valve.onBatch()
        if (packets >= Math.min(BATCH, maxLength)) this.#lastFull = performance.now()
      },
    })
  }
}

/** Large packets are shown as those that they will be cut into: each is a message of its own to a resolver. */
const openQuestions = (queue: Config['queue'], valve: Valve, resolvers: DnsWatch) =>
  Queue.open({
    number: namesQueues(queue).questions,
    maxLength: queue.maxLength,
    failOpen: true,
    uidGid: true,
    receiveBuffer: RECEIVE_BUFFER,
    onPacket: resolvers.onQuestion,
    batch: DNS_BATCH,
    onError: valve.onError,
    onBatch: valve.onBatch,
  })

/** Large packets are shown as those that they were put together of, as for questions. */
const openAnswers = (queue: Config['queue'], valve: Valve, resolvers: DnsWatch) =>
  Queue.open({
    number: namesQueues(queue).answers,
    maxLength: ANSWERS_AT_MOST,
    failOpen: true,
    receiveBuffer: ANSWERS_RECEIVE_BUFFER,
    onPacket: resolvers.onAnswer,
    batch: DNS_BATCH,
    onError: resolvers.onAnswerError,
    onBatch: valve.onBatch,
  })

const isOpen = (queue: Queue | undefined) => queue !== undefined && !queue.closed
