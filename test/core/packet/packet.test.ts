import t from 'tap'
import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import {
  pingIdentifier,
  TCPHDR_ACK,
  TCPHDR_FIN,
  TCPHDR_RST,
  TCPHDR_SYN,
} from '../../../src/core/packet/packet.js'
import { checksum, type Extension, icmp, ipv4, ipv6, join, tcp, udp, words } from '../packets.js'
import {
  ALL_EXTENSIONS,
  ATOMIC_FRAGMENT,
  DESTINATION_OPTIONS,
  HOP_BY_HOP,
  MOBILITY,
  PAYLOAD,
  patched,
  read,
} from './vectors.js'

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
  t.same([of4(0), of4(128), of6(8), of6(129)], [0, 0, 0, 0], 'the message has another type')
  t.same([of4(128, IPPROTO_ICMPV6), of6(8, IPPROTO_ICMP)], [0, 0], 'the message belongs to the other family')
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

t.test('a packet of any other protocol is accepted with its number, without ports', async (t) => {
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
    t.equal(malformed, undefined, `the extension header has kind ${extension.kind}`)
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

t.test('a source route is refused: the packet would travel to an address that was not judged', async (t) => {
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

t.test('harmless IPv4 options are accepted, and nothing is read after the end of the list', async (t) => {
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

t.test('every real fragment is refused; the atomic fragment of IPv6 is accepted', async (t) => {
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

t.test('bytes after the IP length are read neither as a header nor as payload', async (t) => {
  const trailing = join(ipv4({}, tcp()), PAYLOAD)
  t.match(read(trailing), { malformed: undefined, packet: { payloadEnd: 40 } })
  for (let length = 20; length < 40; length++) {
    t.equal(read(patched(trailing, 3, length)).malformed, 'truncated', `the IPv4 length is ${length}`)
  }
  for (let length = 0; length < 20; length++) {
    t.equal(read(patched(ipv6({}, tcp()), 5, length)).malformed, 'truncated', `the IPv6 length is ${length}`)
  }
})

t.test(
  'a BIG TCP packet has length 0 and is accepted; a small packet with length 0 is refused',
  async (t) => {
    const big4 = patched(ipv4({}, tcp({ payload: PAYLOAD })), 2, 0, 3, 0)
    t.match(read(big4, 65536), { malformed: undefined, packet: { destinationPort: 443, payloadEnd: 45 } })
    t.equal(read(big4, 65535).malformed, 'bad-total-length')
    const big6 = patched(ipv6({}, tcp({ payload: PAYLOAD })), 4, 0, 5, 0)
    t.match(read(big6, 65576), { malformed: undefined, packet: { destinationPort: 443, payloadEnd: 65 } })
    t.equal(read(big6, 65575).malformed, 'truncated')
  },
)

t.test('the packets that the test helpers build have correct checksums', async (t) => {
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
