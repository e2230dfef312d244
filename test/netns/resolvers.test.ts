import t from 'tap'
import { lookUp, serveDnsmasq } from '../lab/dnsmasq.js'
import { MIRROR, VICTIM } from '../lab/topology.js'
import { connect } from '../lab/traffic.js'
import { createLab, ELSEWHERE, guard, NAME } from './resolving.js'
import { eventually } from './service.js'

const HELD = `dns: { resolve: false, holdTime: 5s }
mirrors: { hosts: [${NAME}], ports: [80] }
`
const RECORDS = { records: { [NAME]: [ELSEWHERE] }, ttl: 1 }
const STUB = '127.0.0.53'
const plan = { name: NAME, count: 3, port: 80, way: 'getaddrinfo' } as const
const all = { asked: 3, answered: 3, connected: 3, failures: [] }

t.jobs = 2

t.test('a stub on this host that asks the real resolver: what it is told upstream counts', async (t) => {
  const lab = await createLab(t)
  const dns = await serveDnsmasq(lab.mirror, RECORDS)
  await lab.web.file('/etc/resolv.conf', `nameserver ${STUB}\noptions timeout:1 attempts:5\n`)
  await lab.web.file('/run/systemd/resolve/resolv.conf', `nameserver ${MIRROR.v4}\n`)
  const stub = lab.web.spawn([
    ...['dnsmasq', '--keep-in-foreground', '--conf-file=', '--pid-file=', '--user=root', '--group='],
    ...[
      '--no-resolv',
      '--no-hosts',
      `--listen-address=${STUB}`,
      '--bind-interfaces',
      `--server=${MIRROR.v4}`,
    ],
    ...['--log-facility=-'],
  ])
  await stub.until(() => stub.stderr.includes('started') || undefined)
  const service = await guard(t, lab, HELD)
  await service.launch()
  t.same(await lookUp(lab.web, plan), all)
  t.ok(dns.queries().includes(NAME), 'the stub has asked the real one')
  t.ok((await service.metric('answers_total', 'outcome="learned"')) > 0)
})

t.test('another resolver, as a new lease may name it, is followed while the service runs', async (t) => {
  const lab = await createLab(t)
  await serveDnsmasq(lab.victims, RECORDS)
  const service = await guard(t, lab, HELD)
  await service.launch()
  t.match(await lookUp(lab.web, plan), { answered: 0 }, 'nobody answers at the old one')
  await lab.web.file('/etc/resolv.conf', `nameserver ${VICTIM.v4}\noptions timeout:1 attempts:5\n`)
  await eventually('the new one is asked', async () => (await lookUp(lab.web, plan)).connected === 3)
  await service.stop()
})

for (const refusal of ['reject with tcp reset', 'drop'])
  t.test(`behind a resolver that has UDP only (${refusal}) names are looked up all the same`, async (t) => {
    const lab = await createLab(t)
    const rule = `tcp dport 53 ${refusal}`
    const rules = `table inet refusal { chain input { type filter hook input priority 0; ${rule}; }; }`
    await lab.mirror.run(['nft', '-f', '-'], { input: rules })
    const dns = await serveDnsmasq(lab.mirror, RECORDS)
    const service = await guard(t, lab, `mirrors: { hosts: [${NAME}], ports: [80] }\n`)
    await service.launch()
    await eventually(
      'its address is open',
      async () => (await connect(lab.web, ELSEWHERE, 80)).outcome === 'ok',
    )
    t.same(new Set(dns.questions().map(({ transport }) => transport)), new Set(['udp']))
  })

t.test('whether the service stops, starts or dies: names are found, and mirrors are reached', async (t) => {
  const lab = await createLab(t)
  await serveDnsmasq(lab.mirror, RECORDS)
  const service = await guard(t, lab, `mirrors: { hosts: [${NAME}], ports: [80] }\nonStop: keep\n`)
  await service.launch()
  let over = false
  const asking = (async () => {
    for (let found = 0; ; found += plan.count) {
      // What waits in the queue of one who is killed is lost: it is asked for again, and TCP says it again, too.
      const report = await lookUp(lab.web, plan)
      if (report.connected < plan.count) return report.failures
      if (over) return found
    }
  })()
  for (let times = 0; times < 2; times++) {
    await service.stop()
    await service.launch()
    await service.kill()
    await service.launch()
  }
  over = true
  t.ok(Number(await asking) >= plan.count, `${await asking}`)
})
