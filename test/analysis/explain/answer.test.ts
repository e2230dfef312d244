import t, { type Test } from 'tap'
import type { ExplainContext } from '../../../src/analysis/explain/context.js'
import type { Fields } from '../../../src/analysis/explain/query.js'
import { IPPROTO_TCP, IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import { OWN_UID } from '../../../src/system/users.js'
import { clients } from '../../core/clients.js'
import { ask, type Given, host, NOW, world } from './context.js'

const PAYMENTS = `mode: enforce
allow:
  - name: payments
    to: [api.example.org, 203.0.113.0/24]
    ports: [443]
    users: [root, _apt]
`
const API = { 'api.example.org': ['198.51.100.7', '2001:db8::7'] }

/** Answers one query in a new context. */
const about = (t: Test, yaml: string, given: Given, ...question: [string, string, Fields?]) =>
  ask(world(t, yaml, given), ...question)

t.test('a name is judged by each of its addresses; the answer has the line of the rule', async (t) => {
  const made = world(t, PAYMENTS, { known: API })
  const answer = await ask(made, 'tcp', 'api.example.org:443', { uid: '0' })
  const rule = { name: 'payments', reason: 'rule', found: `${made.directory}/main.yaml:3` }
  const until = new Date(NOW + 60_000).toISOString()
  const same = { until, verdict: 'accept', reason: 'rule', rule, whileSilent: 'accept' }
  t.same(answer.judged, [
    { address: '198.51.100.7', ...same },
    { address: '2001:db8::7', ...same },
  ])
  t.match(answer, {
    verdict: 'accept',
    near: [],
    entry: undefined,
    user: 'root',
    to: 'api.example.org:443',
  })
})

t.test('a rule that misses one condition is near; the answer has the smallest fitting entry', async (t) => {
  const answer = await about(t, PAYMENTS, { known: API }, 'tcp', '203.0.113.5:443', { uid: '33' })
  t.match(answer, {
    verdict: 'block',
    judged: [{ address: '203.0.113.5', reason: 'not-allowlisted', whileSilent: 'block' }],
  })
  t.match(answer.near, [
    { rule: { name: 'payments' }, misses: ['user'], but: ['the user: it is for root, _apt, not www-data'] },
  ])
  t.same(answer.entry, { name: '203.0.113.5', to: ['203.0.113.5'], ports: [443], users: ['www-data'] })
})

t.test('each condition that a rule misses is explained in words', async (t) => {
  const yaml = `mode: enforce
allow:
  - { name: port, to: [203.0.113.1], ports: [443, "8000-8080"], protocol: any }
  - { name: protocol, to: [203.0.113.2], protocol: udp }
  - { name: unit, to: [203.0.113.3], units: [cron.service, system.slice] }
  - { name: expired, to: [203.0.113.4], expires: 2026-12-31 }
  - { name: root, to: [203.0.113.5], users: [root] }
  - { name: name, to: [old.example.org, "*.example.net"] }
`
  const made = world(t, yaml, { former: { 'old.example.org': ['203.0.113.6'] } })
  const but = async (to: string, more: Fields = {}) =>
    (await ask(made, 'tcp', to, more)).near.map(({ rule, but }) => `${rule.name}: ${but.join('; ')}`)
  t.same(await but('203.0.113.1:80'), ['port: the port: it is for 443, 8000-8080'])
  t.same(await but('203.0.113.2:80'), ['protocol: the protocol: it is for udp'])
  t.same(await but('203.0.113.3:80', { unit: 'nginx.service' }), [
    'unit: the unit: it is for cron.service, system.slice, not nginx.service',
  ])
  t.same(await but('203.0.113.4:80'), ['expired: its end: it expired at 2026-12-31T00:00:00Z'])
  t.same(await but('203.0.113.5:80', { uid: '33' }), ['root: the user: it is for root, not www-data'])
  t.match(await but('203.0.113.5:80', { uid: '0', 'from-port': '80' }), [
    /^root: the source port: .*\(32768-60999\) and on which root has not listened$/,
  ])
  t.match(await but('203.0.113.6:80'), [/^name: the address: no current DNS answer has it/])
  t.match(await but('203.0.113.9:80'), [
    /^name: the destination: it leads to old\.example\.org, \*\.example\.net$/,
  ])
})

t.test('a rule fits a unit by its name, and by a slice that the unit is in', async (t) => {
  const rule = (units: string) =>
    `mode: enforce\nallow: [{ name: u, to: [203.0.113.3], units: [${units}] }]\n`
  const verdict = async (units: string, more: Fields) =>
    (await about(t, rule(units), {}, 'tcp', '203.0.113.3:1', more)).verdict
  t.equal(await verdict('cron.service', { unit: 'cron.service' }), 'accept')
  t.equal(await verdict('system.slice', { unit: 'cron.service' }), 'accept')
  t.equal(await verdict('system.slice', { unit: 'nginx.service' }), 'block')
  t.equal(await verdict('cron.service', {}), 'block')
})

t.test('a sender without user or unit fits no rule for them; a note names the option to set', async (t) => {
  const made = world(t, PAYMENTS, { known: API })
  const answer = await ask(made, 'tcp', 'api.example.org:443')
  t.equal(answer.verdict, 'block')
  t.match(answer.near, [{ misses: ['user'], but: ['the user: it is for root, _apt'] }])
  t.ok(answer.notes.some((note) => note.includes('--user')))
  const unit = world(t, 'mode: enforce\nallow: [{ name: u, to: [203.0.113.3], units: [a.service] }]\n')
  t.ok((await ask(unit, 'tcp', '203.0.113.3:1')).notes.some((note) => note.includes('--unit')))
})

t.test('a name that no rule has is blocked; the answer notes that and has an entry to write', async (t) => {
  const answer = await about(t, PAYMENTS, { known: API }, 'tcp', 'other.example.org:443', { uid: '33' })
  t.same(answer.judged, [{ verdict: 'block', reason: 'not-allowlisted', whileSilent: 'block' }])
  t.ok(answer.notes.includes('no rule has the name other.example.org'))
  t.same(answer.entry, {
    name: 'other.example.org',
    to: ['other.example.org'],
    ports: [443],
    users: ['www-data'],
  })
})

t.test('a name that no rule has is accepted when a rule allows every address', async (t) => {
  const everywhere = (prefixes: string) => `mode: enforce\nallow: [{ name: all, to: [${prefixes}] }]\n`
  const both = await about(t, everywhere('0.0.0.0/0, "::/0"'), {}, 'tcp', 'other.example.org:443')
  t.match(both, { verdict: 'accept', judged: [{ reason: 'rule' }] })
  const one = await about(t, everywhere('0.0.0.0/0'), {}, 'tcp', 'other.example.org:443')
  t.match(one, { verdict: 'block', judged: [{ verdict: 'accept' }, { verdict: 'block' }] })
})

t.test("a rule's name without an address is accepted only where the service will learn it", async (t) => {
  const yaml = (dns: string, to = 'api.example.org') =>
    `mode: enforce\ndns: { ${dns} }\nallow: [{ name: api, to: ["${to}"], ports: [443] }]\n`
  const verdict = async (dns: string, to?: string) =>
    (await about(t, yaml(dns, to), {}, 'tcp', 'api.example.org:443')).verdict
  const answer = await about(t, yaml('holdAnswers: true'), {}, 'tcp', 'api.example.org:443')
  t.match(answer, {
    verdict: 'accept',
    judged: [{ address: undefined, reason: 'rule', whileSilent: 'block' }],
  })
  t.ok(answer.notes.some((note) => note.startsWith('no address of api.example.org is known now')))
  t.equal(await verdict('holdAnswers: false'), 'accept', 'the service looks the name up')
  t.equal(await verdict('holdAnswers: false, resolve: false'), 'block')
  t.equal(
    await verdict('holdAnswers: false', '*.example.org'),
    'block',
    'the service does not look up names below a wildcard',
  )
  t.equal(await verdict('holdAnswers: false, enforceNames: true', '*.example.org'), 'accept')
  t.equal((await about(t, yaml('holdAnswers: true'), {}, 'tcp', 'api.example.org:80')).verdict, 'block')
})

t.test("a rule of the system has the line of the host's file that names its destination", async (t) => {
  const mirrors = [
    { host: 'deb.example.org', port: 80, manager: 'apt', origin: { file: '/etc/apt/sources.list', line: 2 } },
    { host: '198.51.100.30', port: 80, manager: 'apt', origin: { file: '/etc/apt/sources.list', line: 3 } },
    {
      host: 'srv.example.org',
      port: 80,
      service: '_http._tcp.srv.example.org',
      manager: 'apt',
      origin: { file: '/etc/apt/sources.list', line: 4 },
    },
  ] as const
  const yaml = 'mode: enforce\nmirrors:\n  hosts:\n    - own.example.org\n    - 198.51.100.64/28\n'
  const made = world(t, yaml, {
    mirrors,
    targets: { '_http._tcp.srv.example.org': { name: 'node.example.org', port: 8080 } },
    known: {
      'deb.example.org': ['198.51.100.2'],
      'own.example.org': ['198.51.100.3'],
      'node.example.org': ['198.51.100.4'],
      'time.example.org': ['198.51.100.5'],
    },
    etc: {
      'resolv.conf': 'search example.org\nnameserver 198.51.100.53\nnameserver 2001:db8::53\n',
      'systemd/timesyncd.conf': '[Time]\n#NTP=\nNTP=198.51.100.123 time.example.org\n',
    },
  })
  const found = async (protocol: string, to: string, more: Fields = { uid: '0' }) => {
    const [judged] = (await ask(made, protocol, to, more)).judged
    return `${judged!.reason} ${judged!.rule?.name} ${judged!.rule?.found.replace(made.directory, '')}`
  }
  t.equal(await found('tcp', 'deb.example.org:80'), 'mirror mirrors:80 /etc/apt/sources.list:2, apt')
  t.equal(await found('tcp', '198.51.100.2:80'), 'mirror mirrors:80 /etc/apt/sources.list:2, apt')
  t.equal(await found('tcp', '198.51.100.30:80'), 'mirror mirrors:80 /etc/apt/sources.list:3, apt')
  t.equal(await found('tcp', 'node.example.org:8080'), 'mirror targets:8080 /etc/apt/sources.list:4, apt')
  t.equal(await found('tcp', '198.51.100.4:8080'), 'mirror targets:8080 /etc/apt/sources.list:4, apt')
  t.equal(await found('tcp', 'own.example.org:443'), 'mirror mirrors /main.yaml:4')
  t.equal(await found('tcp', '198.51.100.70:443'), 'mirror mirrors /main.yaml:5')
  t.equal(await found('udp', '198.51.100.53:53'), 'resolver resolver /root/etc/resolv.conf:2')
  t.equal(await found('tcp', '[2001:db8::53]:53'), 'resolver resolver /root/etc/resolv.conf:3')
  t.equal(await found('udp', '198.51.100.123:123'), 'time time /root/etc/systemd/timesyncd.conf:3')
  t.equal(await found('udp', 'time.example.org:123'), 'time time /root/etc/systemd/timesyncd.conf:3')
})

t.test('a destination that a setting names has that setting as its origin', async (t) => {
  const yaml = 'mode: enforce\ninfrastructure: { dns: [198.51.100.53], ntp: [198.51.100.123] }\n'
  const made = world(t, yaml)
  const found = async (...question: [string, string, Fields?]) =>
    (await ask(made, ...question)).judged[0]!.rule?.found
  t.equal(await found('udp', '198.51.100.53:53'), 'infrastructure.dns')
  t.equal(await found('udp', '198.51.100.123:123', { uid: '0' }), 'infrastructure.ntp')
})

t.test('where names are enforced, a DNS query is judged by the name that it asks for', async (t) => {
  const yaml = `${PAYMENTS}dns: { enforceNames: true }\ninfrastructure: { dns: [198.51.100.53] }\n`
  const made = world(t, yaml, { known: API })
  for (const protocol of ['udp', 'tcp']) {
    const asked = (question: string) => ask(made, protocol, '198.51.100.53:53', { question })
    t.match(await asked('api.example.org'), { verdict: 'accept', judged: [{ reason: 'resolver' }] })
    const refused = await asked('evil.example.net')
    t.match(refused, { verdict: 'block', judged: [{ reason: 'name-not-allowed' }], near: [] })
    t.same(refused.entry, { name: 'evil.example.net', to: ['evil.example.net'], ports: [443] })
  }
  const services = await ask(made, 'udp', '198.51.100.53:53', { question: '_http._tcp.example.net' })
  t.match(services, { verdict: 'block', entry: undefined }, 'no rule can allow a service name')
  await t.rejects(ask(made, 'udp', '198.51.100.53:53'), /--question NAME/)
  t.ok((await ask(made, 'tcp', '198.51.100.53:53')).notes.some((note) => note.includes('--question NAME')))
  const other = await ask(made, 'tcp', 'other.example.org:443')
  t.ok(other.notes.some((note) => note.includes('a DNS query for it is blocked already')))
})

t.test('a DNS query that the service does not read is explained as an ordinary packet', async (t) => {
  const made = world(t, 'mode: enforce\ninfrastructure: { dns: [198.51.100.53] }\n')
  const free = await ask(made, 'udp', '198.51.100.53:53', { question: 'evil.example.net' })
  t.equal(free.verdict, 'accept')
  t.match(free.notes, [/^names are not enforced/])
  const elsewhere = await ask(made, 'udp', '198.51.100.9:53', { question: 'evil.example.net' })
  t.equal(elsewhere.verdict, 'block')
  t.ok(elsewhere.notes.some((note) => note.startsWith('this is no resolver of this host (198.51.100.53)')))
})

t.test(
  'a canary of the service is blocked whatever the rules allow; packets of others there are judged by rules',
  async (t) => {
    const yaml = 'mode: enforce\ncanary: { target: "192.0.2.9:9" }\nallow: [{ name: a, to: [192.0.2.9] }]\n'
    const answer = await about(t, yaml, {}, 'tcp', '192.0.2.9:9', { uid: String(OWN_UID) })
    t.match(answer, { verdict: 'block', judged: [{ reason: 'canary' }], entry: undefined, near: [] })
    t.match(answer.notes, [/canary\.target/])
    const other = await about(t, yaml, {}, 'tcp', '192.0.2.9:9', { uid: '33' })
    t.match(other, { verdict: 'accept', judged: [{ reason: 'rule' }] })
  },
)

t.test('a packet to this host itself is never judged', async (t) => {
  const answer = await about(t, 'mode: enforce\n', {}, 'tcp', '127.0.0.1:80')
  t.match(answer, {
    verdict: 'accept',
    judged: [{ reason: 'loopback', whileSilent: 'accept' }],
    entry: undefined,
  })
})

t.test("a packet from a service port is judged by the client's session; a SYN is no reply", async (t) => {
  const from = { 'from-port': '443' }
  const notes = async (
    protocol: string,
    inbound = clients(),
    source: ExplainContext['source'] = 'service',
  ) => {
    const made = world(t, 'mode: enforce\n', { more: { inbound, source } })
    const { judged, notes } = await ask(made, protocol, '198.51.100.2:9', from)
    return `${judged[0]!.reason}: ${notes.join('; ')}`
  }
  t.match(await notes('tcp'), /^not-allowlisted: tcp\/443 is no service of this host/)
  t.match(await notes('tcp', clients(), 'file'), /only the running service knows which clients/)
  const host = clients()
  host.services.tcp[443] = 1
  host.services.udp[443] = 1
  t.match(
    await notes('tcp', host),
    /^not-allowlisted: tcp\/443 is a service, and no session of it with 198\.51\.100\.2/,
  )
  t.match(
    await notes('udp', host),
    /^not-allowlisted: udp\/443 is a service, and no session of it with 198\.51\.100\.2/,
  )
  for (const protocol of [IPPROTO_TCP, IPPROTO_UDP] as const)
    host.sessions.seen(4, protocol, LOCAL, 443, CLIENT, 9, host.now)
  t.match(
    await notes('tcp', host),
    /^not-allowlisted: tcp\/443 .*has a session .*answers pass; a new connection .*bare SYN/,
  )
  t.match(await notes('udp', host), /^session: udp\/443 .*answers pass$/)
})

t.test('a port counts as a service port as soon as a program listens on it', async (t) => {
  const inbound = clients()
  inbound.listening = true
  const made = world(t, 'mode: enforce\n', { more: { inbound } })
  const { notes } = await ask(made, 'tcp', '198.51.100.2:9', { 'from-port': '8080' })
  t.match(notes, [/^tcp\/8080 is a service/])
})

t.test('a destination without a route is judged all the same, and a note reports it', async (t) => {
  const more = { sourceFor: async () => new Error('ENETUNREACH') }
  const answer = await about(t, PAYMENTS, { more }, 'tcp', '203.0.113.5:443', { uid: '0' })
  t.equal(answer.verdict, 'accept')
  t.match(answer.notes, [/^no route leads to 203\.0\.113\.5 \(ENETUNREACH\)/])
})

t.test('the last known name of an address is in a note, never in the suggested entry', async (t) => {
  const more = { seenName: () => 'cdn.example.net' }
  const answer = await about(t, 'mode: enforce\n', { more }, 'tcp', '203.0.113.5:443')
  t.match(answer.notes, [/in an answer for cdn\.example\.net/])
  t.same(answer.entry?.to, ['203.0.113.5'])
})

t.test('a suggested entry has a valid name that no rule has', async (t) => {
  const yaml = 'mode: enforce\nallow:\n  - { name: 203.0.113.5, to: [203.0.113.5], ports: [80] }\n'
  const made = world(t, yaml)
  t.equal((await ask(made, 'tcp', '203.0.113.5:443')).entry?.name, '203.0.113.5-2')
  t.equal((await ask(made, 'tcp', '[2001:db8::5]:443')).entry?.name, '2001-db8-5')
  t.equal((await ask(made, 'tcp', '[::5]:443')).entry?.name, '5')
  t.equal((await ask(made, 'icmp', '203.0.113.9')).entry?.protocol, 'icmp')
})

t.test('of many near rules the answer contains three', async (t) => {
  const rules = Array.from(
    { length: 9 },
    (_, i) => `  - { name: r${i}, to: [203.0.113.5], ports: [${i + 1}] }`,
  )
  const near = `  - { name: more, to: [203.0.113.5], users: [_apt] }`
  const answer = await about(
    t,
    `mode: enforce\nallow:\n${[...rules, near].join('\n')}\n`,
    {},
    'tcp',
    '203.0.113.5:443',
    { uid: '33' },
  )
  t.equal(answer.near.length, 3)
})

const LOCAL = host('192.0.2.1').words
const CLIENT = host('198.51.100.2').words
