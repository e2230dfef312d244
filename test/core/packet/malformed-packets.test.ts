import t from 'tap'
import { IPPROTO_TCP, IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import { decode, Packet } from '../../../src/core/packet/packet.js'
import { ipv4, ipv6, tcp, udp, words } from '../packets.js'
import { seededRandom } from '../random.js'
import { NOTHING, PAYLOAD, patched, read, VECTORS } from './vectors.js'

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

t.test('a TCP header length below 20 bytes or beyond the end of the packet is refused', async (t) => {
  const whole = ipv4({}, tcp({ payload: new Uint8Array(16) }))
  for (const words of [0, 1, 4, 10, 15]) {
    t.equal(
      read(patched(whole, 32, words << 4)).malformed,
      'bad-tcp-offset',
      `the header length is ${words} words`,
    )
  }
  t.match(read(patched(whole, 32, 9 << 4)), { malformed: undefined, packet: { payloadOffset: 56 } })
})

t.test('a UDP length below 8 bytes or beyond the end of the packet is refused', async (t) => {
  const whole = ipv4({ protocol: IPPROTO_UDP }, udp({ payload: PAYLOAD }))
  for (const length of [0, 7, 14, 0xffff]) {
    const bytes = patched(whole, 24, length >> 8, 25, length & 0xff)
    t.equal(read(bytes).malformed, 'bad-udp-length', `the UDP length is ${length} bytes`)
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
  'a packet that is cut in its headers is truncated; a packet that is cut in its payload is read',
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

t.test('decoding a malformed packet leaves nothing of the previous packet', async (t) => {
  const packet = new Packet()
  for (const { bytes } of VECTORS) {
    decode(bytes, 0, bytes.length, bytes.length, packet)
    decode(bytes, 0, 1, bytes.length, packet)
    t.same({ ...packet, family: 4, bytes: NOTHING }, { ...new Packet(), bytes: NOTHING })
  }
})

t.test('a decoded packet refers to its bytes, also when it is malformed', async (t) => {
  const good = ipv4({}, tcp())
  t.equal(read(good).packet.bytes, good)
  const bad = good.slice(0, 10)
  t.equal(read(bad).packet.bytes, bad)
})

t.test('a malformed packet has its destination, when that could be read', async (t) => {
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
    // The packet is decoded twice: between zeros and between ones.
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
  t.ok(accepted > 20_000, `the fuzz reaches valid packets too (${accepted})`)
})

function mutated(bytes: Uint8Array, random: (limit: number) => number): Uint8Array {
  const copy = bytes.slice()
  for (let changes = random(4); changes > 0; changes--) {
    // Most changes are small values and single bits: lengths, types and flags.
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
