import t from 'tap'
import { formatPrefix } from '../../src/core/packet/address-text.js'
import { BUILT_IN_RULES } from '../../src/core/policy/built-in-rules.js'
import type { Policy } from '../../src/core/policy/policy.js'
import type { HostFacts } from '../../src/host/host-facts.js'
import type { Mirror } from '../../src/host/mirrors/mirror.js'
import type { NameKnowledge } from '../../src/policy/build-policy.js'
import { problemsOf } from '../config/files.js'

import { find, HOST, judge, NO_WAYS, NOTHING, names, policy } from './building.js'

t.test('no rule of the operator can have the name of a built-in rule', async (t) => {
  const host: HostFacts = {
    ...HOST,
    mirrors: [{ host: 'mirror.example.org', port: 80, origin: { file: 'f', line: 1 }, manager: 'apt' }],
  }
  const all = policy(t, 'mirrors: { hosts: [198.51.100.7] }', host)
  const added = names(all)
  t.ok(added.length >= 6, `resolvers, time servers, DHCP and mirrors add: ${added.join()}`)
  t.same(
    BUILT_IN_RULES.filter((name) => !added.includes(name)),
    [],
    'every reserved name is the name of a rule',
  )
  for (const name of added) {
    const yaml = `allow: [{ name: "${name}", to: [192.0.2.1] }]`
    t.match(problemsOf(t, yaml), [/allow\[0\]\.name: /], name)
  }
})

t.test(
  'rules are in the order of the documented reasons; those of the operator come last, in their own order',
  async (t) => {
    const made = policy(
      t,
      `mirrors: { hosts: [mirror.example.org] }
allow:
  - { name: zulu, to: [203.0.113.1] }
  - { name: alpha, to: [203.0.113.2] }
`,
    )
    t.same(names(made), ['resolver', 'time', 'time:123', 'dhcp4', 'dhcp6', 'mirrors', 'zulu', 'alpha'])
  },
)

t.test('the mode and the canary come from the configuration', async (t) => {
  t.equal(policy(t, 'mode: observe\n').mode, 'observe')
  const made = policy(t, 'mode: enforce\ncanary: { target: "198.51.100.9:99" }\n')
  t.equal(made.mode, 'enforce')
  t.equal(judge(made, '198.51.100.9', 99), 'canary')
  t.equal(judge(made, '198.51.100.9', 98), 'not-allowlisted')
})

t.test("every user may ask the host's resolvers on port 53, by UDP and TCP", async (t) => {
  const made = policy(t, 'mode: enforce\n')
  t.equal(judge(made, '192.0.2.53', 53, { udp: true, uid: 33 }), 'resolver')
  t.equal(judge(made, '192.0.2.53', 53, { uid: 33 }), 'resolver')
  t.equal(judge(made, '192.0.2.53', 54, { udp: true }), 'not-allowlisted')
  t.equal(judge(made, '192.0.2.54', 53, { udp: true }), 'not-allowlisted')
})

t.test('configured resolvers and time servers replace those of the host', async (t) => {
  const made = policy(t, 'infrastructure: { dns: [198.51.100.53], ntp: [ntp.example.org] }\n')
  t.equal(judge(made, '198.51.100.53', 53, { udp: true }), 'resolver')
  t.equal(judge(made, '192.0.2.53', 53, { udp: true }), 'not-allowlisted')
  t.match(find(made, 'time'), { names: ['ntp.example.org'], prefixes: [] })
})

t.test(
  'time servers may be reached on UDP port 123, by name or address, by the users of time services',
  async (t) => {
    const made = policy(t, 'mode: enforce\n')
    t.match(find(made, 'time'), { reason: 'time', protocol: 'udp', names: ['time.example.org'] })
    t.equal(judge(made, '192.0.2.123', 123, { udp: true }), 'time')
    t.equal(judge(made, '192.0.2.123', 123, { udp: true, uid: 997 }), 'time')
    t.equal(judge(made, '192.0.2.123', 123, { udp: true, from: 123 }), 'time', 'as ntpd does')
    t.equal(
      judge(made, '192.0.2.123', 123, { udp: true, from: 80 }),
      'not-allowlisted',
      'a port of a service',
    )
    t.equal(judge(made, '192.0.2.123', 123, { udp: true, uid: 33 }), 'not-allowlisted', 'another user')
    t.equal(judge(made, '192.0.2.123', 123), 'not-allowlisted', 'TCP is blocked')
  },
)

t.test(
  'DHCP is allowed from the client port to the server port of its family, only for DHCP clients',
  async (t) => {
    const made = policy(t, 'mode: enforce\n')
    const dhcp = (to: string, from: number, port: number, uid = 0) =>
      judge(made, to, port, { udp: true, from, uid })
    t.equal(dhcp('255.255.255.255', 68, 67), 'dhcp')
    t.equal(dhcp('198.51.100.67', 68, 67, 998), 'dhcp')
    t.equal(dhcp('2001:db8::547', 546, 547), 'dhcp')
    t.equal(dhcp('198.51.100.67', 68, 67, 33), 'not-allowlisted', 'the user is another one')
    t.equal(dhcp('198.51.100.67', 1068, 67), 'not-allowlisted', 'the source port is another one')
    t.equal(dhcp('198.51.100.67', 546, 547), 'not-allowlisted', 'the ports belong to the other family')
    t.equal(dhcp('2001:db8::547', 68, 67), 'not-allowlisted', 'the ports belong to the other family')
    t.same(names(policy(t, 'infrastructure: { dhcp: false }\n')), ['resolver', 'time', 'time:123'])
  },
)

t.test('a host without resolvers, time servers, DHCP and mirrors gets no rules for them', async (t) => {
  t.same(names(policy(t, 'infrastructure: { dhcp: false }\n', NOTHING)), [])
  t.same(names(policy(t, 'infrastructure: { dhcp: false, dns: [], ntp: [] }\n')), [])
})

t.test('a mirror is allowed only at its ports and for the users who update', async (t) => {
  const made = policy(t, 'mirrors: { hosts: [198.51.100.0/24, mirror.example.org], ports: [80, 443] }\n')
  t.equal(judge(made, '198.51.100.1', 80, { uid: 0 }), 'mirror')
  t.equal(judge(made, '198.51.100.1', 443, { uid: 42 }), 'mirror')
  t.equal(
    judge(made, '198.51.100.1', 443, { uid: 33 }),
    'not-allowlisted',
    "the web server's user is blocked",
  )
  t.equal(judge(made, '198.51.100.1', 22), 'not-allowlisted')
  t.equal(judge(made, '198.51.100.1', 443, { udp: true }), 'not-allowlisted')
  t.match(find(made, 'mirrors'), { names: ['mirror.example.org'] })
  const [mirrors] = made.rules.filter(({ spec }) => spec.reason === 'mirror')
  t.equal(mirrors!.acceptTcp.remember, true, 'no other user can inherit a TCP connection')
})

t.test('an entry of the operator allows its destinations and nothing else', async (t) => {
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
  t.same(spec.prefixes.map(formatPrefix), ['203.0.113.0/24'])
  t.match(spec.origin, { line: 2 })
})

t.test('an entry without ports allows all ports, and protocols without ports', async (t) => {
  const made = policy(t, 'allow: [{ name: backup, to: [203.0.113.9], protocol: any }]\n')
  t.same(find(made, 'backup')!.ports, [])
  for (const port of [0, 1, 65535]) t.equal(judge(made, '203.0.113.9', port), 'rule')
})

t.test('an entry that has expired allows nothing', async (t) => {
  const made = policy(t, 'allow: [{ name: old, to: [203.0.113.9], expires: 2020-01-01 }]\n')
  t.equal(judge(made, '203.0.113.9', 443), 'not-allowlisted')
  t.equal(find(made, 'old')!.expires, Date.UTC(2020, 0, 1))
})

t.test('an entry with a unit is only for that unit', async (t) => {
  const made = policy(t, 'allow: [{ name: worker, to: [203.0.113.9], units: [worker.service] }]\n')
  t.equal(judge(made, '203.0.113.9', 443), 'not-allowlisted')
  t.equal(judge(made, '203.0.113.9', 443, { unit: 'web.service' }), 'not-allowlisted')
  t.equal(judge(made, '203.0.113.9', 443, { unit: 'worker.service' }), 'rule')
})

t.test('a wildcard allows no address by itself, only the addresses of names below it', async (t) => {
  const made = policy(t, 'allow: [{ name: wild, to: ["*.example.org"] }]\n')
  const spec = find(made, 'wild')!
  t.match(spec, { domains: ['example.org'] })
  t.same([...spec.names, ...spec.prefixes], [])
  t.equal(made.names.find('a.b.example.org')[0]?.spec, spec)
  t.equal(made.names.has('example.org'), false)
})

t.test('wildcards of mirrors and time servers match names as well', async (t) => {
  const made = policy(
    t,
    'mirrors: { hosts: ["*.m.example.org"] }\ninfrastructure: { ntp: ["*.n.example.org"] }\n',
  )
  t.match(find(made, 'mirrors'), { domains: ['m.example.org'] })
  t.match(find(made, 'time'), { domains: ['n.example.org'] })
})

const found = (host: string, port: number, service?: string): Mirror => ({
  host,
  port,
  ...(service === undefined ? {} : { service }),
  manager: 'apt',
  origin: { file: '/etc/apt/sources.list', line: 1 },
})
const withMirrors = (...mirrors: Mirror[]): HostFacts => ({ ...HOST, mirrors })

t.test(
  'a mirror that was found is allowed at its own port, and not at the port of another mirror',
  async (t) => {
    const mirrors = [found('a.example.org', 443), found('198.51.100.7', 80), found('2001:db8::7', 443)]
    const made = policy(t, 'mode: enforce\n', withMirrors(...mirrors, found('b.example.org', 80)))
    t.same(names(made), ['resolver', 'time', 'time:123', 'dhcp4', 'dhcp6', 'mirrors:80', 'mirrors:443'])
    t.same(find(made, 'mirrors:80')!.names, ['b.example.org'])
    t.same(find(made, 'mirrors:443')!.names, ['a.example.org'])
    t.equal(judge(made, '198.51.100.7', 80), 'mirror')
    t.equal(judge(made, '2001:db8::7', 443, { uid: 42 }), 'mirror')
    t.equal(judge(made, '198.51.100.7', 443), 'not-allowlisted')
    t.equal(judge(made, '198.51.100.7', 80, { udp: true }), 'not-allowlisted')
    t.equal(judge(made, '198.51.100.7', 80, { uid: 33 }), 'not-allowlisted', 'the user does not update')
  },
)

t.test('a mirror that several files name is in its rule once', async (t) => {
  const mirrors = [found('a.example.org', 80), found('a.example.org', 80, '_http._tcp.a.example.org')]
  t.same(find(policy(t, 'mode: enforce\n', withMirrors(...mirrors)), 'mirrors:80')!.names, ['a.example.org'])
})

t.test('the SRV target of a mirror is a mirror as well, at the port in the answer', async (t) => {
  const asked: string[] = []
  const targets = (service: string) => {
    asked.push(service)
    return [
      { name: 'cdn.example.net', port: 8080 },
      { name: 'cdn2.example.net', port: 80 },
    ]
  }
  const mirrors = [found('a.example.org', 80, '_http._tcp.a.example.org'), found('b.example.org', 80)]
  const made = policy(t, 'mode: enforce\n', withMirrors(...mirrors), { ...NO_WAYS, targets })
  t.same(asked, ['_http._tcp.a.example.org'])
  t.match(find(made, 'mirrors:80'), { names: ['a.example.org', 'b.example.org'], isFromSrv: undefined })
  t.match(find(made, 'targets:80'), { names: ['cdn2.example.net'], users: [0, 42], isFromSrv: true })
  t.match(find(made, 'targets:8080'), { names: ['cdn.example.net'], ports: [{ first: 8080, last: 8080 }] })
})

t.test('an SRV answer allows host names only, and nothing wider', async (t) => {
  for (const name of ['0.0.0.0/0', '169.254.169.254', '*.example.net', '::/0', '127.0.0.1', '']) {
    const ways: NameKnowledge = { ...NO_WAYS, targets: () => [{ name, port: 8080 }] }
    const host = withMirrors(found('a.example.org', 80, '_http._tcp.a.example.org'))
    const spec = find(policy(t, 'mode: enforce\n', host, ways), 'targets:8080')
    const wider = [...(spec?.prefixes ?? []).map(formatPrefix), ...(spec?.domains ?? [])]
    t.same(wider, [], `the target is "${name}"`)
  }
})

/** Returns those names that may be asked for. */
const mayBeAsked = ({ queryPolicy }: Policy, ...names: string[]) =>
  names.filter((name) => queryPolicy === undefined || queryPolicy.isAllowed(name))

t.test('the user that a package manager becomes may reach found mirrors where root may', async (t) => {
  const host = { ...withMirrors(found('a.example.org', 80)), updateUsers: [77] }
  t.same(find(policy(t, 'mode: enforce\n', host), 'mirrors:80')?.users, [0, 42, 77])
  t.ok(policy(t, 'mode: enforce\n', host).trustedUsers.includes(77))
  t.same(find(policy(t, 'mirrors: { users: ["42"] }\n', host), 'mirrors:80')?.users, [42])
})

t.test('names are enforced only when that is configured', async (t) => {
  t.equal(policy(t, 'mode: enforce\n').queryPolicy, undefined)
  t.not(policy(t, 'dns: { enforceNames: true }\n').queryPolicy, undefined)
})

t.test('the names of all rules may be asked for, and their aliases, and the host’s own names', async (t) => {
  const yaml = `dns: { enforceNames: true }
mirrors: { hosts: [mirror.example.org] }
allow:
  - { name: wild, to: ["*.api.example.org"] }
  - { name: bound, to: [bound.example.org], units: [nginx.service] }
`
  const ways: NameKnowledge = { ...NO_WAYS, isWayTo: (name) => name === 'alias.example.net' }
  const made = policy(t, yaml, withMirrors(found('a.example.org', 80)), ways)
  const allowed = [
    ...['mirror.example.org', 'x.api.example.org', 'time.example.org', 'a.example.org'],
    ...['alias.example.net', 'web1', 'bound.example.org'],
  ]
  const others = ['example.org', 'api.example.org', 'x.mirror.example.org', 'web2', '']
  t.same(mayBeAsked(made, ...allowed, ...others), allowed)
})

t.test('search domains and reverse names may be asked for as configured', async (t) => {
  const host = { ...HOST, searchDomains: ['corp.example'] }
  const asking = (settings: string) => policy(t, `dns: { enforceNames: true${settings} }\n`, host).queryPolicy
  t.match(asking(''), { search: ['corp.example'], reverse: false })
  t.match(asking(', reverse: true'), { search: ['corp.example'], reverse: true })
  t.same(asking(', searchDomains: false')?.search, [])
})

t.test(
  "the fallback lets users who update, local resolvers and the service's user send queries",
  async (t) => {
    const host = { ...HOST, resolverUsers: [101, 102] }
    t.same(policy(t, 'dns: { enforceNames: true }\n', host).trustedUsers, [
      ...new Set([process.geteuid!(), 0, 42, 101, 102]),
    ])
  },
)
