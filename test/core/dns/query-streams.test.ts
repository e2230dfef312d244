import t from 'tap'
import { QueryStreams } from '../../../src/core/dns/query-streams.js'
import { TCPHDR_ACK, TCPHDR_SYN } from '../../../src/core/packet/packet.js'
import { ipv4, join, type TcpOptions, tcp } from '../packets.js'
import { NOW, read } from '../policy/judging.js'
import { framed, query } from '../queries.js'

type Bytes = Uint8Array<ArrayBuffer>
const [ROOT, WWW_DATA] = [0, 33]
const [FIRST, SECOND] = ['a.example.org', 'b.example.org'].map((name) => framed(query(name))) as [
  Bytes,
  Bytes,
]
/** The sequence number of a SYN; the next ones go over 2^32. */
const SYN = 0xfffffff0

/** Follows one connection. */
function connection(streams = new QueryStreams(), uid = WWW_DATA, options: TcpOptions = {}) {
  const send = (segment: TcpOptions, now: number) =>
    streams.follow(
      read(ipv4({}, tcp({ destinationPort: 53, sourcePort: 4711, ...options, ...segment }))),
      uid,
      now,
      uid === ROOT,
    )
  return {
    syn: (sequence = SYN, payload = new Uint8Array(), now = NOW) =>
      send({ flags: TCPHDR_SYN, sequence, payload }, now),
    /** Sends bytes at an offset from the first byte of the connection. */
    data: (offset: number, payload: Uint8Array, now = NOW) =>
      send({ flags: TCPHDR_ACK, sequence: (SYN + 1 + offset) >>> 0, payload }, now),
  }
}

t.test('queries in order are followed, and so are their repetitions, in other segments too', async (t) => {
  const { syn, data } = connection()
  t.ok(syn())
  t.ok(data(0, new Uint8Array()), 'a segment without data')
  t.ok(data(0, FIRST))
  t.ok(data(FIRST.length, SECOND))
  t.ok(data(0, FIRST), 'sent again')
  t.ok(data(0, join(FIRST, SECOND)), 'both sent again in one segment')
  t.ok(data(0, join(FIRST, SECOND, FIRST)), 'and with a new one behind them')
  t.ok(data(2 * FIRST.length + SECOND.length, SECOND))
})

t.test('a query that does not begin where the judged bytes end is refused', async (t) => {
  const { syn, data } = connection()
  syn()
  t.notOk(data(FIRST.length, SECOND), 'bytes before it are missing')
  t.ok(data(0, FIRST))
  for (const offset of [-1, 1, FIRST.length - 1, FIRST.length + 1])
    t.notOk(data(offset, SECOND), `offset ${offset}`)
  t.ok(data(FIRST.length, SECOND))
})

t.test('other bytes at a position that was judged are refused, whatever their length', async (t) => {
  const { syn, data } = connection()
  syn()
  data(0, FIRST)
  t.notOk(data(0, SECOND), 'the same length')
  t.notOk(data(0, framed(query('long.example.org'))), 'more bytes')
  const [first, second] = [FIRST.slice(), SECOND.slice()]
  first.set([0xff], 5)
  t.notOk(data(0, join(first, second)), 'one byte of one message')
})

t.test('a connection whose beginning was not seen has no queries', async (t) => {
  const streams = new QueryStreams()
  t.notOk(connection(streams).data(0, FIRST))
  t.ok(connection(streams).data(0, new Uint8Array()), 'its end is nobody’s loss')
  t.equal(streams.size, 0)
})

t.test(
  'a new connection with the same ends begins anew; a SYN that is sent again changes nothing',
  async (t) => {
    const { syn, data } = connection()
    syn(SYN, FIRST)
    t.ok(data(FIRST.length, SECOND), 'a SYN may carry a query (RFC 7413)')
    syn()
    t.notOk(data(0, SECOND), 'what was judged before is still known')
    syn(7)
    t.notOk(data(FIRST.length + SECOND.length, FIRST))
  },
)

t.test(
  'what is remembered is bounded: messages of a connection, connections of a user, and time',
  async (t) => {
    const streams = new QueryStreams()
    const { syn, data } = connection(streams, ROOT)
    syn()
    for (let i = 0; i < 65; i++) t.ok(data(i * FIRST.length, FIRST))
    t.notOk(data(0, FIRST), 'the first message was forgotten')
    t.ok(data(FIRST.length, FIRST))
    for (let sourcePort = 1; sourcePort <= 200; sourcePort++)
      connection(streams, WWW_DATA, { sourcePort }).syn()
    t.equal(streams.size, 1 + 32)
    t.ok(data(65 * FIRST.length, FIRST), 'connections of another user evict none of root’s')
    t.notOk(data(66 * FIRST.length, FIRST, NOW + 300_000), 'too late')
    streams.expire(NOW + 300_000)
    t.equal(streams.size, 0)
  },
)
