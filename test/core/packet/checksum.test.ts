import t from 'tap'
import { hasNoChecksum, setPayload, writeChecksum } from '../../../src/core/packet/checksum.js'
import { IPPROTO_TCP, IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import { Packet } from '../../../src/core/packet/packet.js'
import { ipv4, ipv6, tcp, udp } from '../packets.js'
import { read } from '../policy/judging.js'

const PAYLOADS = [0, 1, 2, 3, 48, 511, 1400].map((length) => new Uint8Array(length).map((_, i) => i * 7))
const UDP = { protocol: IPPROTO_UDP }

t.test('the checksum of a packet is that of its bytes, in both families, for TCP and UDP', async (t) => {
  for (const payload of PAYLOADS)
    for (const sent of [
      ipv4({}, tcp({ payload })),
      ipv6({}, tcp({ payload })),
      ipv4(UDP, udp({ payload })),
      ipv4({ ...UDP, options: [1, 1, 1, 1] }, udp({ payload })),
      ipv6(UDP, udp({ payload })),
      ipv6({ ...UDP, extensions: [{ kind: 60, body: [0, 0, 1, 4, 0, 0, 0, 0] }] }, udp({ payload })),
    ]) {
      const bytes = Uint8Array.from(sent)
      const packet = read(bytes)
      const at = packet.transportOffset + (packet.protocol === IPPROTO_UDP ? 6 : 16)
      bytes.set([0xab, 0xcd], at)
      writeChecksum(packet)
      t.same(bytes, sent)
    }
})

t.test('a datagram whose checksum comes to 0 gets 0xffff, since 0 means that it has none', async (t) => {
  // The checksum of the first datagram, as data, makes that of the second one 0.
  const first = ipv4(UDP, udp({ payload: Uint8Array.of(0, 0) }))
  const bytes = ipv4(UDP, udp({ payload: first.subarray(26, 28) }))
  const packet = read(bytes)
  bytes.set([0, 0], 26)
  t.equal(hasNoChecksum(packet), true)
  writeChecksum(packet)
  t.same([...bytes.subarray(26, 28)], [0xff, 0xff])
  t.equal(hasNoChecksum(packet), false)
  t.equal(hasNoChecksum(read(ipv4({}, tcp()))), false, 'a segment always has one')
})

t.test('a payload is given to a packet with a checksum, and replaces the one before', async (t) => {
  const packet = new Packet()
  for (const protocol of [IPPROTO_UDP, IPPROTO_TCP, IPPROTO_UDP]) {
    packet.protocol = protocol
    setPayload(packet, Uint8Array.of(1, 2))
    t.same([...packet.bytes.subarray(packet.payloadOffset, packet.payloadEnd)], [1, 2])
    t.equal(hasNoChecksum(packet), false)
  }
})
