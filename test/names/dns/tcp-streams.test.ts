import t from 'tap'
import { TCPHDR_ACK, TCPHDR_FIN, TCPHDR_RST, TCPHDR_SYN } from '../../../src/core/packet/packet.js'
import { TcpStreams } from '../../../src/names/dns/tcp-streams.js'
import { framed } from './answers.js'
import { fromResolver, packetOf, RESOLVER6, toResolver, type Way } from './traffic.js'

const NOW = 1_800_000_000_000
const NOTHING = new Uint8Array()
const TCP = { protocol: 'tcp' } as const
const ONE = Buffer.from('the first message')
const TWO = Buffer.from('the second')

/** Follows a connection with a query; the resolver's next byte has the number `sequence`. */
function followed(sequence = 1000, way: Way = {}, uid = 0) {
  const streams = new TcpStreams()
  streams.follow(packetOf(toResolver(NOTHING, { ...TCP, acknowledged: sequence, ...way })), uid, NOW)
  return streams
}

/** Returns the messages that a segment of the resolver completes, as text. */
const feed = (streams: TcpStreams, sequence: number, payload: Uint8Array, way: Way = {}, now = NOW) =>
  streams.messages(packetOf(fromResolver(payload, { ...TCP, sequence, ...way })), now).map(String)

t.test('a message is read from one segment, and from several', async (t) => {
  t.same(feed(followed(), 1000, framed(ONE)), [`${ONE}`])
  t.same(feed(followed(), 1000, Buffer.concat([framed(ONE), framed(TWO)])), [`${ONE}`, `${TWO}`])
  t.same(feed(followed(1000, { resolver: RESOLVER6 }), 1000, framed(ONE), { resolver: RESOLVER6 }), [
    `${ONE}`,
  ])
})

t.test('two messages that are cut at any two bytes are read whole', async (t) => {
  const both = Buffer.concat([framed(ONE), framed(TWO)])
  for (let first = 0; first <= both.length; first++)
    for (let second = first; second <= both.length; second++) {
      const streams = followed()
      const pieces = [both.subarray(0, first), both.subarray(first, second), both.subarray(second)]
      const offsets = [0, first, second]
      const messages = pieces.flatMap((piece, i) => feed(streams, 1000 + offsets[i]!, piece))
      if (messages.join() !== `${ONE},${TWO}`) t.fail(`cut at ${first} and ${second}: ${messages}`)
    }
  t.pass('every cut was tried')
})

t.test('two messages are read when each byte arrives in its own segment, twice', async (t) => {
  const streams = followed()
  const messages = [...framed(ONE)].flatMap((byte, i) => [
    ...feed(streams, 1000 + i, Uint8Array.of(byte)),
    ...feed(streams, 1000 + i, Uint8Array.of(byte)),
  ])
  t.same(messages, [`${ONE}`])
})

t.test('bytes that are sent again count once, however they overlap', async (t) => {
  const both = Buffer.concat([framed(ONE), framed(TWO)])
  for (let known = 0; known <= both.length; known++)
    for (let from = 0; from <= known; from++) {
      const streams = followed()
      const messages = [
        ...feed(streams, 1000, both.subarray(0, known)),
        ...feed(streams, 1000 + from, both.subarray(from)),
        ...feed(streams, 1000, both),
      ]
      if (messages.join() !== `${ONE},${TWO}`) t.fail(`${known} bytes known, again from ${from}: ${messages}`)
    }
  t.pass('every overlap was tried')
})

t.test('sequence numbers may wrap around at any byte', async (t) => {
  const bytes = framed(ONE)
  for (let before = 0; before <= bytes.length; before++) {
    const start = (2 ** 32 - before) % 2 ** 32
    const streams = followed(start)
    const messages = [
      ...feed(streams, start, bytes.subarray(0, 9)),
      ...feed(streams, start + 9, bytes.subarray(9)),
      ...feed(streams, start, bytes),
      ...feed(streams, start + bytes.length, framed(TWO)),
    ]
    t.same(messages, [`${ONE}`, `${TWO}`], `the numbers wrap around after ${before} bytes`)
  }
})

t.test('after a gap nothing is read until the missing bytes arrive again', async (t) => {
  const streams = followed()
  const first = framed(ONE)
  t.same(feed(streams, 1000 + first.length, framed(TWO)), [])
  t.same(feed(streams, 1000, first), [`${ONE}`])
  t.same(feed(streams, 1000 + first.length, framed(TWO)), [`${TWO}`])
})

t.test(
  'bytes that the program has acknowledged, but that were never queued, are skipped at its next packet',
  async (t) => {
    const streams = followed()
    t.same(feed(streams, 1000, framed(ONE).subarray(0, 3)), [])
    streams.follow(packetOf(toResolver(NOTHING, { ...TCP, acknowledged: 2000 })), 0, NOW)
    t.same(feed(streams, 2000, framed(TWO)), [`${TWO}`])
  },
)

t.test('a reset or FIN with a wrong sequence number does not end a stream', async (t) => {
  for (const flags of [TCPHDR_RST, TCPHDR_RST | TCPHDR_ACK, TCPHDR_FIN | TCPHDR_ACK])
    for (const sequence of [0, 999, 1001, 70_000, 1000 + 2 ** 31, 0xffffffff]) {
      const streams = followed()
      t.same(feed(streams, sequence, NOTHING, { flags }), [])
      t.same(feed(streams, 1000, framed(ONE)), [`${ONE}`], `the flags are ${flags} at ${sequence}`)
    }
})

t.test('a segment far before or behind the window does not belong to the stream', async (t) => {
  for (const sequence of [1000 + 2 ** 31, 1000 + 2 ** 31 - 1, 1000 - 70_000, 0xffffffff]) {
    const streams = followed()
    t.same(feed(streams, sequence, framed(ONE)), [], `the sequence number is ${sequence}`)
    t.same(feed(streams, 1000, framed(ONE)), [`${ONE}`], 'the stream continues')
  }
})

t.test('segments without data change nothing: acknowledgements and keepalive probes', async (t) => {
  const streams = followed()
  t.same(feed(streams, 1000, NOTHING), [])
  t.same(feed(streams, 999, NOTHING), [])
  t.same(feed(streams, 999, Uint8Array.of(0)), [])
  t.same(feed(streams, 1000, framed(ONE)), [`${ONE}`])
})

t.test('data in the last segment of a connection is read; then the connection is removed', async (t) => {
  for (const end of [TCPHDR_FIN, TCPHDR_RST]) {
    const streams = followed()
    t.same(feed(streams, 1000, framed(ONE), { flags: TCPHDR_ACK | end }), [`${ONE}`])
    t.equal(streams.size, 0)
    t.same(feed(streams, 1000 + framed(ONE).length, framed(TWO)), [])
  }
})

t.test('only the connection that carried the query is followed', async (t) => {
  const streams = followed()
  t.same(feed(streams, 1000, framed(ONE), { port: 40_001 }), [])
  t.same(feed(streams, 1000, framed(ONE), { resolver: '198.51.100.54' }), [])
  t.same(feed(streams, 1000, framed(ONE)), [`${ONE}`])
})

t.test('a query in the first segment gives no sequence number of the resolver', async (t) => {
  const streams = followed(0, { flags: TCPHDR_SYN })
  t.equal(streams.size, 0)
})

t.test('the answer to a second query on the same connection is read from the same stream', async (t) => {
  const streams = followed()
  const bytes = framed(ONE)
  feed(streams, 1000, bytes.subarray(0, 5))
  // The packet acknowledges the bytes so far: half a message.
  streams.follow(packetOf(toResolver(NOTHING, { ...TCP, acknowledged: 1005 })), 0, NOW)
  t.same(feed(streams, 1005, bytes.subarray(5)), [`${ONE}`])
})

t.test('a connection with repeated queries stays followed', async (t) => {
  const streams = followed()
  const bytes = framed(ONE)
  for (let turn = 0; turn < 10; turn++) {
    const [now, next] = [NOW + turn * 20_000, 1000 + turn * bytes.length]
    streams.expire(now)
    streams.follow(packetOf(toResolver(NOTHING, { ...TCP, acknowledged: next })), 0, now)
    streams.expire(now + 15_000)
    t.same(feed(streams, next, bytes, {}, now + 15_000), [`${ONE}`], `the query has number ${turn}`)
  }
})

t.test('a connection without a query for 30 seconds is removed', async (t) => {
  const streams = followed()
  t.same(feed(streams, 1000, framed(ONE), {}, NOW + 30_000), [])
  streams.expire(NOW + 30_000)
  t.equal(streams.size, 0)
})

t.test(
  'a user who opens many connections is followed on the newest 16, and disturbs no other user',
  async (t) => {
    const streams = followed()
    for (let port = 1; port <= 1000; port++)
      streams.follow(packetOf(toResolver(NOTHING, { ...TCP, port, acknowledged: 5 })), 33, NOW)
    t.equal(streams.size, 17)
    t.same(feed(streams, 5, framed(TWO), { port: 1000 }), [`${TWO}`])
    t.same(feed(streams, 5, framed(TWO), { port: 984 }), [])
    t.same(feed(streams, 1000, framed(ONE)), [`${ONE}`])
  },
)

t.test('empty messages are read as messages, and so is the longest one', async (t) => {
  const streams = followed()
  t.same(feed(streams, 1000, Buffer.alloc(4)), ['', ''])
  const longest = framed(Buffer.alloc(65_535, 'x'))
  const messages: string[] = []
  for (let at = 0; at < longest.length; at += 1400)
    messages.push(...feed(streams, 1004 + at, longest.subarray(at, at + 1400)))
  t.same(
    messages.map(({ length }) => length),
    [65_535],
  )
})

t.test('a message keeps its own copy of the bytes: the packet object is reused', async (t) => {
  const streams = followed()
  const bytes = fromResolver(framed(ONE), { ...TCP, sequence: 1000 })
  const [message] = streams.messages(packetOf(bytes), NOW)
  bytes.fill(0)
  t.equal(`${message}`, `${ONE}`)
  const half = fromResolver(framed(TWO).subarray(0, 5), { ...TCP, sequence: 1000 + framed(ONE).length })
  streams.messages(packetOf(half), NOW)
  half.fill(0)
  t.same(
    feed(streams, 1000 + framed(ONE).length + 5, framed(TWO).subarray(5)),
    [`${TWO}`],
    'half a message keeps its own copy as well',
  )
})
