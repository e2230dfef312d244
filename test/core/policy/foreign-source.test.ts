import t from 'tap'
import { IPPROTO_TCP } from '../../../src/core/packet/ip.js'
import { TCPHDR_ACK } from '../../../src/core/packet/packet.js'
import { decide, FOREIGN_SOURCE } from '../../../src/core/policy/policy.js'
import { clients } from '../clients.js'
import { words } from '../packets.js'
import { policy, rule } from '../rules.js'
import { judge, NOW, tcp4, udp4, WWW_DATA } from './judging.js'

const FORGER = { ...WWW_DATA, isForeign: true }

t.test('a packet with a foreign source is blocked, whatever would allow it', async (t) => {
  for (const packet of [tcp4(), udp4()]) {
    t.equal(judge([rule()], packet, { ...FORGER, isForeign: false }).verdict, 'accept')
    t.equal(judge([rule()], packet, FORGER), FOREIGN_SOURCE)
  }
  const host = clients()
  host.services.tcp[443] = 1
  host.sessions.seen(4, IPPROTO_TCP, words('192.0.2.1'), 443, words('198.51.100.2'), 51000, host.now)
  const answer = tcp4({ sourcePort: 443, destinationPort: 51000, flags: TCPHDR_ACK })
  t.equal(decide(policy(), answer, WWW_DATA, host, NOW).reason, 'session')
  t.equal(decide(policy(), answer, FORGER, host, NOW), FOREIGN_SOURCE)
})
