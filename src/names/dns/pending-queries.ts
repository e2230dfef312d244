/** The questions to resolvers that wait for their answers: only an answer to one of them is believed. */

import type { Question } from '../../core/dns/question.js'
import type { Packet } from '../../core/packet/packet.js'
import { PerUserTable } from './per-user-table.js'

/** A question and who has asked it: a user id, or -1 where the kernel names none; and whether that one is trusted. */
export interface PendingQuery {
  readonly question: Question
  readonly uid: number
  readonly isTrusted: boolean
}

const ROOM_A_USER = 512
/** Resolvers give up earlier. */
const LIFETIME_MS = 30_000

export class Questions {
  readonly #asked = new PerUserTable<PendingQuery>(ROOM_A_USER, LIFETIME_MS)

  get size(): number {
    return this.#asked.size
  }

  /** @param packet the one that carries the question to the resolver */
  note(packet: Packet, question: Question, uid: number, now: number, isTrusted = false): void {
    const { family, protocol, source, sourcePort, destination } = packet
    const key = keyOf(family, protocol, destination, source, sourcePort, question)
    this.#asked.put(uid, key, { question, uid, isTrusted }, now, isTrusted)
  }

  /** Who has asked for what a packet answers; that question is answered now. @param packet comes from the resolver */
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

/** Resolver, protocol, local address and port, number and question: RFC 5452, section 9.1. */
const keyOf = (
  family: number,
  protocol: number,
  resolver: Uint32Array,
  local: Uint32Array,
  localPort: number,
  { id, type, name }: Question,
) => `${family} ${resolver.join()} ${protocol} ${local.join()} ${localPort} ${id} ${type} ${name}`
