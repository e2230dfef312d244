import t from 'tap'
import { readAnswered } from '../../../src/core/dns/question.js'
import { turnIntoRefusal } from '../../../src/core/dns/refused-answer.js'
import { IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import { checksum, ipv4, ipv6, join, tcp, udp } from '../packets.js'
import { read } from '../policy/judging.js'
import { framed, query } from '../queries.js'

const ASKED = query('secret.example.net', { id: 0x1234 })
const ports = { sourcePort: 40_000, destinationPort: 53, payload: ASKED }

t.test(
  'a query becomes the answer of its resolver, with the checksums of its bytes, in both families',
  async (t) => {
    for (const sent of [
      ipv4({ protocol: IPPROTO_UDP, options: [1, 1, 1, 1] }, udp(ports)),
      ipv6({ protocol: IPPROTO_UDP, extensions: [{ kind: 60, body: [0, 0, 1, 4, 0, 0, 0, 0] }] }, udp(ports)),
    ]) {
      const asked = read(Uint8Array.from(sent))
      t.equal(turnIntoRefusal(asked, 0), true)
      const answer = read(Uint8Array.from(asked.bytes))
      t.same([answer.source, answer.destination], [asked.destination, asked.source])
      t.same([answer.sourcePort, answer.destinationPort], [53, 40_000])
      const { bytes, payloadOffset, payloadEnd } = answer
      t.match(readAnswered(bytes, payloadOffset, payloadEnd), {
        id: 0x1234,
        name: 'secret.example.net',
        type: 1,
      })
      t.equal(bytes[payloadOffset + 3]! & 0x0f, 5, 'the code is REFUSED')
      if (answer.family === 4) t.equal(checksum(bytes.subarray(0, answer.transportOffset)), 0)
    }
  },
)

t.test('nothing else is answered, and it stays as it is', async (t) => {
  const response = query('secret.example.net', { flags: 0x8180 })
  for (const bytes of [
    ipv4({ protocol: IPPROTO_UDP }, udp({ ...ports, payload: response })),
    ipv4({ protocol: IPPROTO_UDP }, udp({ ...ports, payload: ASKED.subarray(0, 11) })),
    ipv4({ protocol: IPPROTO_UDP }, udp({ ...ports, payload: new Uint8Array(100) })),
    ipv4({ protocol: IPPROTO_UDP }, udp({ ...ports, payload: join(ASKED, new Uint8Array(8)) })),
    ipv4({}, tcp({ ...ports, payload: framed(ASKED) })),
  ]) {
    const packet = read(Uint8Array.from(bytes))
    t.equal(turnIntoRefusal(packet, 0), false)
    t.same(packet.bytes, bytes)
  }
  const cut = Object.assign(read(ipv4({ protocol: IPPROTO_UDP }, udp(ports))), { isWhole: false })
  t.equal(turnIntoRefusal(cut, 0), false)
})
