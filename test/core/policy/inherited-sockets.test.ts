import t from 'tap'
import { IPPROTO_ICMP } from '../../../src/core/packet/ip.js'
import type { Sender } from '../../../src/core/packet/sender.js'
import { decide } from '../../../src/core/policy/policy.js'
import type { RuleSpec } from '../../../src/core/policy/rule.js'
import { noServices } from '../../../src/core/session/services.js'
import { clients } from '../clients.js'
import { icmp, ipv4 } from '../packets.js'
import { policy, rule } from '../rules.js'
import { judge, NOW, read, tcp4, udp4, WWW_DATA } from './judging.js'

t.test(
  'no packet from a port of a service of root counts as root’s, whatever the kernel may choose',
  async (t) => {
    const rootServices = noServices()
    rootServices.tcp[40_000] = 1
    rootServices.udp[40_001] = 1
    const packets = { tcp: tcp4, udp: udp4 }
    const from = (protocol: 'tcp' | 'udp', sourcePort: number, given: Partial<RuleSpec> = {}, uid = 0) =>
      decide(
        policy([rule({ users: [0, 33], ...given })], { rootServices }),
        packets[protocol]({ sourcePort }),
        { ...WWW_DATA, uid },
        clients(),
        NOW,
      ).verdict
    t.same([from('tcp', 40_000), from('tcp', 40_001)], ['block', 'accept'])
    t.same([from('udp', 40_000), from('udp', 40_001)], ['accept', 'block'])
    t.equal(from('tcp', 40_000, { sourcePort: 40_000 }), 'accept', 'the operator has named the port')
    t.equal(from('tcp', 40_000, {}, 33), 'accept', 'another user makes its own sockets')
  },
)

t.test('a packet counts as root’s only when its source port is one that the kernel chooses', async (t) => {
  const root = { ...WWW_DATA, uid: 0 }
  const from = (sourcePort: number, given: Partial<RuleSpec> = {}, sender: Sender = root) =>
    judge([rule({ users: [0, 33], ...given })], tcp4({ sourcePort }), sender).verdict
  for (const port of [32768, 40000, 60999])
    t.equal(from(port), 'accept', `port ${port} is one that the kernel chooses`)
  for (const port of [1, 443, 32767, 61000])
    t.equal(from(port), 'block', `port ${port} is not one that the kernel chooses`)
  t.equal(from(443, { sourcePort: 443 }), 'accept', 'the rule names this source port')
  t.equal(
    from(443, {}, WWW_DATA),
    'accept',
    'another user may use any port: no other user inherits its sockets',
  )
  t.equal(from(443, { users: undefined }), 'accept', 'a rule without users allows any port')
  t.equal(from(443, {}, { ...root, uid: -1, known: true }), 'accept', 'the connection is known')
  const datagram = udp4({ sourcePort: 443 })
  t.equal(judge([rule({ users: [0] })], datagram, root).verdict, 'block', 'UDP is judged in the same way')
  const echo = read(ipv4({ destination: '198.51.100.2', protocol: IPPROTO_ICMP }, icmp(8)))
  t.equal(judge([rule({ users: [0] })], echo, root).verdict, 'accept', 'an ICMP packet has no port')
})
