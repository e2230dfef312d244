import { decode, encode, type Packet as Message, RECURSION_DESIRED } from 'dns-packet'
import t from 'tap'
import { readAnswered, readQueries, readQuery } from '../../../src/core/dns/question.js'
import { join } from '../packets.js'
import { framed, opt, type QueryOptions, query, rawQuery, wireName } from '../queries.js'
import { seededRandom } from '../random.js'

const LABEL = 'a'.repeat(63)
/** LONGEST is the longest name: 255 bytes on the wire, with all lengths and the root. */
const LONGEST = [LABEL, LABEL, LABEL, 'a'.repeat(61)].join('.')
const NSID = [0, 3, 0, 0]
const WITH_OPT: QueryOptions = { counts: [1, 0, 0, 1], rest: opt() }

/**
 * Reads the first `length` bytes of a message between zeros, between ones, and before its rest. The result
 * must be the same.
 */
function between<T>(
  reader: (bytes: Uint8Array, start: number, end: number) => T,
  message: Uint8Array,
  length = message.length,
): T | 'depends on what lies outside' {
  const [found, ...others] = [0x00, 0xff, undefined].map((around) => {
    const bytes = new Uint8Array(message.length + 40).fill(around ?? 0)
    bytes.set(around === undefined ? message : message.subarray(0, length), 7)
    return reader(bytes, 7, 7 + length)
  })
  const isSame = others.every((other) => JSON.stringify(other) === JSON.stringify(found))
  return isSame ? found! : 'depends on what lies outside'
}

const read = (message: Uint8Array) => between(readQuery, message)
const readFramed = (segment: Uint8Array) => between(readQueries, segment)

/** Returns the query as a library writes it. */
const written = (message: Message) => new Uint8Array(encode(message))
const OPT = {
  type: 'OPT',
  name: '.',
  udpPayloadSize: 1232,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [{ code: 'PADDING', length: 9 }],
} as const

/** VECTORS has valid queries, and the question of each. */
const VECTORS: readonly [message: Uint8Array, name: string, type?: number][] = [
  [query('mirror.example.org'), 'mirror.example.org'],
  [query('mirror.example.org', { type: 28 }), 'mirror.example.org', 28],
  [query('_http._tcp.Mirror-1.EXAMPLE.org', { type: 33 }), '_http._tcp.mirror-1.example.org', 33],
  [query('localhost'), 'localhost'],
  [query('', { type: 2 }), '', 2],
  [query(LONGEST), LONGEST],
  [query('mirror.example.org', WITH_OPT), 'mirror.example.org'],
  [
    query('a.example', { counts: [1, 0, 0, 1], rest: opt([0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]) }),
    'a.example',
  ],
  [
    written({
      type: 'query',
      id: 0x1234,
      flags: RECURSION_DESIRED,
      questions: [{ type: 'AAAA', name: 'deb.Example.net' }],
    }),
    'deb.example.net',
    28,
  ],
  [
    written({
      type: 'query',
      id: 0x1234,
      questions: [{ type: 'SRV', name: '_https._tcp.deb.example.net' }],
      additionals: [OPT],
    } as unknown as Message),
    '_https._tcp.deb.example.net',
    33,
  ],
]

t.test('a query is read: its id, its name in lower case, its type', async (t) => {
  for (const [message, name, type = 1] of VECTORS) t.same(read(message), { id: 0x1234, name, type }, name)
  t.match(read(query('a.example', { id: 0xfffe, type: 0xff01 })), { id: 0xfffe, type: 0xff01 })
})

t.test('a query that is cut off anywhere is not read', async (t) => {
  for (const [message, name] of VECTORS) {
    const accepted = Array.from(message, (_, length) => between(readQuery, message, length))
    t.same(accepted, Array(message.length).fill(undefined), name)
  }
})

t.test('bits of the header other than response and opcode do not matter', async (t) => {
  for (let bit = 0; bit < 16; bit++) {
    const isWanted = (0x8000 | 0x7800) & (1 << bit)
    t.equal(read(query('a.example', { flags: 1 << bit })) === undefined, isWanted !== 0, `bit ${bit}`)
  }
})

t.test('a message with any other number of questions or records is not read', async (t) => {
  const two = join(wireName('b.example'), Uint8Array.of(0, 1, 0, 1))
  t.equal(
    read(query('a.example', { counts: [2, 0, 0, 0], rest: two })),
    undefined,
    'the query has two questions',
  )
  t.equal(
    read(query('a.example', { rest: two })),
    undefined,
    'a second question follows that is not in the counts',
  )
  t.equal(read(query('a.example', { counts: [0, 0, 0, 0] })), undefined)
  t.equal(read(query('a.example', { counts: [257, 0, 0, 0] })), undefined)
  t.equal(
    read(Uint8Array.from([0x12, 0x34, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
    undefined,
    'the header has nothing behind it',
  )
  for (const counts of [
    [1, 1, 0, 0],
    [1, 0, 1, 0],
    [1, 0, 0, 1],
    [1, 256, 0, 0],
    [1, 0, 256, 0],
  ] as const)
    t.equal(
      read(query('a.example', { counts })),
      undefined,
      `the counts are ${counts}, and no record follows`,
    )
  const record = opt()
  t.equal(
    read(query('a.example', { counts: [1, 1, 0, 0], rest: record })),
    undefined,
    'the record is an answer',
  )
  t.equal(
    read(query('a.example', { counts: [1, 0, 1, 0], rest: record })),
    undefined,
    'the record is an authority record',
  )
  const both = join(record, record)
  t.equal(
    read(query('a.example', { counts: [1, 0, 0, 2], rest: both })),
    undefined,
    'the query has two OPT records',
  )
})

t.test('the question is followed by at most one OPT record, which ends with the message', async (t) => {
  const withRest = (rest: Uint8Array, additional = 1) =>
    read(query('a.example', { counts: [1, 0, 0, additional], rest }))
  t.not(withRest(opt(NSID)), undefined)
  t.equal(withRest(opt(), 0), undefined, 'an OPT record follows that is not in the counts')
  t.equal(withRest(Uint8Array.of(0), 0), undefined, 'one byte follows')
  t.equal(withRest(join(opt(), Uint8Array.of(0))), undefined, 'one byte follows the OPT record')
  t.equal(withRest(opt(NSID, 3)), undefined, 'the length field is below the length of the data')
  t.equal(withRest(opt(NSID, 5)), undefined, 'the length field is above the length of the data')
  t.equal(withRest(opt([], 0xffff)), undefined)
  t.equal(withRest(opt([...query('b.example')])), undefined, 'the OPT record contains another message')
  const named = opt()
  named[0] = 1
  t.equal(withRest(named), undefined, 'an OPT record has the root as its name')
  for (const [at, value] of [
    [1, 1],
    [2, 1],
  ] as const) {
    const other = opt()
    other[at] = value
    t.equal(withRest(other), undefined, 'the record has another type')
  }
})

t.test('a name has letters, digits, hyphens and underscores only', async (t) => {
  const accepted: string[] = []
  for (let byte = 0; byte < 256; byte++) {
    const found = read(rawQuery(Uint8Array.from([3, 0x61, byte, 0x62, 0])))
    if (typeof found === 'object') accepted.push(found.name)
  }
  const letters = 'abcdefghijklmnopqrstuvwxyz'
  const expected = [...`-0123456789${letters}_${letters}`].map((letter) => `a${letter}b`)
  t.same(accepted, expected)
})

t.test('no byte makes two names look alike: a dot and a zero byte are refused', async (t) => {
  for (const bytes of [
    [3, 0x61, 0x2e, 0x62, 0],
    [3, 0x61, 0x00, 0x62, 0],
    [1, 0x20, 0],
    [2, 0x5c, 0x2e, 0],
    [4, 0xc3, 0xa4, 0x61, 0x61, 0],
  ])
    t.equal(read(rawQuery(Uint8Array.from(bytes))), undefined, `${bytes}`)
})

t.test('a label has at most 63 bytes; pointers and other kinds of labels are not read', async (t) => {
  t.match(read(query(LABEL)), { name: LABEL })
  for (let kind = 0x40; kind <= 0xff; kind++) {
    const name = Uint8Array.from([kind, ...Array(kind).fill(0x61), 0])
    t.equal(read(rawQuery(name)), undefined, `a label that begins with ${kind}`)
  }
  t.equal(read(rawQuery(Uint8Array.of(0xc0, 12))), undefined, 'the name is a pointer to itself')
  t.equal(
    read(rawQuery(Uint8Array.of(1, 0x61, 0xc0, 12))),
    undefined,
    'the name has a pointer behind a label',
  )
  t.equal(read(rawQuery(Uint8Array.of(1, 0x61, 0xc0, 12, 0))), undefined)
})

t.test('a name has at most 255 bytes, with all lengths and the root', async (t) => {
  t.equal(wireName(LONGEST).length, 255)
  t.match(read(query(LONGEST)), { name: LONGEST })
  const longer = [LABEL, LABEL, LABEL, 'a'.repeat(62)].join('.')
  t.equal(wireName(longer).length, 256)
  t.equal(read(query(longer)), undefined)
  t.equal(read(query(`${LONGEST}.a`)), undefined)
  t.match(read(query(Array(127).fill('a').join('.'))), { type: 1 }, 'the name has 127 labels')
  t.equal(read(query(Array(128).fill('a').join('.'))), undefined)
  t.equal(read(query(Array(1000).fill(LABEL).join('.'))), undefined)
})

t.test('only class IN is read', async (t) => {
  for (const other of [0, 2, 3, 4, 255, 257, 0x8001])
    t.equal(read(query('a.example', { class: other })), undefined, `class ${other}`)
})

t.test('for any bytes, an accepted query is the only question in the message', async (t) => {
  const random = seededRandom(20261018)
  const wrong: string[] = []
  let accepted = 0
  for (let i = 0; i < 100_000; i++) {
    const [original] = VECTORS[random(VECTORS.length)]!
    const message = mutated(original, random)
    const question = read(message)
    if (question === undefined) continue
    if (typeof question === 'string') wrong.push(`${question}: ${Buffer.from(message).toString('hex')}`)
    else if (!asksJust(message, question)) wrong.push(Buffer.from(message).toString('hex'))
    accepted++
  }
  t.same(wrong.slice(0, 5), [])
  t.ok(accepted > 10_000, `the fuzz reaches valid queries too (${accepted})`)
})

function mutated(bytes: Uint8Array, random: (limit: number) => number): Uint8Array {
  const copy = bytes.slice()
  for (let changes = random(4); changes > 0; changes--) {
    const at = random(copy.length)
    const way = random(3)
    copy[at] = way === 0 ? random(256) : way === 1 ? random(64) : copy[at]! ^ (1 << random(8))
  }
  return random(8) === 0 ? copy.subarray(0, random(copy.length + 1)) : copy
}

const lower = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1').toLowerCase()

/**
 * Returns whether a message is exactly this query, perhaps with an OPT record, and a library reads the same.
 */
function asksJust(
  message: Uint8Array,
  { id, name, type }: { id: number; name: string; type: number },
): boolean {
  const flags = (message[2]! << 8) | message[3]!
  const again = query(name, { id, type, flags, counts: [1, 0, 0, message[11]!] })
  const isSame = lower(message.subarray(0, again.length)) === lower(again)
  // The OPT record is left out: it does not belong to the question.
  const alone = Buffer.from(message.subarray(0, again.length))
  alone[11] = 0
  const { questions = [] } = decode(alone)
  return isSame && questions.length === 1 && questions[0]!.name.toLowerCase() === (name || '.')
}

t.test('the question is read from an answer; a query is refused there', async (t) => {
  const answer = written({
    type: 'response',
    id: 0xabcd,
    questions: [{ type: 'A', name: 'Mirror.example.org' }],
    answers: [{ type: 'A', name: 'mirror.example.org', ttl: 60, data: '198.51.100.2' }],
  })
  t.same(between(readAnswered, answer), { id: 0xabcd, name: 'mirror.example.org', type: 1, after: 36 + 7 })
  t.equal(between(readQuery, answer), undefined)
  for (const [message] of VECTORS) t.equal(between(readAnswered, message), undefined)
})

t.test('nothing is read from an answer without a complete question', async (t) => {
  const answered = (options: QueryOptions) =>
    between(readAnswered, query('a.example', { flags: 0x8180, ...options }))
  t.match(answered({}), { name: 'a.example' })
  t.match(
    answered({ counts: [1, 2, 3, 4] }),
    { name: 'a.example' },
    'the records of the answer do not matter',
  )
  t.equal(answered({ counts: [0, 1, 0, 0] }), undefined)
  t.equal(answered({ counts: [2, 1, 0, 0] }), undefined)
  t.equal(answered({ class: 3 }), undefined)
  t.equal(answered({ flags: 0x8180 | 0x2800 }), undefined, 'the answer is one to an update')
  const whole = query('a.example', { flags: 0x8180 })
  const cut = Array.from(whole, (_, length) => between(readAnswered, whole, length))
  t.same(cut, Array(whole.length).fill(undefined))
})

t.test('over TCP, each query has its length before it; one segment may have several', async (t) => {
  const [one, other] = [query('a.example'), query('b.example', WITH_OPT)]
  t.same(readFramed(framed(one)), [read(one)])
  t.same(readFramed(join(framed(one), framed(other), framed(one))), [read(one), read(other), read(one)])
  t.same(readFramed(new Uint8Array()), [], 'a segment without data has no query')
})

t.test('a segment with anything else than complete queries is not read', async (t) => {
  const one = query('a.example')
  const two = join(framed(one), framed(one))
  const whole = Array.from(two, (_, length) => between(readQueries, two, length)).flatMap((found, length) =>
    found === undefined ? [] : [length],
  )
  t.same(whole, [0, framed(one).length], 'a segment that is cut inside a query is not read')
  t.equal(readFramed(join(framed(one), Uint8Array.of(0))), undefined, 'one byte follows')
  t.equal(readFramed(join(framed(one), Uint8Array.of(0, 0))), undefined, 'the message has no bytes')
  t.equal(readFramed(Uint8Array.of(0, 0)), undefined)
  t.equal(readFramed(framed(one, one.length + 1)), undefined)
  t.equal(readFramed(framed(one, one.length - 1)), undefined)
  t.equal(readFramed(framed(one, 0xffff)), undefined)
  t.equal(
    readFramed(join(framed(one), framed(query('a.example', { class: 3 })))),
    undefined,
    'one of the queries is bad',
  )
  t.equal(readFramed(one), undefined, 'the query has no length before it')
})
