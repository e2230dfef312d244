/** Remembers the queries that wait for their answer: only an answer to one of them is believed. */

import { PerUserTable } from '../../core/bounded/per-user-table.js'
import type { Question } from '../../core/dns/question.js'
import type { Packet } from '../../core/packet/packet.js'

/** A query, its sender (a user id, or -1 when the kernel names none), and whether that user is trusted. */
export interface PendingQuery {
  readonly question: Question
  readonly uid: number
  readonly isTrusted: boolean
}

const MAX_PER_USER = 512
/** Resolvers give up before. */
const LIFETIME_MS = 30_000

export class PendingQueries {
  readonly #asked = new PerUserTable<PendingQuery>(MAX_PER_USER, LIFETIME_MS)

  get size(): number {
    return this.#asked.size
  }

  /** @param packet carries the query to the resolver */
  note(packet: Packet, question: Question, uid: number, now: number, isTrusted = false): void {
    const { family, protocol, source, sourcePort, destination } = packet
    const key = keyOf(family, protocol, destination, source, sourcePort, question)
    this.#asked.put(uid, key, { question, uid, isTrusted }, now, isTrusted)
  }

  /**
   * Returns the query that a packet answers, and forgets it; undefined when there is none. @param packet
   * comes from the resolver
   */
  take(packet: Packet, answered: Question, now: number): PendingQuery | undefined {
    const { family, protocol, source, destination, destinationPort } = packet
    const key = keyOf(family, protocol, source, destination, destinationPort, answered)
    const asked = this.#asked.get(key, now)
    if (asked !== undefined) this.#asked.delete(key)
    return asked
  }

  expire(now: number): void {
    this.#asked.expire(now)
  }
}

/**
 * The key has all that an answer must match: resolver, protocol, local address and port, ID and question (RFC
 * 5452, 9.1).
 */
const keyOf = (
  family: number,
  protocol: number,
  resolver: Uint32Array,
  local: Uint32Array,
  localPort: number,
  { id, type, name }: Question,
) => `${family} ${resolver.join()} ${protocol} ${local.join()} ${localPort} ${id} ${type} ${name}`
