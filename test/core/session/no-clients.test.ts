import t from 'tap'
import { IPPROTO_TCP, IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import { TCPHDR_ACK, TCPHDR_SYN } from '../../../src/core/packet/packet.js'
import type { Sender } from '../../../src/core/packet/sender.js'
import { noteOpening, replyKindOf } from '../../../src/core/session/client-replies.js'
import { noClients } from '../../../src/core/session/no-clients.js'
import { ipv4, tcp, udp, words } from '../packets.js'
import { read } from '../policy/judging.js'

const WORKER: Sender = {
  uid: 33,
  known: false,
  isReply: false,
  isForeign: false,
  isQuarantined: false,
  device: 7,
  isOf: () => false,
}
const PORTS = { sourcePort: 443, destinationPort: 51000 }
const ENDS = [words('192.0.2.1'), 443, words('198.51.100.2'), 51000] as const

t.test(
  'a host without clients never gets one, whatever packets are judged and sessions are noted',
  async (t) => {
    const host = noClients()
    const syn = read(ipv4({}, tcp({ ...PORTS, flags: TCPHDR_SYN })))
    const ack = read(ipv4({}, tcp({ ...PORTS, flags: TCPHDR_ACK })))
    const datagram = read(ipv4({ protocol: IPPROTO_UDP }, udp(PORTS)))
    for (const services of [0, 1]) {
      host.services.tcp[443] = services
      host.services.udp[443] = services
      for (const packet of [ack, datagram]) t.equal(replyKindOf(packet, WORKER, host), 'none')
      noteOpening(syn, host)
      for (const protocol of [IPPROTO_TCP, IPPROTO_UDP] as const) {
        host.sessions.seen(4, protocol, ...ENDS, host.now)
        host.callbacks.seen(4, protocol, ...ENDS, host.now)
        t.equal(host.callbacks.allow(datagram, WORKER, host.lookUp, host.now), false)
      }
    }
    t.equal(host.opened.size, 0)
    t.equal(host.opened.silence(4, IPPROTO_TCP, ...ENDS, host.now), Number.POSITIVE_INFINITY)
  },
)

t.test('a host without clients has no service port, and two such hosts share no table', async (t) => {
  const [one, other] = [noClients(), noClients()]
  for (const { tcp, udp } of [one.services, other.services])
    t.notOk(tcp.includes(1) || udp.includes(1) || tcp.length !== 65536 || udp.length !== 65536)
  one.services.tcp[22] = 1
  t.equal(other.services.tcp[22], 0)
})
