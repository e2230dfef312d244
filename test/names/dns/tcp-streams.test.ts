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

/** A connection on which a question was asked; the resolver's next byte has the number `sequence`. */
function followed(sequence = 1000, way: Way = {}, uid = 0) {
  const streams = new TcpStreams()
  streams.follow(packetOf(toResolver(NOTHING, { ...TCP, acknowledged: sequence, ...way })), uid, NOW)
  return streams
}

/** What a segment of the resolver makes whole, as text. */
const feed = (streams: TcpStreams, sequence: number, payload: Uint8Array, way: Way = {}, now = NOW) =>
  streams.messages(packetOf(fromResolver(payload, { ...TCP, sequence, ...way })), now).map(String)

t.test('a message in one segment, and several', async (t) => {
  t.same(feed(followed(), 1000, framed(ONE)), [`${ONE}`])
  t.same(feed(followed(), 1000, Buffer.concat([framed(ONE), framed(TWO)])), [`${ONE}`, `${TWO}`])
  t.same(feed(followed(1000, { resolver: RESOLVER6 }), 1000, framed(ONE), { resolver: RESOLVER6 }), [
    `${ONE}`,
  ])
})

t.test('two messages, cut in three at any two bytes, are whole again', async (t) => {
  const both = Buffer.concat([framed(ONE), framed(TWO)])
  for (let first = 0; first <= both.length; first++)
    for (let second = first; second <= both.length; second++) {
      const streams = followed()
      const pieces = [both.subarray(0, first), both.subarray(first, second), both.subarray(second)]
      const offsets = [0, first, second]
      const messages = pieces.flatMap((piece, i) => feed(streams, 1000 + offsets[i]!, piece))
      if (messages.join() !== `${ONE},${TWO}`) t.fail(`cut at ${first} and ${second}: ${messages}`)
    }
  t.pass('each of them')
})

t.test('byte after byte, each sent twice', async (t) => {
  const streams = followed()
  const messages = [...framed(ONE)].flatMap((byte, i) => [
    ...feed(streams, 1000 + i, Uint8Array.of(byte)),
    ...feed(streams, 1000 + i, Uint8Array.of(byte)),
  ])
  t.same(messages, [`${ONE}`])
})

t.test('what was sent again counts once, however it overlaps', async (t) => {
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
  t.pass('each of them')
})

t.test('sequence numbers run over their end, at any byte', async (t) => {
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
    t.same(messages, [`${ONE}`, `${TWO}`], `${before} bytes before the end`)
  }
})

t.test('behind a gap nothing is read, until what is missing comes again', async (t) => {
  const streams = followed()
  const first = framed(ONE)
  t.same(feed(streams, 1000 + first.length, framed(TWO)), [])
  t.same(feed(streams, 1000, first), [`${ONE}`])
  t.same(feed(streams, 1000 + first.length, framed(TWO)), [`${TWO}`])
})

t.test(
  'what the program has received, and was not seen here, is passed over at its next question',
  async (t) => {
    const streams = followed()
    t.same(feed(streams, 1000, framed(ONE).subarray(0, 3)), [])
    streams.follow(packetOf(toResolver(NOTHING, { ...TCP, acknowledged: 2000 })), 0, NOW)
    t.same(feed(streams, 2000, framed(TWO)), [`${TWO}`])
  },
)

t.test('nobody ends a stream who does not know where it stands', async (t) => {
  for (const flags of [TCPHDR_RST, TCPHDR_RST | TCPHDR_ACK, TCPHDR_FIN | TCPHDR_ACK])
    for (const sequence of [0, 999, 1001, 70_000, 1000 + 2 ** 31, 0xffffffff]) {
      const streams = followed()
      t.same(feed(streams, sequence, NOTHING, { flags }), [])
      t.same(feed(streams, 1000, framed(ONE)), [`${ONE}`], `${flags} at ${sequence}`)
    }
})

t.test('a segment from far away, before or behind, is none of the stream', async (t) => {
  for (const sequence of [1000 + 2 ** 31, 1000 + 2 ** 31 - 1, 1000 - 70_000, 0xffffffff]) {
    const streams = followed()
    t.same(feed(streams, sequence, framed(ONE)), [], `${sequence}`)
    t.same(feed(streams, 1000, framed(ONE)), [`${ONE}`], 'which goes on')
  }
})

t.test(
  'segments without bytes change nothing: acknowledgements, and probes for one that lives',
  async (t) => {
    const streams = followed()
    t.same(feed(streams, 1000, NOTHING), [])
    t.same(feed(streams, 999, NOTHING), [])
    t.same(feed(streams, 999, Uint8Array.of(0)), [])
    t.same(feed(streams, 1000, framed(ONE)), [`${ONE}`])
  },
)

t.test('what comes with the end of a connection is read; then it is forgotten', async (t) => {
  for (const end of [TCPHDR_FIN, TCPHDR_RST]) {
    const streams = followed()
    t.same(feed(streams, 1000, framed(ONE), { flags: TCPHDR_ACK | end }), [`${ONE}`])
    t.equal(streams.size, 0)
    t.same(feed(streams, 1000 + framed(ONE).length, framed(TWO)), [])
  }
})

t.test('only the connection on which was asked is followed', async (t) => {
  const streams = followed()
  t.same(feed(streams, 1000, framed(ONE), { port: 40_001 }), [])
  t.same(feed(streams, 1000, framed(ONE), { resolver: '198.51.100.54' }), [])
  t.same(feed(streams, 1000, framed(ONE)), [`${ONE}`])
})

t.test('a question in the first segment of all says nothing of the numbers of the resolver', async (t) => {
  const streams = followed(0, { flags: TCPHDR_SYN })
  t.equal(streams.size, 0)
})

t.test('a second question on the same connection is answered on the same stream', async (t) => {
  const streams = followed()
  const bytes = framed(ONE)
  feed(streams, 1000, bytes.subarray(0, 5))
  // It acknowledges what has come: a half message.
  streams.follow(packetOf(toResolver(NOTHING, { ...TCP, acknowledged: 1005 })), 0, NOW)
  t.same(feed(streams, 1005, bytes.subarray(5)), [`${ONE}`])
})

t.test('a connection on which is asked again and again is followed on', async (t) => {
  const streams = followed()
  const bytes = framed(ONE)
  for (let turn = 0; turn < 10; turn++) {
    const [now, next] = [NOW + turn * 20_000, 1000 + turn * bytes.length]
    streams.expire(now)
    streams.follow(packetOf(toResolver(NOTHING, { ...TCP, acknowledged: next })), 0, now)
    streams.expire(now + 15_000)
    t.same(feed(streams, next, bytes, {}, now + 15_000), [`${ONE}`], `question ${turn}`)
  }
})

t.test('a connection on which nothing was asked for 30 seconds is forgotten', async (t) => {
  const streams = followed()
  t.same(feed(streams, 1000, framed(ONE), {}, NOW + 30_000), [])
  streams.expire(NOW + 30_000)
  t.equal(streams.size, 0)
})

t.test(
  'whoever opens connections without end is followed on the newest 16, and disturbs nobody',
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

t.test('messages without a byte in them are messages; the longest one is, too', async (t) => {
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

t.test('the bytes of a message are its own: the packet is written over by the next one', async (t) => {
  const streams = followed()
  const bytes = fromResolver(framed(ONE), { ...TCP, sequence: 1000 })
  const [message] = streams.messages(packetOf(bytes), NOW)
  bytes.fill(0)
  t.equal(`${message}`, `${ONE}`)
  const half = fromResolver(framed(TWO).subarray(0, 5), { ...TCP, sequence: 1000 + framed(ONE).length })
  streams.messages(packetOf(half), NOW)
  half.fill(0)
  t.same(feed(streams, 1000 + framed(ONE).length + 5, framed(TWO).subarray(5)), [`${TWO}`], 'nor a half one')
})
