/** Makes valid queries and answers of resolvers, which tests then break. */
import { type Answer, AUTHORITATIVE_ANSWER, encode, RECURSION_AVAILABLE, RECURSION_DESIRED } from 'dns-packet'
import type { Question } from '../../../src/core/dns/question.js'

export const A = 1
export const AAAA = 28
export const SRV = 33
const TYPES = { [A]: 'A', [AAAA]: 'AAAA', [SRV]: 'SRV' } as const

export interface Asked {
  readonly name: string
  readonly type: keyof typeof TYPES
  readonly id: number
}

export const asked = (name: string, type: Asked['type'] = A, id = 0x1234): Asked => ({ name, type, id })
/** Returns the question as the service reads it. */
export const questionOf = ({ name, type, id }: Asked): Question => ({ name, type, id })

const section = ({ name, type }: Asked) => [{ type: TYPES[type], name }]

export const query = (of: Asked): Buffer =>
  encode({ type: 'query', id: of.id, flags: RECURSION_DESIRED, questions: section(of) })

/** Builds an answer. @param flags more bits of the header, e.g. a failure code (RFC 1035, section 4.1.1) */
export const response = (of: Asked, answers: readonly Answer[], flags = 0): Buffer =>
  encode({
    type: 'response',
    id: of.id,
    flags: RECURSION_DESIRED | RECURSION_AVAILABLE | AUTHORITATIVE_ANSWER | flags,
    questions: section(of),
    answers: [...answers],
  })

export const NXDOMAIN = 3
export const SERVFAIL = 2

export const a = (name: string, data: string, ttl = 60): Answer => ({ type: 'A', name, data, ttl })
export const aaaa = (name: string, data: string, ttl = 60): Answer => ({ type: 'AAAA', name, data, ttl })
export const cname = (name: string, data: string, ttl = 60): Answer => ({ type: 'CNAME', name, data, ttl })
export const srv = (name: string, target: string, port = 80, ttl = 60): Answer => ({
  type: 'SRV',
  name,
  ttl,
  data: { target, port, priority: 0, weight: 0 },
})

/** Builds a message as TCP carries it: with its length before it. */
export function framed(message: Uint8Array): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(message.length)
  return Buffer.concat([length, message])
}
