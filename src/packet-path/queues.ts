import { Queue } from 'node-netfilter-queue'
import type { Config } from '../config/config.js'
import { namesQueues } from '../core/ruleset/ruleset.js'
import { readQueueStatus } from '../kernel/proc/queue-counters.js'
import type { DnsWatch } from './dns-watch.js'
import type { Valve } from './valve.js'

/**
 * Bytes of a packet that the kernel copies. All headers fit: IPv4 with options, or IPv6 with extension
 * headers, and TCP; and the longest request of NTP (MAX_NTS in core/packet/ntp.ts) with usual headers.
 */
const COPY_RANGE = 1536
/** Packets that are judged in one batch. */
const BATCH = 64
/** DNS queries or answers that are judged in one batch. */
const DNS_BATCH = 16
/** Milliseconds after a backlog in which further packets may find the queue full. */
const BUSY_MS = 1000
/** Bytes of the socket's receive buffer. */
const RECEIVE_BUFFER = 8 * 1024 * 1024
/** Answers that may wait in the queue; further ones go on unread. */
const MAX_ANSWERS = 4096
const ANSWERS_RECEIVE_BUFFER = 1024 * 1024

/**
 * Opens the three netfilter queues of the service: new connections, queries to resolvers, and answers of
 * resolvers. When a queue is full, packets go on to the kernel's fallback.
 */
export class Queues {
  #packets: Queue | undefined
  #queries: Queue | undefined
  #answers: Queue | undefined
  /** What the last call of `isJudging` found: packets judged so far, and whether others were waiting. */
  #last = { judged: 0, isWaiting: false }
  /** When more packets were waiting than one batch takes: milliseconds of the monotonic clock. */
  #lastFull = Number.NEGATIVE_INFINITY

  /**
   * Binds all queues; from then on the kernel passes packets to the service.
   * @throws QueueOpenError (rejects); queues that are open already stay open until `close`
   */
  async open(queue: Config['queue'], valve: Valve, resolvers: DnsWatch): Promise<void> {
    this.#packets = await this.#openPackets(queue, valve)
    this.#queries = await openQueries(queue, valve, resolvers)
    this.#answers = await openAnswers(queue, valve, resolvers)
    resolvers.attach(this.#answers)
  }

  /** Whether packets may soon find the queue full and meet the kernel's fallback. */
  get isBusy(): boolean {
    return performance.now() - this.#lastFull < BUSY_MS
  }

  /** Why the service is not ready, a line each; empty when all queues are bound. */
  get unready(): string[] {
    const dns = isOpen(this.#queries) && isOpen(this.#answers)
    return [
      ...(isOpen(this.#packets) ? [] : ['the queue is not bound']),
      ...(dns ? [] : ['the queues for names are not bound']),
    ]
  }

  /** Whether packets are judged: all queues are bound, and if packets wait, some were judged since the last call. */
  isJudging(readStatus = readQueueStatus): boolean {
    if (this.#packets === undefined || this.unready.length > 0) return false
    const judged = this.#packets.stats.packets
    const isWaiting = (readStatus(this.#packets.number)?.waiting ?? 0) > 0
    const isStuck = isWaiting && this.#last.isWaiting && judged === this.#last.judged
    this.#last = { judged, isWaiting }
    return !isStuck
  }

  close(): void {
    this.#packets?.close()
    this.#queries?.close()
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

/**
 * Opens the queue of queries. Without `gso` the kernel cuts large packets first: a resolver reads each part
 * as a message.
 */
const openQueries = (queue: Config['queue'], valve: Valve, resolvers: DnsWatch) =>
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

/** Opens the queue of answers. Without `gso` the kernel cuts merged packets into the received ones first. */
const openAnswers = (queue: Config['queue'], valve: Valve, resolvers: DnsWatch) =>
  Queue.open({
    number: namesQueues(queue).answers,
    maxLength: MAX_ANSWERS,
    failOpen: true,
    receiveBuffer: ANSWERS_RECEIVE_BUFFER,
    onPacket: resolvers.onAnswer,
    batch: DNS_BATCH,
    onError: resolvers.onAnswerError,
    onBatch: valve.onBatch,
  })

const isOpen = (queue: Queue | undefined) => queue !== undefined && !queue.closed
