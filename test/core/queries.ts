/** DNS messages, byte by byte, so that tests can make them wrong (RFC 1035, section 4.1). */
import { join } from './packets.js'

export interface QueryOptions {
  readonly id?: number
  /** The second word of the header; 0x0100 is: recursion desired. */
  readonly flags?: number
  /** How many questions, answers, authorities and additional records the header promises. */
  readonly counts?: readonly [number, number, number, number]
  readonly type?: number
  readonly class?: number
  /** Behind the question. */
  readonly rest?: Uint8Array
}

const uint16 = (value: number) => [value >> 8, value & 0xff]
const bytesOf = (text: string) => [...text].map((letter) => letter.charCodeAt(0))

/** A name on the wire: each label behind its length, and the empty one of the root. */
export function wireName(name: string): Uint8Array {
  const labels = name === '' ? [] : name.split('.')
  return Uint8Array.from([...labels.flatMap((label) => [label.length, ...bytesOf(label)]), 0])
}

/** A query for a name as it is on the wire. */
export function rawQuery(name: Uint8Array, options: QueryOptions = {}): Uint8Array {
  const counts = options.counts ?? [1, 0, 0, 0]
  const header = [options.id ?? 0x1234, options.flags ?? 0x0100, ...counts].flatMap(uint16)
  const question = [options.type ?? 1, options.class ?? 1].flatMap(uint16)
  return join(Uint8Array.from(header), name, Uint8Array.from(question), options.rest ?? new Uint8Array())
}

export const query = (name: string, options: QueryOptions = {}) => rawQuery(wireName(name), options)

/** An OPT record (RFC 6891). @param length of its data, as the record has it */
export function opt(data: readonly number[] = [], length = data.length): Uint8Array {
  return Uint8Array.from([0, ...uint16(41), ...uint16(1232), 0, 0, 0, 0, ...uint16(length), ...data])
}

/** As it goes over TCP, behind its length. */
export const framed = (message: Uint8Array, length = message.length) =>
  join(Uint8Array.from(uint16(length)), message)
