import t from 'tap'
import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import {
  decode,
  Packet,
  pingIdentifier,
  TCPHDR_ACK,
  TCPHDR_FIN,
  TCPHDR_RST,
  TCPHDR_SYN,
} from '../../../src/core/packet/packet.js'
import { checksum, type Extension, icmp, ipv4, ipv6, join, tcp, udp, words } from '../packets.js'
import { seededRandom } from '../random.js'

const PAYLOAD = Uint8Array.from([1, 2, 3, 4, 5])
const NOTHING = new Uint8Array()
const HOP_BY_HOP = { kind: 0, body: [0, 0, 1, 4, 0, 0, 0, 0] }
const DESTINATION_OPTIONS = { kind: 60, body: [0, 1, 1, 12, ...new Array<number>(12).fill(0)] }
const ROUTED_ALREADY = { kind: 43, body: [0, 2, 4, 0, ...new Array<number>(20).fill(7)] }
const ATOMIC_FRAGMENT = { kind: 44, body: [0, 255, 0, 6, 1, 2, 3, 4] }
const AUTHENTICATION = { kind: 51, body: [0, 4, ...new Array<number>(22).fill(9)] }
const MOBILITY = { kind: 135, body: [0, 0, 5, 0, 0, 0, 0, 0] }
const HOST_IDENTITY = { kind: 139, body: [0, 0, 5, 0, 0, 0, 0, 0] }
const SHIM6 = { kind: 140, body: [0, 0, 5, 0, 0, 0, 0, 0] }
const ALL_EXTENSIONS: Extension[] = [
  ...[HOP_BY_HOP, DESTINATION_OPTIONS, ROUTED_ALREADY, ATOMIC_FRAGMENT],
  ...[AUTHENTICATION, MOBILITY, HOST_IDENTITY, SHIM6],
]

/** Valid packets, and how many of their bytes are headers. */
const VECTORS: readonly { name: string; bytes: Uint8Array; headers: number }[] = [
  { name: 'IPv4 TCP', bytes: ipv4({}, tcp()), headers: 40 },
  {
    name: 'IPv4 TCP with options',
    bytes: ipv4({ options: [1, 7, 3, 4] }, tcp({ options: [2, 4, 5, 180, 1], payload: PAYLOAD })),
    headers: 52,
  },
  { name: 'IPv4 UDP', bytes: ipv4({ protocol: IPPROTO_UDP }, udp({ payload: PAYLOAD })), headers: 28 },
  { name: 'IPv4 ICMP', bytes: ipv4({ protocol: IPPROTO_ICMP }, icmp(8, 0, PAYLOAD)), headers: 28 },
  { name: 'IPv4 SCTP', bytes: ipv4({ protocol: 132 }, PAYLOAD), headers: 20 },
  { name: 'IPv6 TCP', bytes: ipv6({}, tcp({ payload: PAYLOAD })), headers: 60 },
  { name: 'IPv6 UDP', bytes: ipv6({ protocol: IPPROTO_UDP }, udp({ payload: PAYLOAD })), headers: 48 },
  { name: 'IPv6 ICMPv6', bytes: ipv6({ protocol: IPPROTO_ICMPV6 }, icmp(128, 0, PAYLOAD)), headers: 48 },
  { name: 'IPv6 chain', bytes: ipv6({ extensions: ALL_EXTENSIONS }, tcp()), headers: 40 + 104 + 20 },
]

/** Decodes a whole packet. Returns the result together with the packet. */
function read(bytes: Uint8Array, fullLength = bytes.length) {
  const packet = new Packet()
  const malformed = decode(bytes, 0, bytes.length, fullLength, packet)
  return { malformed, packet }
}

/** Returns a copy with some bytes changed: index and value in turn. */
function patched(bytes: Uint8Array, ...changes: number[]): Uint8Array {
  const copy = bytes.slice()
  for (let i = 0; i < changes.length; i += 2) copy[changes[i]!] = changes[i + 1]!
  return copy
}

t.test('an IPv4 TCP packet is read with addresses, ports, flags and the offset of its payload', async (t) => {
  const segment = tcp({
    sourcePort: 443,
    destinationPort: 51000,
    flags: TCPHDR_SYN | TCPHDR_ACK,
    payload: PAYLOAD,
  })
  const bytes = ipv4({ source: '192.0.2.200', destination: '203.0.113.9' }, segment)
  const { malformed, packet } = read(bytes)
  t.equal(malformed, undefined)
  t.match(packet, { family: 4, protocol: IPPROTO_TCP, sourcePort: 443, destinationPort: 51000 })
  t.match(packet, { icmpType: 0, icmpCode: 0, payloadOffset: 40, payloadEnd: 45 })
  t.equal(packet.tcpFlags, 0x12)
  t.same(packet.source, words('192.0.2.200'))
  t.same(packet.destination, words('203.0.113.9'))
})

t.test('an IPv6 UDP packet is read with all four words of its addresses', async (t) => {
  const datagram = udp({ sourcePort: 5353, destinationPort: 53, payload: PAYLOAD })
  const source = '2001:db8:89ab:cdef:8000::1'
  const bytes = ipv6({ source, destination: '2001:db8::ffff:ffff', protocol: IPPROTO_UDP }, datagram)
  const { malformed, packet } = read(bytes)
  t.equal(malformed, undefined)
  t.match(packet, { family: 6, protocol: IPPROTO_UDP, sourcePort: 5353, destinationPort: 53, tcpFlags: 0 })
  t.match(packet, { payloadOffset: 48, payloadEnd: 53 })
  t.same(packet.source, words(source))
  t.same(packet.destination, words('2001:db8::ffff:ffff'))
})

t.test('an echo request has an identifier, and no other packet has one', async (t) => {
  const of4 = (type: number, protocol = IPPROTO_ICMP) =>
    pingIdentifier(read(ipv4({ protocol }, icmp(type))).packet)
  const of6 = (type: number, protocol = IPPROTO_ICMPV6) =>
    pingIdentifier(read(ipv6({ protocol }, icmp(type))).packet)
  t.equal(of4(8), 0x1234)
  t.equal(of6(128), 0x1234)
  t.same([of4(0), of4(128), of6(8), of6(129)], [0, 0, 0, 0], 'of another type')
  t.same([of4(128, IPPROTO_ICMPV6), of6(8, IPPROTO_ICMP)], [0, 0], 'of the other family')
  t.equal(pingIdentifier(read(ipv4({}, tcp({}))).packet), 0)
})

t.test('ICMP is read with type and code, each only in its own family', async (t) => {
  const echo = read(ipv4({ protocol: IPPROTO_ICMP }, icmp(3, 13))).packet
  t.match(echo, { icmpType: 3, icmpCode: 13, sourcePort: 0, destinationPort: 0, payloadOffset: 28 })
  const echo6 = read(ipv6({ protocol: IPPROTO_ICMPV6 }, icmp(1, 5))).packet
  t.match(echo6, { icmpType: 1, icmpCode: 5, payloadOffset: 48 })
  const strange = read(ipv4({ protocol: IPPROTO_ICMPV6 }, icmp(128, 1)))
  t.match(strange, { malformed: undefined, packet: { icmpType: 0, icmpCode: 0, payloadOffset: 20 } })
  const strange6 = read(ipv6({ protocol: IPPROTO_ICMP }, icmp(8, 1)))
  t.match(strange6, { malformed: undefined, packet: { icmpType: 0, icmpCode: 0, payloadOffset: 40 } })
})

t.test('any other protocol passes with its number, without ports', async (t) => {
  for (const protocol of [0, 44, 47, 50, 132, 136, 255]) {
    const { malformed, packet } = read(ipv4({ protocol }, PAYLOAD))
    t.equal(malformed, undefined)
    t.match(packet, { protocol, sourcePort: 0, destinationPort: 0, payloadOffset: 20, payloadEnd: 25 })
  }
})

t.test('the flag constants are the bits of the header', async (t) => {
  t.same([TCPHDR_FIN, TCPHDR_SYN, TCPHDR_RST, TCPHDR_ACK], [0x01, 0x02, 0x04, 0x10])
})

t.test('every IPv6 extension header is skipped, alone and in a chain of eight', async (t) => {
  for (const extension of ALL_EXTENSIONS) {
    const { malformed, packet } = read(ipv6({ extensions: [extension] }, tcp({ destinationPort: 4711 })))
    t.equal(malformed, undefined, `kind ${extension.kind}`)
    t.match(packet, { protocol: IPPROTO_TCP, destinationPort: 4711 })
    t.equal(packet.payloadOffset, 40 + extension.body.length + 20)
  }
  const { malformed, packet } = read(ipv6({ extensions: ALL_EXTENSIONS }, tcp({ destinationPort: 4711 })))
  t.equal(malformed, undefined)
  t.match(packet, { protocol: IPPROTO_TCP, destinationPort: 4711 })
})

t.test('a ninth extension header, or hop-by-hop options not in first place, is refused', async (t) => {
  const nine = new Array<Extension>(9).fill(DESTINATION_OPTIONS)
  t.equal(read(ipv6({ extensions: nine }, tcp())).malformed, 'extension-headers')
  const late = [DESTINATION_OPTIONS, HOP_BY_HOP]
  t.equal(read(ipv6({ extensions: late }, tcp())).malformed, 'extension-headers')
})

t.test('encrypted payload and "no next header" end the chain as the protocol', async (t) => {
  for (const protocol of [50, 59]) {
    const { malformed, packet } = read(ipv6({ protocol, extensions: [DESTINATION_OPTIONS] }, PAYLOAD))
    t.equal(malformed, undefined)
    t.match(packet, { protocol, destinationPort: 0, payloadOffset: 56, payloadEnd: 61 })
  }
  const nothing = new Uint8Array(0)
  t.equal(read(ipv6({ protocol: 59 }, nothing)).malformed, undefined)
  t.equal(read(ipv6({ protocol: 59, extensions: [MOBILITY] }, nothing)).malformed, undefined)
})

t.test('a source route is refused: the packet would go on to an address that was not judged', async (t) => {
  for (const kind of [131, 137]) {
    const route = [kind, 7, 4, 203, 0, 113, 7]
    t.equal(read(ipv4({ options: route }, tcp())).malformed, 'source-routed')
    t.equal(read(ipv4({ options: [1, 1, 148, 4, 0, 0, ...route] }, tcp())).malformed, 'source-routed')
  }
  for (const type of [0, 2, 4]) {
    const route = { kind: 43, body: [0, 2, type, 1, ...new Array<number>(20).fill(0)] }
    t.equal(read(ipv6({ extensions: [route] }, tcp())).malformed, 'source-routed')
  }
})

t.test('harmless IPv4 options pass, and nothing is read after the end of the list', async (t) => {
  t.equal(read(ipv4({ options: [7, 7, 4, 0, 0, 0, 0] }, tcp())).malformed, undefined)
  t.equal(read(ipv4({ options: [148, 4, 0, 0, 1, 1, 1, 1] }, tcp())).malformed, undefined)
  t.equal(read(ipv4({ options: [30, 2, 1, 1, 1, 1, 30, 2] }, tcp())).malformed, undefined)
  t.equal(read(ipv4({ options: [0, 131, 255, 1] }, tcp())).malformed, undefined)
})

t.test('an IPv4 option list with inconsistent lengths is refused', async (t) => {
  for (const options of [
    [7, 0, 0, 0],
    [7, 1, 0, 0],
    [7, 5, 4, 0],
    [1, 1, 1, 7],
  ]) {
    t.equal(read(ipv4({ options }, tcp())).malformed, 'bad-options', options.join(' '))
  }
})

t.test('every real fragment is refused, the atomic one of IPv6 is not', async (t) => {
  const whole = ipv4({}, tcp())
  for (const [high, low] of [
    [0x20, 0],
    [0, 1],
    [0x1f, 0xff],
    [0x60, 0],
  ] as const) {
    t.equal(read(patched(whole, 6, high, 7, low)).malformed, 'fragment')
  }
  t.equal(read(patched(whole, 6, 0, 7, 0)).malformed, undefined)
  for (const [high, low] of [
    [0, 1],
    [0, 8],
    [0xff, 0xf8],
  ] as const) {
    const fragment = { kind: 44, body: [0, 0, high, low, 1, 2, 3, 4] }
    t.equal(read(ipv6({ extensions: [fragment] }, tcp())).malformed, 'fragment')
  }
  t.equal(read(ipv6({ extensions: [ATOMIC_FRAGMENT] }, tcp())).malformed, undefined)
})

t.test('a version other than 4 or 6 is refused', async (t) => {
  for (const version of [0, 1, 2, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15]) {
    t.equal(read(patched(ipv4({}, tcp()), 0, (version << 4) | 5)).malformed, 'bad-version')
  }
})

t.test('an IPv4 header length below 20 bytes is refused', async (t) => {
  for (const length of [0, 1, 4]) {
    t.equal(read(patched(ipv4({}, tcp()), 0, 0x40 | length)).malformed, 'bad-header-length')
  }
})

t.test('an IP length shorter than its header or longer than the packet is refused', async (t) => {
  const packet4 = ipv4({}, tcp())
  for (const length of [0, 19, 41, 0xffff]) {
    t.equal(read(patched(packet4, 2, length >> 8, 3, length & 0xff)).malformed, 'bad-total-length')
  }
  t.equal(read(patched(ipv4({ options: [1, 1, 1, 1] }, tcp()), 3, 23)).malformed, 'bad-total-length')
  const packet6 = ipv6({}, tcp())
  for (const length of [21, 0xffff]) {
    t.equal(read(patched(packet6, 4, length >> 8, 5, length & 0xff)).malformed, 'bad-total-length')
  }
})

t.test('bytes after the IP length belong to no header and no payload', async (t) => {
  const trailing = join(ipv4({}, tcp()), PAYLOAD)
  t.match(read(trailing), { malformed: undefined, packet: { payloadEnd: 40 } })
  for (let length = 20; length < 40; length++) {
    t.equal(read(patched(trailing, 3, length)).malformed, 'truncated', `IPv4 length ${length}`)
  }
  for (let length = 0; length < 20; length++) {
    t.equal(read(patched(ipv6({}, tcp()), 5, length)).malformed, 'truncated', `IPv6 length ${length}`)
  }
})

t.test('a BIG TCP packet writes its length as 0 and passes, a small one does not', async (t) => {
  const big4 = patched(ipv4({}, tcp({ payload: PAYLOAD })), 2, 0, 3, 0)
  t.match(read(big4, 65536), { malformed: undefined, packet: { destinationPort: 443, payloadEnd: 45 } })
  t.equal(read(big4, 65535).malformed, 'bad-total-length')
  const big6 = patched(ipv6({}, tcp({ payload: PAYLOAD })), 4, 0, 5, 0)
  t.match(read(big6, 65576), { malformed: undefined, packet: { destinationPort: 443, payloadEnd: 65 } })
  t.equal(read(big6, 65575).malformed, 'truncated')
})

t.test('a TCP header length below 20 bytes or beyond the end of the packet is refused', async (t) => {
  const whole = ipv4({}, tcp({ payload: new Uint8Array(16) }))
  for (const words of [0, 1, 4, 10, 15]) {
    t.equal(read(patched(whole, 32, words << 4)).malformed, 'bad-tcp-offset', `${words} words`)
  }
  t.match(read(patched(whole, 32, 9 << 4)), { malformed: undefined, packet: { payloadOffset: 56 } })
})

t.test('a UDP length below 8 bytes or beyond the end of the packet is refused', async (t) => {
  const whole = ipv4({ protocol: IPPROTO_UDP }, udp({ payload: PAYLOAD }))
  for (const length of [0, 7, 14, 0xffff]) {
    const bytes = patched(whole, 24, length >> 8, 25, length & 0xff)
    t.equal(read(bytes).malformed, 'bad-udp-length', `${length} bytes`)
  }
  t.match(read(patched(whole, 25, 8)), {
    malformed: undefined,
    packet: { payloadOffset: 28, payloadEnd: 28 },
  })
  t.match(read(patched(whole, 25, 10)), {
    malformed: undefined,
    packet: { payloadOffset: 28, payloadEnd: 30 },
  })
})

t.test(
  'a packet that is cut in its headers is truncated; one that is cut in its payload is read',
  async (t) => {
    for (const { name, bytes, headers } of VECTORS) {
      const packet = new Packet()
      const outcomes: (string | undefined)[] = []
      for (let length = 0; length <= bytes.length; length++) {
        outcomes.push(decode(bytes.slice(0, length), 0, length, bytes.length, packet))
      }
      const expected = outcomes.map((_, length) => (length < headers ? 'truncated' : undefined))
      t.same(outcomes, expected, name)
      t.equal(packet.payloadEnd, bytes.length)
    }
  },
)

t.test('a packet that is shorter than its length field is never accepted', async (t) => {
  const named = new Set(['truncated', 'bad-total-length'])
  for (const { name, bytes } of VECTORS) {
    for (let length = 0; length < bytes.length; length++) {
      const { malformed } = read(bytes.slice(0, length))
      if (malformed === undefined || !named.has(malformed)) t.fail(`${name}, ${length} bytes: ${malformed}`)
    }
  }
})

t.test('after a malformed packet nothing of the packet before it is left', async (t) => {
  const packet = new Packet()
  for (const { bytes } of VECTORS) {
    decode(bytes, 0, bytes.length, bytes.length, packet)
    decode(bytes, 0, 1, bytes.length, packet)
    t.same({ ...packet, family: 4, bytes: NOTHING }, { ...new Packet(), bytes: NOTHING })
  }
})

t.test('a packet holds its bytes, also a malformed one', async (t) => {
  const good = ipv4({}, tcp())
  t.equal(read(good).packet.bytes, good)
  const bad = good.slice(0, 10)
  t.equal(read(bad).packet.bytes, bad)
})

t.test('a malformed packet still has its destination, as far as it could be read', async (t) => {
  const { malformed, packet } = read(patched(ipv4({}, tcp()), 6, 0x20))
  t.equal(malformed, 'fragment')
  t.same(packet.destination, words('198.51.100.2'))
  const routed = { kind: 43, body: [0, 0, 0, 1, 0, 0, 0, 0] }
  const next = read(ipv6({ extensions: [routed] }, tcp())).packet
  t.same(next.destination, words('2001:db8:2::2'))
})

t.test('no bytes make decode throw, read outside the captured part, or accept missing headers', async (t) => {
  const random = seededRandom(20240601)
  const first = new Packet()
  const second = new Packet()
  const wrong: string[] = []
  let accepted = 0
  for (let i = 0; i < 200_000; i++) {
    const bytes = mutated(VECTORS[random(VECTORS.length)]!.bytes, random)
    const captured = random(4) === 0 ? random(bytes.length + 1) : bytes.length
    const fullLength = random(4) === 0 ? random(70_000) : bytes.length
    const start = random(8)
    // The same packet between zeros and between ones.
    const zeros = new Uint8Array(start + captured + 32)
    const ones = new Uint8Array(start + captured + 32).fill(0xff)
    zeros.set(bytes.subarray(0, captured), start)
    ones.set(bytes.subarray(0, captured), start)
    const end = start + captured
    const malformed = decode(zeros, start, end, fullLength, first)
    const again = decode(ones, start, end, fullLength, second)
    const describe = () => `${Buffer.from(bytes).toString('hex')} ${captured} ${fullLength}: ${malformed}`
    if (malformed !== again || fingerprint(first) !== fingerprint(second)) wrong.push(`outside ${describe()}`)
    if (malformed !== undefined) continue
    accepted++
    if (!plausible(first, start, end)) wrong.push(`accepted ${describe()}`)
  }
  t.same(wrong, [])
  t.ok(accepted > 20_000, `the fuzz reaches good packets too (${accepted})`)
})

function mutated(bytes: Uint8Array, random: (limit: number) => number): Uint8Array {
  const copy = bytes.slice()
  for (let changes = random(4); changes > 0; changes--) {
    // Mostly small values and single bits: lengths, types and flags.
    const at = random(copy.length)
    const way = random(3)
    copy[at] = way === 0 ? random(256) : way === 1 ? random(8) : copy[at]! ^ (1 << random(8))
  }
  return copy
}

/** Returns all fields of a packet. */
function fingerprint({ bytes: _, ...read }: Packet): string {
  return Object.values(read).join(' ')
}

/** Checks what must hold for every accepted packet: the headers lie within the captured bytes, in order. */
function plausible(packet: Packet, start: number, end: number): boolean {
  const ip = packet.family === 4 ? 20 : 40
  const transport = packet.protocol === IPPROTO_TCP ? 20 : packet.protocol === IPPROTO_UDP ? 8 : 0
  const portsOnlyWhereTheyExist = transport > 0 || packet.sourcePort + packet.destinationPort === 0
  return (
    packet.payloadOffset >= start + ip + transport &&
    packet.payloadOffset <= packet.payloadEnd &&
    packet.payloadEnd <= end &&
    portsOnlyWhereTheyExist
  )
}

t.test('the packets that tests build have correct checksums', async (t) => {
  const pseudo4 = (bytes: Uint8Array, protocol: number) =>
    join(bytes.slice(12, 20), Uint8Array.from([0, protocol, 0, bytes.length - 20]), bytes.slice(20))
  const pseudo6 = (bytes: Uint8Array, protocol: number) =>
    join(
      bytes.slice(8, 40),
      Uint8Array.from([0, 0, 0, bytes.length - 40, 0, 0, 0, protocol]),
      bytes.slice(40),
    )
  t.equal(checksum(ipv4({}, tcp()).slice(0, 20)), 0)
  t.equal(checksum(pseudo4(ipv4({}, tcp({ payload: PAYLOAD })), IPPROTO_TCP)), 0)
  t.equal(checksum(pseudo4(ipv4({ protocol: IPPROTO_UDP }, udp({ payload: PAYLOAD })), IPPROTO_UDP)), 0)
  t.equal(checksum(ipv4({ protocol: IPPROTO_ICMP }, icmp(8, 0, PAYLOAD)).slice(20)), 0)
  t.equal(checksum(pseudo6(ipv6({}, tcp({ payload: PAYLOAD })), IPPROTO_TCP)), 0)
  t.equal(checksum(pseudo6(ipv6({ protocol: IPPROTO_ICMPV6 }, icmp(128)), IPPROTO_ICMPV6)), 0)
})
