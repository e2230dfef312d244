import t from 'tap'
import { otherServer } from '../../src/host/server-address.js'
import { find, HOST, judge, names, policy } from './building.js'

t.test('time servers have the ports of their lines, and keys for NTS come over TCP', async (t) => {
  const [name, address] = ['nts.example.org', '192.0.2.124'].flatMap((each) => otherServer(each) ?? [])
  const timeServers = [...HOST.timeServers, { ...name!, port: 1123 }, { ...address!, port: 1123 }]
  const host = {
    ...HOST,
    timeServers,
    timeTlsServers: [
      { ...address!, port: 4460 },
      { ...name!, port: 4461 },
    ],
  }
  const made = policy(t, 'mode: enforce\n', host)
  t.same(
    names(made).filter((each) => each.startsWith('time')),
    ['time', 'time:123', 'time:1123', 'time-tls:4460', 'time-tls:4461'],
  )
  const ntp = { udp: true, uid: 997 }
  t.equal(judge(made, '192.0.2.124', 1123, ntp), 'time')
  t.equal(judge(made, '192.0.2.124', 123, ntp), 'not-allowlisted', 'its port is another one')
  t.equal(judge(made, '192.0.2.124', 4460, { uid: 997 }), 'time')
  t.equal(judge(made, '192.0.2.124', 4460, { uid: 33 }), 'not-allowlisted', 'another user')
  t.equal(judge(made, '192.0.2.124', 4460, ntp), 'not-allowlisted', 'UDP is blocked')
  t.equal(judge(made, '192.0.2.123', 4460, { uid: 997 }), 'not-allowlisted', 'a server without NTS')
  t.match(find(made, 'time-tls:4461'), { reason: 'time', protocol: 'tcp', names: ['nts.example.org'] })
  const own = policy(t, 'infrastructure: { ntp: [nts.example.org] }\n', host)
  t.same(
    names(own).filter((each) => each.startsWith('time')),
    ['time', 'time:123', 'time-tls:4461'],
    'a list of the operator chooses among them',
  )
})
