import t from 'tap'
import { type LookupPlan, lookUp, serveDnsmasq, serveFreshDns } from '../lab/dnsmasq.js'
import { MIRROR, WEB } from '../lab/topology.js'
import { connect } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { compile } from './programs.js'
import { createLab, ELSEWHERE, guard, NAME } from './resolving.js'
import { NODE, pause } from './service.js'

/** Settings by which addresses come from held answers only. Five seconds suffice on a busy machine. */
const HELD = `dns: { resolve: false, holdTime: 5s }
mirrors: { hosts: ['*.example.org'], ports: [80] }
`
const all = (count: number) => ({ asked: count, answered: count, connected: count, failures: [] })
const plan = (count: number, given: Partial<LookupPlan> = {}): LookupPlan => ({
  name: 'mirror*.example.org',
  count,
  port: 80,
  way: 'getaddrinfo',
  ...given,
})

t.jobs = 2

t.test('each of 1,000 addresses that are new in a DNS answer is reached at once', async (t) => {
  const lab = await createLab(t)
  await serveFreshDns(lab.mirror, 'example.org')
  const service = await guard(t, lab, HELD)
  await service.launch()
  t.same(await lookUp(lab.web, plan(1000)), all(1000))
  t.equal(await service.metric('answers_total', 'outcome="missed"'), 0)
  t.ok((await service.metric('answers_total', 'outcome="learned"')) >= 1000)
})

t.test('a name that has another address in each answer is reached each time', async (t) => {
  const lab = await createLab(t)
  await serveFreshDns(lab.mirror, 'example.org', { ttl: 0 })
  const service = await guard(t, lab, HELD)
  await service.launch()
  t.same(await lookUp(lab.web, plan(300, { name: NAME, way: 'resolver', concurrency: 8 })), all(300))
  t.ok(
    (await service.metric('allowlist_entries', 'source="mirror"')) <= 64,
    'the number of addresses is bounded',
  )
})

t.test(
  'addresses are learned from answers over TCP, through an alias, and from a resolver with an IPv6 address',
  async (t) => {
    const lab = await createLab(t)
    await lab.web.file('/etc/resolv.conf', `nameserver ${MIRROR.v6}\noptions use-vc timeout:1 attempts:5\n`)
    const dns = await serveFreshDns(lab.mirror, 'example.org', { cname: 'cdn.example.net' })
    const service = await guard(t, lab, HELD)
    await service.launch()
    t.same(await lookUp(lab.web, plan(100)), all(100))
    t.ok(dns.results.some(({ transport }) => transport === 'tcp'))
  },
)

t.test('addresses of an answer that is too large for a datagram are reached', async (t) => {
  const lab = await createLab(t)
  const addresses = Array.from({ length: 60 }, (_, i) => `203.0.113.${i + 100}`)
  const dns = await serveDnsmasq(lab.mirror, { records: { [NAME]: addresses }, ttl: 5 })
  const service = await guard(t, lab, HELD)
  await service.launch()
  t.same(await lookUp(lab.web, plan(20, { name: NAME })), all(20))
  t.ok(dns.questions().some(({ transport }) => transport === 'tcp'))
})

t.test('on a flooded host, an address is in the kernel before the program has the answer', async (t) => {
  // A lost query is not sent again.
  const lab = await createLab(t, 'timeout:30 attempts:1')
  await serveFreshDns(lab.mirror, 'example.org')
  const service = await guard(t, lab, `${HELD}queue: { maxLength: 64 }\n`)
  await service.launch()
  await lab.web.run(['nft', '-f', '-'], { input: CALLS })
  const flood = lab.web.spawn([...NODE, '-e', FLOOD])
  await flood.until(() => flood.stdout || undefined)
  t.same(await lookUp(lab.web, plan(200)), all(200))
  const { stdout } = await lab.web.run(['nft', 'list', 'counters', 'table', 'inet', 'calls'])
  const [begun, left] = [...stdout.matchAll(/packets (\d+)/g)].map(([, packets]) => Number(packets))
  t.ok(
    begun! >= 200 && begun === left,
    `${begun} connections were begun, the first packets of ${left} left this host`,
  )
  t.ok(
    (await service.metric('kernel_packets_total', 'path="fallback_accept"')) > 0,
    'the kernel accepted some packets',
  )
  await flood.stop()
})

/** Rules that count connection attempts before and after the rules of the service. */
const CALLS = `table inet calls {
  counter begun { }
  counter left { }
  chain before { type filter hook output priority mangle - 10;
    tcp dport 80 tcp flags & (syn | ack) == syn counter name begun
  }
  chain after { type filter hook postrouting priority srcnat + 10;
    tcp dport 80 tcp flags & (syn | ack) == syn counter name left
  }
}`

/** FLOOD: sends datagrams as fast as possible to addresses that are not allowed. */
const FLOOD = `const socket = require('dgram').createSocket('udp4')
const data = Buffer.alloc(1)
function burst() {
  for (let i = 0; i < 200; i++) socket.send(data, 9, '203.0.113.' + (i % 200 + 1), () => {})
  setImmediate(burst)
}
socket.on('error', () => {})
burst()
console.log('flooding')`

t.test(
  'a DNS answer to the user of the web server allows no mirror, only the addresses of the user’s own rule',
  async (t) => {
    if (!canSwitchUsers()) {
      t.comment('left out: a second user (only one user exists in this namespace)')
      return
    }
    const user = 'www-data'
    const lab = await createLab(t)
    const dns = await serveDnsmasq(lab.mirror, { records: { [NAME]: [ELSEWHERE] }, ttl: 30 })
    const service = await guard(
      t,
      lab,
      `${HELD}allow: [{ name: api, to: ['*.example.com'], ports: [80], users: [${user}] }]\n`,
    )
    await service.launch()
    const report = await lookUp(lab.web, plan(3, { name: NAME }), user)
    t.match(report, { answered: 3, connected: 0 }, 'the user reaches no mirror')
    await dns.stop()
    await serveDnsmasq(lab.mirror, { records: { 'api.example.com': [ELSEWHERE] }, ttl: 30 })
    const own = await lookUp(lab.web, plan(3, { name: 'api.example.com' }), user)
    t.same(own, all(3), 'the user reaches the addresses of its own rule')
    t.not((await connect(lab.web, ELSEWHERE, 81, { user })).outcome, 'ok', 'the user reaches no other port')
  },
)

t.test('in a flood of forged answers, all answers to a trusted user are read', async (t) => {
  const lab = await createLab(t)
  await serveFreshDns(lab.mirror, 'example.org')
  const service = await guard(t, lab, HELD)
  await service.launch()
  const flood = lab.victims.spawn([compile('spoof'), MIRROR.v4, '53', WEB.victims.v4, '40000', '20001'])
  await pause(1000)
  t.same(await lookUp(lab.web, plan(30)), all(30))
  t.ok(flood.running, 'the flood continues meanwhile')
  flood.kill('SIGTERM')
  await flood.exited
  t.ok(Number(flood.stdout) > 20_000, `${flood.stdout.trim()} datagrams`)
})
