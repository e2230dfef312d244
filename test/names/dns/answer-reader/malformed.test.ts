import type { Answer } from 'dns-packet'
import t from 'tap'
import { readAnswer } from '../../../../src/names/dns/answer-reader.js'
import { seededRandom } from '../../../core/random.js'
import { a, aaaa, asked, cname, questionOf, response } from '../answers.js'
import { hostsOf, NAME, read, texts } from './reading.js'

t.test('an answer that is cut at any byte gives nothing', async (t) => {
  const whole = response(asked(NAME), [
    cname(NAME, 'b.example.net'),
    a('b.example.net', '198.51.100.1'),
    aaaa('b.example.net', '2001:db8::1'),
  ])
  t.same(texts(whole)?.hosts, ['198.51.100.1', '2001:db8::1'])
  for (let length = 0; length < whole.length; length++)
    t.equal(
      readAnswer(whole.subarray(0, length), questionOf(asked(NAME))),
      undefined,
      `the answer is cut at ${length} bytes`,
    )
})

t.test('an answer with any byte changed is read or refused, and nothing is thrown', async (t) => {
  const whole = response(asked(NAME), [cname(NAME, 'b.example.net'), a('b.example.net', '198.51.100.1')])
  const random = seededRandom(7)
  for (let round = 0; round < 20_000; round++) {
    const bytes = Uint8Array.from(whole)
    for (let i = 0; i <= round % 3; i++) bytes[random(bytes.length)] = random(256)
    const reading = readAnswer(bytes, questionOf(asked(NAME)))
    if (reading !== undefined && reading.hosts.length > 64) t.fail('more than 64 addresses were read')
  }
  t.pass('every message was read to an end')
})

t.test('random bytes of any length give nothing', async (t) => {
  const random = seededRandom(8)
  for (const length of [0, 1, 11, 12, 13, 512, 65_535]) {
    const bytes = Uint8Array.from({ length }, () => random(256))
    t.equal(readAnswer(bytes, questionOf(asked(NAME))), undefined)
    // The same bytes follow the header of an answer.
    bytes.set(response(asked(NAME), []).subarray(0, length))
    t.equal(readAnswer(bytes, questionOf(asked(NAME))), undefined)
  }
})

/** Returns a header with these numbers of records. */
const header = (questions: number, answers: number) => [
  0x12,
  0x34,
  0x81,
  0x80,
  questions >> 8,
  questions & 255,
  answers >> 8,
  answers & 255,
  0,
  0,
  0,
  0,
]

t.test('the reader ends on names that point at themselves, forward, or in a circle', async (t) => {
  for (const pointer of [
    [0xc0, 12],
    [0xc0, 14],
    [0xff, 0xff],
    [1, 0x61, 0xc0, 12],
  ]) {
    const bytes = Uint8Array.from([
      ...header(0, 1),
      ...pointer,
      0,
      1,
      0,
      1,
      0,
      0,
      0,
      60,
      0,
      4,
      198,
      51,
      100,
      1,
    ])
    t.equal(readAnswer(bytes, questionOf(asked(NAME))), undefined, pointer.join())
  }
})

t.test('a message that consists of pointers to pointers is read in little time', async (t) => {
  // Each record's name points at the previous one, up to the longest message.
  const records: number[] = []
  for (let at = 12; at + 12 < 65_000; at += 12) {
    const target = at === 12 ? 12 : Math.min(at - 12, 0x3fff)
    records.push(
      ...(at === 12 ? [0, 0] : [0xc0 | (target >> 8), target & 255]),
      0,
      1,
      0,
      1,
      0,
      0,
      0,
      60,
      0,
      0,
    )
  }
  t.equal(readAnswer(Uint8Array.from([...header(0, 5000), ...records]), questionOf(asked(NAME))), undefined)
})

t.test('an answer with more records than the limit is not read at all', async (t) => {
  const more = (count: number): Answer[] =>
    Array.from({ length: count }, () => ({ type: 'TXT', name: '', data: [] }))
  t.same(hostsOf([a(NAME, '198.51.100.1'), ...more(127)]), ['198.51.100.1'])
  t.equal(read([a(NAME, '198.51.100.1'), ...more(128)]), undefined)
  for (const part of [8, 10]) {
    const bytes = response(asked(NAME), [a(NAME, '198.51.100.1')])
    bytes.writeUInt16BE(256, part)
    t.equal(texts(bytes), undefined, 'the limit counts the other sections as well')
  }
})

t.test('an answer with fewer records than its header counts is malformed', async (t) => {
  const bytes = response(asked(NAME), [a(NAME, '198.51.100.1')])
  bytes.writeUInt16BE(2, 6)
  t.equal(texts(bytes), undefined)
  bytes.writeUInt16BE(0xffff, 6)
  t.equal(texts(bytes), undefined)
})

t.test('an address record that is shorter than its type requires is malformed', async (t) => {
  const bytes = response(asked(NAME), [a(NAME, '198.51.100.1')])
  for (const length of [0, 1, 3]) {
    const broken = Buffer.concat([
      bytes.subarray(0, -6),
      Buffer.from([0, length]),
      bytes.subarray(-4),
      Buffer.alloc(16),
    ])
    t.equal(
      texts(broken.subarray(0, bytes.length - 4 + length)),
      undefined,
      `the address has ${length} bytes`,
    )
  }
})
