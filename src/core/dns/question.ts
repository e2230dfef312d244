/**
 * Reads the question of a DNS message. It is strict on purpose: a resolver must not see another question in
 * the same bytes. Allowed is one question in class IN, with the letters of host names and service names,
 * without compression, followed by nothing but one OPT record (RFC 1035, RFC 6891).
 */

import { isOpt, word } from './edns.js'

/** The question of a query, or the one that an answer repeats. */
export interface Question {
  /** The id of the message. */
  readonly id: number
  /** The name in lower case, without the last dot; '' for the root. */
  readonly name: string
  /** The record type: 1 A, 28 AAAA, 33 SRV. */
  readonly type: number
}

const HEADER = 12
/** Bits of the second word (RFC 1035, section 4.1.1): a response; the opcode, 0 for a standard query. */
const QR = 0x8000
const OPCODE = 0x7800
const CLASS_IN = 1
const MAX_NAME = 255

/**
 * Reads the query in `bytes` from `start` up to, without, `end`. Returns undefined when the bytes are
 * anything else.
 */
export function readQuery(bytes: Uint8Array, start: number, end: number): Question | undefined {
  if (end - start < HEADER || (word(bytes, start + 2) & (QR | OPCODE)) !== 0) return undefined
  const noRecords = word(bytes, start + 6) === 0 && word(bytes, start + 8) === 0
  const additional = word(bytes, start + 10)
  if (!noRecords || additional > 1) return undefined
  const question = readQuestion(bytes, start, end)
  if (question === undefined) return undefined
  const { after, ...rest } = question
  const whole = additional === 0 ? after === end : isOpt(bytes, after, end)
  return whole ? rest : undefined
}

/** Whether a message is marked as a response. */
export const isResponse = (bytes: Uint8Array, start: number, end: number): boolean =>
  end - start >= HEADER && (word(bytes, start + 2) & QR) !== 0

/**
 * Reads the question that a response repeats. Returns undefined when the message is no response or has no
 * question.
 */
export function readAnswered(bytes: Uint8Array, start: number, end: number): Question | undefined {
  if (end - start < HEADER || (word(bytes, start + 2) & (QR | OPCODE)) !== QR) return undefined
  return readQuestion(bytes, start, end)
}

/**
 * Reads the queries of a TCP segment, each after its length (RFC 1035, section 4.2.2). Returns undefined when
 * the segment holds anything else, or an incomplete query: a client gains nothing by splitting a query but to
 * hide it.
 */
export function readQueries(bytes: Uint8Array, start: number, end: number): Question[] | undefined {
  const questions: Question[] = []
  for (let at = start; at < end; ) {
    if (at + 2 > end) return undefined
    const next = at + 2 + word(bytes, at)
    const question = next <= end ? readQuery(bytes, at + 2, next) : undefined
    if (question === undefined) return undefined
    questions.push(question)
    at = next
  }
  return questions
}

function readQuestion(
  bytes: Uint8Array,
  start: number,
  end: number,
): (Question & { after: number }) | undefined {
  if (word(bytes, start + 4) !== 1) return undefined
  let name = ''
  let at = start + HEADER
  for (;;) {
    if (at >= end) return undefined
    const length = bytes[at++]!
    if (length === 0) break
    if (length > 63 || at + length > end) return undefined
    const label = readLabel(bytes, at, length)
    if (label === undefined) return undefined
    name += name === '' ? label : `.${label}`
    at += length
    // The length includes the root, which is one more byte.
    if (at + 1 - start - HEADER > MAX_NAME) return undefined
  }
  if (at + 4 > end || word(bytes, at + 2) !== CLASS_IN) return undefined
  return { id: word(bytes, start), name, type: word(bytes, at), after: at + 4 }
}

function readLabel(bytes: Uint8Array, at: number, length: number): string | undefined {
  let label = ''
  for (let i = at; i < at + length; i++) {
    const byte = bytes[i]!
    const isUpper = byte >= 0x41 && byte <= 0x5a
    const isLower = byte >= 0x61 && byte <= 0x7a
    const isDigit = byte >= 0x30 && byte <= 0x39
    if (!isUpper && !isLower && !isDigit && byte !== 0x2d && byte !== 0x5f) return undefined
    label += String.fromCharCode(isUpper ? byte + 32 : byte)
  }
  return label
}
