import t from 'tap'
import { IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import { ntpRequest } from '../../../src/core/packet/ntp.js'
import { NOT_ALLOWLISTED, NOT_NTP } from '../../../src/core/policy/policy.js'
import { ipv4, tcp, udp } from '../packets.js'
import { rule } from '../rules.js'
import { judge, read } from './judging.js'

const TIME = rule({ reason: 'time', name: 'time', protocol: 'udp', ports: [{ first: 123, last: 123 }] })
const datagram = (payload: Uint8Array, port = 123) =>
  read(ipv4({ protocol: IPPROTO_UDP }, udp({ sourcePort: 40_000, destinationPort: port, payload })))

t.test(
  'a time server gets requests of NTP, and nothing else unless an entry of the operator allows it',
  async (t) => {
    const data = new Uint8Array(48)
    t.equal(judge([TIME], datagram(ntpRequest())).reason, 'time')
    t.equal(judge([TIME], datagram(data)), NOT_NTP)
    t.equal(judge([TIME], datagram(data, 124)), NOT_ALLOWLISTED)
    t.equal(judge([TIME, rule()], datagram(data)).reason, 'rule')
  },
)

t.test('what goes to a time server over TLS needs no form of NTP', async (t) => {
  const keys = rule({
    reason: 'time',
    name: 'time-tls:4460',
    protocol: 'tcp',
    ports: [{ first: 4460, last: 4460 }],
  })
  t.equal(judge([keys], read(ipv4({}, tcp({ destinationPort: 4460 })))).reason, 'time')
})
