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

t.test(
  'behind a stub resolver on this host, addresses are learned from the answers of the real resolver',
  async (t) => {
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
    t.ok(dns.queries().includes(NAME), 'the stub has sent the query to the real resolver')
    t.ok((await service.metric('answers_total', 'outcome="learned"')) > 0)
  },
)

t.test('when resolv.conf names another resolver, its answers are used while the service runs', async (t) => {
  const lab = await createLab(t)
  await serveDnsmasq(lab.victims, RECORDS)
  const service = await guard(t, lab, HELD)
  await service.launch()
  t.match(await lookUp(lab.web, plan), { answered: 0 }, 'the old resolver does not answer')
  await lab.web.file('/etc/resolv.conf', `nameserver ${VICTIM.v4}\noptions timeout:1 attempts:5\n`)
  await eventually('the new resolver answers', async () => (await lookUp(lab.web, plan)).connected === 3)
  await service.stop()
})

for (const refusal of ['reject with tcp reset', 'drop'])
  t.test(`the service looks names up over UDP when the resolver has no TCP (${refusal})`, async (t) => {
    const lab = await createLab(t)
    const rule = `tcp dport 53 ${refusal}`
    const rules = `table inet refusal { chain input { type filter hook input priority 0; ${rule}; }; }`
    await lab.mirror.run(['nft', '-f', '-'], { input: rules })
    const dns = await serveDnsmasq(lab.mirror, RECORDS)
    const service = await guard(t, lab, `mirrors: { hosts: [${NAME}], ports: [80] }\n`)
    await service.launch()
    await eventually(
      'the address is allowed',
      async () => (await connect(lab.web, ELSEWHERE, 80)).outcome === 'ok',
    )
    t.same(new Set(dns.questions().map(({ transport }) => transport)), new Set(['udp']))
  })

t.test('while the service stops, starts and dies, names are found and mirrors are reached', async (t) => {
  const lab = await createLab(t)
  await serveDnsmasq(lab.mirror, RECORDS)
  const service = await guard(t, lab, `mirrors: { hosts: [${NAME}], ports: [80] }\nonStop: keep\n`)
  await service.launch()
  let over = false
  const asking = (async () => {
    for (let found = 0; ; found += plan.count) {
      // Packets in the queue of a killed service are lost: the query is repeated, and TCP repeats its
      // segments.
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
