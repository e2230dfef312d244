import t from 'tap'
import { protocolOf, transportOf } from '../../../src/core/packet/protocol-names.js'

t.test('each protocol name in the log is read as the protocol that was written', async (t) => {
  for (let protocol = 0; protocol < 256; protocol++) t.equal(protocolOf(transportOf(protocol)), protocol)
  t.same([1, 6, 17, 58, 47].map(transportOf), ['icmp', 'tcp', 'udp', 'ipv6-icmp', '47'])
})

t.test('a text that is no protocol has no number', async (t) => {
  for (const text of ['', 'TCP', 'gre', '256', '1000', '-1', '6 ', '0x6', '1e1', 'constructor'])
    t.equal(protocolOf(text), undefined, text)
})
