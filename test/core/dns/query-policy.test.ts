import t from 'tap'
import {
  answersResolver,
  mayAsk,
  type QueryPolicy,
  questionsOf,
  refusedName,
} from '../../../src/core/dns/query-policy.js'
import { IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import { decode, Packet, TCPHDR_ACK, TCPHDR_URG } from '../../../src/core/packet/packet.js'
import { type Extension, ipv4, ipv6, join, tcp, udp } from '../packets.js'
import { framed, opt, query } from '../queries.js'

function read(bytes: Uint8Array, single = true): Packet {
  const packet = new Packet()
  const malformed = decode(bytes, 0, bytes.length, bytes.length, packet)
  if (malformed) throw new Error(malformed)
  return Object.assign(packet, { isWhole: single })
}

const datagram = (payload: Uint8Array) => read(ipv4({ protocol: IPPROTO_UDP }, udp({ payload })))
const segment = (payload: Uint8Array) => read(ipv6({}, tcp({ destinationPort: 53, payload })))

const asking = (given: Partial<QueryPolicy> = {}): QueryPolicy => ({
  isAllowed: (name) => ['a.example.org', 'b.example.org', '_http._tcp.a.example.org'].includes(name),
  reverse: false,
  search: [],
  ...given,
})

/** Returns those names that may be asked for. */
const allowed = (given: Partial<QueryPolicy>, ...names: string[]) =>
  names.filter((name) => mayAsk(datagram(query(name)), asking(given)))

t.test('the query names of a packet are read, by UDP and TCP', async (t) => {
  const names = (packet: Packet) => questionsOf(packet)?.map(({ name }) => name)
  t.same(names(datagram(query('a.example.org'))), ['a.example.org'])
  t.same(names(segment(framed(query('a.example.org')))), ['a.example.org'])
  t.same(names(segment(join(framed(query('a.example')), framed(query('b.example'))))), [
    'a.example',
    'b.example',
  ])
  t.same(names(segment(new Uint8Array())), [])
  t.equal(names(datagram(framed(query('a.example.org')))), undefined)
  t.equal(names(segment(query('a.example.org'))), undefined)
  t.equal(names(datagram(new Uint8Array())), undefined, 'a datagram without data has no query')
})

t.test('bytes after the UDP length are not read as a query, and hide no query', async (t) => {
  const whole = udp({ payload: query('b.example') })
  const longer = ipv4({ protocol: IPPROTO_UDP }, join(whole, Uint8Array.of(1, 2, 3)))
  t.match(questionsOf(read(longer)), [{ name: 'b.example' }])
})

t.test('allowed names may be asked for, with any type of record, and no other names', async (t) => {
  const names = ['a.example.org', '_http._tcp.a.example.org', 'c.example.org', 'x.a.example.org', 'org', '']
  t.same(allowed({}, ...names), ['a.example.org', '_http._tcp.a.example.org'])
  t.same(allowed({}, 'A.EXAMPLE.org'), ['A.EXAMPLE.org'], 'upper and lower case are equal')
  for (const type of [1, 16, 28, 65, 255])
    t.equal(mayAsk(datagram(query('a.example.org', { type })), asking()), true, `type ${type}`)
  t.equal(mayAsk(datagram(query('a.example.org', { counts: [1, 0, 0, 1], rest: opt() })), asking()), true)
})

t.test('a query that cannot be read is not allowed', async (t) => {
  for (const payload of [
    new Uint8Array(),
    Uint8Array.of(1, 2, 3),
    query('a.example.org', { class: 3 }),
    query('a.example.org', { flags: 0x8000 }),
    join(query('a.example.org'), query('secret.example')),
  ])
    t.equal(mayAsk(datagram(payload), asking()), false)
})

t.test('names of addresses may be asked for when the operator allows them', async (t) => {
  const names = ['2.100.51.198.in-addr.arpa', '0.255.in-addr.arpa', '8.b.d.0.1.0.0.2.ip6.arpa']
  t.same(allowed({}, ...names), [])
  t.same(allowed({ reverse: true }, ...names), names)
  const others = [
    'arpa',
    'in-addr.arpa',
    'ip6.arpa',
    'secret.in-addr.arpa',
    'secret.2.100.51.198.in-addr.arpa',
    '1.2.100.51.198.in-addr.arpa',
    '256.in-addr.arpa',
    '1e1.in-addr.arpa',
    'secret.8.b.d.0.1.0.0.2.ip6.arpa',
    'g.8.ip6.arpa',
    `${'a.'.repeat(33)}ip6.arpa`,
    'e164.arpa',
    'xin-addr.arpa',
    'xip6.arpa',
    '2.in-addr.arpa.example',
    '2.in-addrxarpa',
  ]
  t.same(allowed({ reverse: true }, ...others), [])
})

t.test('an allowed name may be asked for with a search domain appended', async (t) => {
  const search = ['corp.example', 'example']
  const names = ['a.example.org.corp.example', 'a.example.org.example', 'b.example.org.corp.example']
  t.same(allowed({ search }, ...names), names)
  t.same(allowed({}, ...names), [])
  const others = [
    ...['corp.example', 'example', 'c.example.org.corp.example', 'a.example.org.example.corp'],
    ...['a.example.orgcorp.example', 'a.example.org-corp.example'],
    ...['a.example.org.corp.example.corp.example', 'secret.a.example.org.corp.example'],
  ]
  t.same(allowed({ search }, ...others), [])
})

t.test('a search domain allows neither names of addresses nor every name below it', async (t) => {
  const search = ['corp.example']
  t.same(allowed({ search, reverse: true }, '2.0.192.in-addr.arpa.corp.example', 'x.corp.example'), [])
})

t.test('a packet that the kernel will still cut into several is not allowed', async (t) => {
  const bytes = ipv4({ protocol: IPPROTO_UDP }, udp({ payload: query('a.example.org') }))
  t.equal(mayAsk(read(bytes), asking()), true)
  t.equal(mayAsk(read(bytes, false), asking()), false)
  t.equal(mayAsk(read(ipv4({}, tcp({ destinationPort: 53 })), false), asking()), false)
})

/** Record Route that is marked full, so that no router writes into it (RFC 791); destination options (RFC 8200). */
const RECORD_ROUTE = [7, 39, 40, ...new Array(36).fill(0x41)]
const DESTINATION_OPTIONS = { kind: 60, body: [0, 0, 1, 4, 0x41, 0x41, 0x41, 0x41] }

t.test('a packet with options of IP is not allowed: they hold any bytes', async (t) => {
  const payload = query('a.example.org')
  const datagrams = (options: readonly number[], extensions: readonly Extension[]) => [
    ipv4({ protocol: IPPROTO_UDP, options }, udp({ payload })),
    ipv6({ protocol: IPPROTO_UDP, extensions }, udp({ payload })),
    ipv4({ options }, tcp({ destinationPort: 53 })),
  ]
  for (const bytes of datagrams([], [])) t.equal(mayAsk(read(bytes), asking()), true)
  for (const bytes of datagrams(RECORD_ROUTE, [DESTINATION_OPTIONS]))
    t.equal(mayAsk(read(bytes), asking()), false)
  const answer = Uint8Array.from(payload)
  answer[2]! |= 0x80
  const answers = (options: readonly number[]) =>
    answersResolver(read(ipv4({ protocol: IPPROTO_UDP, options }, udp({ payload: answer }))))
  t.same([answers([]), answers(RECORD_ROUTE)], [true, false])
})

t.test('of the queries in a blocked packet, the first one that may not be sent is named', async (t) => {
  const named = (...names: string[]) =>
    refusedName(segment(join(...names.map((name) => framed(query(name))))), asking())
  t.equal(named('a.example.org', 'secret.example', 'other.example'), 'secret.example')
  t.equal(named('a.example.org', 'b.example.org'), 'a.example.org', 'the names are not why')
  t.equal(refusedName(datagram(query('a.example.org')), undefined), 'a.example.org', 'no policy any more')
  t.equal(refusedName(datagram(Uint8Array.of(1, 2)), asking()), undefined, 'no query')
})

t.test('a segment with urgent bytes is not allowed: the resolver would read other messages', async (t) => {
  const judged = (flags: number, payload: Uint8Array) =>
    mayAsk(read(ipv4({}, tcp({ destinationPort: 53, flags, payload }))), asking())
  const payload = framed(query('a.example.org'))
  t.equal(judged(TCPHDR_ACK, payload), true)
  t.equal(judged(TCPHDR_ACK | TCPHDR_URG, payload), false)
  t.equal(judged(TCPHDR_ACK | TCPHDR_URG, new Uint8Array()), false)
})

t.test(
  'over TCP, a packet without data is allowed, and several queries are allowed when each of them is',
  async (t) => {
    t.equal(mayAsk(segment(new Uint8Array()), asking()), true)
    const [a, b, secret] = ['a.example.org', 'b.example.org', 'secret.example'].map((name) =>
      framed(query(name)),
    )
    t.equal(mayAsk(segment(a!), asking()), true)
    t.equal(mayAsk(segment(join(a!, b!)), asking()), true)
    t.equal(mayAsk(segment(join(a!, secret!)), asking()), false)
    t.equal(mayAsk(segment(join(secret!, a!)), asking()), false)
    t.equal(mayAsk(segment(a!.subarray(0, 9)), asking()), false, 'the segment has only a part of a query')
  },
)
