/** Tests that a user in quarantine opens nothing, and still answers clients. */
import t from 'tap'
import { IPPROTO_TCP } from '../../../src/core/packet/ip.js'
import { TCPHDR_ACK } from '../../../src/core/packet/packet.js'
import { decide, QUARANTINED } from '../../../src/core/policy/policy.js'
import { clients } from '../clients.js'
import { words } from '../packets.js'
import { policy, rule } from '../rules.js'
import { judge, NOW, tcp4, udp4, WWW_DATA } from './judging.js'

const HELD = { ...WWW_DATA, isQuarantined: true }

t.test('no rule allows anything to a user in quarantine, and sessions go on', async (t) => {
  for (const packet of [tcp4(), udp4()]) {
    t.equal(judge([rule()], packet).verdict, 'accept')
    t.equal(judge([rule()], packet, HELD), QUARANTINED)
  }
  const host = clients()
  host.services.tcp[443] = 1
  host.sessions.seen(4, IPPROTO_TCP, words('192.0.2.1'), 443, words('198.51.100.2'), 51000, host.now)
  const answer = tcp4({ sourcePort: 443, destinationPort: 51000, flags: TCPHDR_ACK })
  t.equal(decide(policy(), answer, HELD, host, NOW).reason, 'session')
})
