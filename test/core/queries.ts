/** Builds DNS messages byte by byte, so that tests can make them wrong (RFC 1035, section 4.1). */
import { join } from './packets.js'

export interface QueryOptions {
  readonly id?: number
  /** The second word of the header; 0x0100 means recursion desired. */
  readonly flags?: number
  /** The numbers of questions, answers, authorities and additional records in the header. */
  readonly counts?: readonly [number, number, number, number]
  readonly type?: number
  readonly class?: number
  /** The bytes that follow the question. */
  readonly rest?: Uint8Array
}

const uint16 = (value: number) => [value >> 8, value & 0xff]
const bytesOf = (text: string) => [...text].map((letter) => letter.charCodeAt(0))

/** Encodes a name: each label after its length, and the empty label of the root. */
export function wireName(name: string): Uint8Array {
  const labels = name === '' ? [] : name.split('.')
  return Uint8Array.from([...labels.flatMap((label) => [label.length, ...bytesOf(label)]), 0])
}

/** Builds a query for an encoded name. */
export function rawQuery(name: Uint8Array, options: QueryOptions = {}): Uint8Array {
  const counts = options.counts ?? [1, 0, 0, 0]
  const header = [options.id ?? 0x1234, options.flags ?? 0x0100, ...counts].flatMap(uint16)
  const question = [options.type ?? 1, options.class ?? 1].flatMap(uint16)
  return join(Uint8Array.from(header), name, Uint8Array.from(question), options.rest ?? new Uint8Array())
}

export const query = (name: string, options: QueryOptions = {}) => rawQuery(wireName(name), options)

/** Builds an OPT record (RFC 6891). @param length the length of the data in the record */
export function opt(data: readonly number[] = [], length = data.length): Uint8Array {
  return Uint8Array.from([0, ...uint16(41), ...uint16(1232), 0, 0, 0, 0, ...uint16(length), ...data])
}

/** Puts the length before a message, as over TCP. */
export const framed = (message: Uint8Array, length = message.length) =>
  join(Uint8Array.from(uint16(length)), message)
