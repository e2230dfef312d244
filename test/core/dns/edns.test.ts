import t from 'tap'
import { isOpt } from '../../../src/core/dns/edns.js'
import { join } from '../packets.js'
import { opt } from '../queries.js'

/** Returns an option with this many bytes of data. */
const option = (code: number, length: number, value = 0) => [
  code >> 8,
  code & 255,
  length >> 8,
  length & 255,
  ...Array(length).fill(value),
]

/** Returns whether a record with these options, somewhere in a message, may be sent. */
function maySend(...options: number[][]): boolean {
  const record = opt(options.flat())
  const bytes = join(Uint8Array.of(7, 7), record, Uint8Array.of(9))
  return isOpt(bytes, 2, 2 + record.length)
}

const lengths = (code: number, value = 0) =>
  Array.from({ length: 512 }, (_, length) => length).filter((length) => maySend(option(code, length, value)))
const from = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)

t.test('each option that programs use may be sent in the lengths of its RFC, and in no other', async (t) => {
  t.same(lengths(3, 1), [0], 'NSID is empty')
  t.same(lengths(8, 1), from(4, 20), 'a client subnet has 4 to 20 bytes')
  t.same(lengths(10, 1), [8, ...from(16, 40)], 'a cookie has 8 or 16 to 40 bytes')
  t.same(lengths(11, 1), [0], 'keepalive is empty')
  t.same(lengths(12), from(0, 128), 'padding has up to 128 bytes')
  t.same(lengths(12, 1), [0], 'padding has only zero bytes')
})

t.test('all other options are short, no option comes twice, and all together are bounded', async (t) => {
  const refused = Array.from({ length: 65536 }, (_, code) => code).filter((code) => !maySend(option(code, 0)))
  t.same(refused, [8, 10], 'these have data')
  for (const code of [9, 15, 26946, 65001]) t.same(lengths(code), from(0, 32))
  t.ok(maySend(option(3, 0), option(10, 8, 1), option(12, 20), option(65001, 4)))
  t.notOk(maySend(option(10, 8, 1), option(10, 8, 1)))
  t.notOk(maySend(option(65001, 4), option(65001, 4)))
  const many = Array.from({ length: 9 }, (_, i) => option(65001 + i, 31))
  t.ok(maySend(...many))
  t.notOk(maySend(...many, option(3, 2)), 'more than 320 bytes')
})

t.test('options that do not fit into the record are refused', async (t) => {
  for (const cut of [1, 2, 3, 5, 11])
    t.notOk(maySend(option(10, 8).slice(0, -cut)), `${cut} bytes are missing`)
  t.notOk(maySend(option(3, 0), [0]))
  t.notOk(maySend([0, 12, 255, 255]))
})

t.test('only the flag DO may be set, and the version is 0', async (t) => {
  const allowed: string[] = []
  for (const at of [5, 6, 7, 8])
    for (let bit = 0; bit < 8; bit++) {
      const record = opt()
      record[at]! |= 1 << bit
      if (isOpt(record, 0, record.length)) allowed.push(`${at}: ${bit}`)
    }
  t.same(allowed, ['7: 7'])
})

t.test('a record must be complete and of type OPT', async (t) => {
  const record = opt(option(10, 8))
  for (let end = 0; end < record.length; end++)
    t.notOk(isOpt(record, 0, end), `the record is cut at byte ${end}`)
  for (const at of [0, 1, 2, 9, 10]) {
    const other = opt(option(10, 8))
    other[at]! ^= 1
    t.notOk(isOpt(other, 0, other.length), `byte ${at} is wrong`)
  }
})
