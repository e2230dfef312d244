import t, { type Test } from 'tap'
import { parseAddress } from '../src/addressing.js'
import { Packet, TCPHDR_SYN } from '../src/core/packet.js'
import { decide, type Policy, type Rule } from '../src/core/policy.js'
import { prefixText } from '../src/core/text.js'
import { IPPROTO_TCP, IPPROTO_UDP } from '../src/core/types.js'
import type { Infrastructure } from '../src/mirrors/infrastructure.js'
import { parseResolvConf, parseTimeServers } from '../src/mirrors/infrastructure.js'
import { policyOf } from '../src/rules.js'
import { configOf, loadText } from './config/files.js'
import { clients } from './core/clients.js'

const HOST: Infrastructure = {
  resolvers: parseResolvConf('nameserver 192.0.2.53\n'),
  timeServers: parseTimeServers('server time.example.org\nserver 192.0.2.123\n'),
  dhcpUsers: [0, 998],
}
const NOTHING: Infrastructure = { resolvers: [], timeServers: [], dhcpUsers: [] }

/** The policy of a configuration of these lines. */
const policy = (t: Test, yaml: string, host = HOST): Policy => policyOf(configOf(loadText(t, yaml)), host)

const find = ({ rules }: Policy, name: string): Rule['spec'] | undefined =>
  rules.find((rule) => rule.spec.name === name)?.spec

const names = ({ rules }: Policy) => rules.map(({ spec }) => spec.name)

/** What becomes of one packet: its reason. */
function judge(
  policy: Policy,
  to: string,
  port: number,
  given: { uid?: number; udp?: boolean; from?: number } = {},
) {
  const address = parseAddress(to)
  if (!address.ok) throw new Error(address.reason)
  const packet = Object.assign(new Packet(), {
    family: address.value.family,
    protocol: given.udp ? IPPROTO_UDP : IPPROTO_TCP,
    sourcePort: given.from ?? 40000,
    destinationPort: port,
    tcpFlags: given.udp ? 0 : TCPHDR_SYN,
  })
  packet.destination.set(address.value.words)
  const sender = { uid: given.uid ?? 0, known: false, device: 0 }
  return decide(policy, packet, sender, clients(), Date.now()).reason
}

t.test(
  'rules stand in the order of the documented reasons, those of the operator last and in theirs',
  async (t) => {
    const made = policy(
      t,
      `mirrors: { hosts: [mirror.example.org] }
allow:
  - { name: zulu, to: [203.0.113.1] }
  - { name: alpha, to: [203.0.113.2] }
`,
    )
    t.same(names(made), ['resolver', 'time', 'dhcp4', 'dhcp6', 'mirrors', 'zulu', 'alpha'])
  },
)

t.test('the mode and the canary are those of the configuration', async (t) => {
  t.equal(policy(t, 'mode: observe\n').mode, 'observe')
  const made = policy(t, 'mode: enforce\ncanary: { target: "198.51.100.9:99" }\n')
  t.equal(made.mode, 'enforce')
  t.equal(judge(made, '198.51.100.9', 99), 'canary')
  t.equal(judge(made, '198.51.100.9', 98), 'not-allowlisted')
})

t.test('the resolvers of the host may be asked on port 53 by everybody, by UDP and TCP', async (t) => {
  const made = policy(t, 'mode: enforce\n')
  t.equal(judge(made, '192.0.2.53', 53, { udp: true, uid: 33 }), 'resolver')
  t.equal(judge(made, '192.0.2.53', 53, { uid: 33 }), 'resolver')
  t.equal(judge(made, '192.0.2.53', 54, { udp: true }), 'not-allowlisted')
  t.equal(judge(made, '192.0.2.54', 53, { udp: true }), 'not-allowlisted')
})

t.test('resolvers and time servers that are configured replace those of the host', async (t) => {
  const made = policy(t, 'infrastructure: { dns: [198.51.100.53], ntp: [ntp.example.org] }\n')
  t.equal(judge(made, '198.51.100.53', 53, { udp: true }), 'resolver')
  t.equal(judge(made, '192.0.2.53', 53, { udp: true }), 'not-allowlisted')
  t.match(find(made, 'time'), { names: ['ntp.example.org'], prefixes: [] })
})

t.test('time servers may be asked on UDP port 123, by name or address', async (t) => {
  const made = policy(t, 'mode: enforce\n')
  t.match(find(made, 'time'), { reason: 'time', protocol: 'udp', names: ['time.example.org'] })
  t.equal(judge(made, '192.0.2.123', 123, { udp: true }), 'time')
  t.equal(judge(made, '192.0.2.123', 123), 'not-allowlisted', 'not by TCP')
})

t.test(
  'DHCP goes from the client port to the server port of its family, for DHCP clients alone',
  async (t) => {
    const made = policy(t, 'mode: enforce\n')
    const dhcp = (to: string, from: number, port: number, uid = 0) =>
      judge(made, to, port, { udp: true, from, uid })
    t.equal(dhcp('255.255.255.255', 68, 67), 'dhcp')
    t.equal(dhcp('198.51.100.67', 68, 67, 998), 'dhcp')
    t.equal(dhcp('2001:db8::547', 546, 547), 'dhcp')
    t.equal(dhcp('198.51.100.67', 68, 67, 33), 'not-allowlisted', 'another user')
    t.equal(dhcp('198.51.100.67', 1068, 67), 'not-allowlisted', 'another source port')
    t.equal(dhcp('198.51.100.67', 546, 547), 'not-allowlisted', 'the ports of the other family')
    t.equal(dhcp('2001:db8::547', 68, 67), 'not-allowlisted', 'the ports of the other family')
    t.same(names(policy(t, 'infrastructure: { dhcp: false }\n')), ['resolver', 'time'])
  },
)

t.test('a host that has none of these gets no rule for them', async (t) => {
  t.same(names(policy(t, 'infrastructure: { dhcp: false }\n', NOTHING)), [])
  t.same(names(policy(t, 'infrastructure: { dhcp: false, dns: [], ntp: [] }\n')), [])
})

t.test('a mirror is bound to its ports and to the users who update', async (t) => {
  const made = policy(t, 'mirrors: { hosts: [198.51.100.0/24, mirror.example.org], ports: [80, 443] }\n')
  t.equal(judge(made, '198.51.100.1', 80, { uid: 0 }), 'mirror')
  t.equal(judge(made, '198.51.100.1', 443, { uid: 42 }), 'mirror')
  t.equal(
    judge(made, '198.51.100.1', 443, { uid: 33 }),
    'not-allowlisted',
    'the web server gets nothing from it',
  )
  t.equal(judge(made, '198.51.100.1', 22), 'not-allowlisted')
  t.equal(judge(made, '198.51.100.1', 443, { udp: true }), 'not-allowlisted')
  t.match(find(made, 'mirrors'), { names: ['mirror.example.org'] })
  const [mirrors] = made.rules.filter(({ spec }) => spec.reason === 'mirror')
  t.equal(mirrors!.accept.remember, true, 'TCP: nobody can inherit the connection')
})

t.test('an entry of the operator allows what it says and nothing beside', async (t) => {
  const made = policy(
    t,
    `allow:
  - { name: payments, to: [203.0.113.0/24, api.example.org], ports: [443, 8000-8010], protocol: tcp, users: [www-data] }
`,
  )
  t.equal(judge(made, '203.0.113.5', 443, { uid: 33 }), 'rule')
  t.equal(judge(made, '203.0.113.5', 8005, { uid: 33 }), 'rule')
  t.equal(judge(made, '203.0.113.5', 443, { uid: 1000 }), 'not-allowlisted')
  t.equal(judge(made, '203.0.113.5', 80, { uid: 33 }), 'not-allowlisted')
  t.equal(judge(made, '203.0.113.5', 443, { uid: 33, udp: true }), 'not-allowlisted')
  const spec = find(made, 'payments')!
  t.same(spec.names, ['api.example.org'])
  t.same(spec.prefixes.map(prefixText), ['203.0.113.0/24'])
  t.match(spec.origin, { line: 2 })
})

t.test('an entry without ports is for all of them, and for protocols that have none', async (t) => {
  const made = policy(t, 'allow: [{ name: backup, to: [203.0.113.9], protocol: any }]\n')
  t.same(find(made, 'backup')!.ports, [])
  for (const port of [0, 1, 65535]) t.equal(judge(made, '203.0.113.9', port), 'rule')
})

t.test('an entry that has expired allows nothing', async (t) => {
  const made = policy(t, 'allow: [{ name: old, to: [203.0.113.9], expires: 2020-01-01 }]\n')
  t.equal(judge(made, '203.0.113.9', 443), 'not-allowlisted')
  t.equal(find(made, 'old')!.expires, Date.UTC(2020, 0, 1))
})

t.test('an entry bound to a unit allows nothing as long as units are not known', async (t) => {
  const made = policy(t, 'allow: [{ name: worker, to: [203.0.113.9], units: [worker.service] }]\n')
  t.equal(judge(made, '203.0.113.9', 443), 'not-allowlisted')
  t.equal(find(made, 'worker'), undefined)
})

t.test('a wildcard allows no address by itself', async (t) => {
  const made = policy(t, 'allow: [{ name: wild, to: ["*.example.org"] }]\n')
  t.match(find(made, 'wild'), { names: [], prefixes: [] })
})
