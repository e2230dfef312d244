/** A real Prometheus and a real Alertmanager watch a real service from outside while it blocks a worm. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import bcrypt from 'bcryptjs'
import t, { type Test } from 'tap'
import { countArrivals } from '../lab/arrivals.js'
import { createAuthority, createCertificate } from '../lab/certificates.js'
import { createTopology, MIRROR, NEIGHBOURS, type Topology, WEB } from '../lab/topology.js'
import { httpGet, serveDns, serveHttp, worm } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { exampleOf } from '../monitoring/documented.js'
import { alertRules, dashboard, expressions } from '../monitoring/rules.js'
import { eventually, Service } from '../netns/service.js'
import { Stack } from './stack.js'

const TARGET = `${WEB.client.v4}:17671`
const PASSWORD = 'lab'
const PLAN = {
  targets: [...NEIGHBOURS.v4.slice(0, 60), ...NEIGHBOURS.v6.slice(0, 60)],
  tcpPorts: [22],
  udpPorts: [53],
  timeout: 300,
  concurrency: 32,
}
const infected = canSwitchUsers() ? 'www-data' : undefined

/** Starts a service with the documented files: metrics on all addresses, with TLS and a password. */
async function guarded(t: Test): Promise<[Topology, Service]> {
  const lab = await createTopology()
  await serveHttp(lab.mirror, 80)
  await serveDns(lab.mirror, { 'mirror.example.org': { ttl: 60, A: [MIRROR.v4] } })
  await lab.web.file('/etc/resolv.conf', `nameserver ${MIRROR.v4}\n`)
  const example = exampleOf('/etc/checkvalve/checkvalve.yaml')
  const service = Service.prepare(lab.web, '')
  t.teardown(async () => {
    await lab.close()
    await service.remove()
  })
  const file = (name: string) => join(service.folder, name)
  createAuthority(service.folder)
  createCertificate(service.folder, 'server', WEB.client.v4)
  const web = exampleOf('/etc/checkvalve/web.yml').replace(/\$2y\$10\$\S+/, bcrypt.hashSync(PASSWORD, 10))
  writeFileSync(file('web.yml'), web)
  writeFileSync(file('password'), PASSWORD)
  service.configure(`mode: enforce
infrastructure: { dns: [${MIRROR.v4}], ntp: [] }
mirrors: { hosts: ["${MIRROR.v4}", mirror.example.org], ports: [80] }
canary: { interval: 1s }
${example.replace('/etc/checkvalve/web.yml', file('web.yml'))}`)
  await service.launch()
  return [lab, service]
}

t.test(
  'an alert about a worm arrives at the webhook while it is blocked, and is resolved afterwards',
  async (t) => {
    const [lab, service] = await guarded(t)
    const stack = await Stack.start(lab.client, service.folder, TARGET)
    await eventually('Prometheus has scraped the service for some time', async () => {
      const [sample] = await stack.query('count_over_time(checkvalve_log_events_total[1h])')
      return Number(sample?.value[1] ?? 0) >= 5
    })
    t.same(await stack.query('ALERTS{alertname="CheckvalveBlockingBurst"}'), [], 'no alert before the worm')

    const arrivals = await countArrivals(lab.victims, 'to-web')
    await worm(lab.web, PLAN, infected)
    const firing = await stack.notified('CheckvalveBlockingBurst', 'firing')
    t.equal((await arrivals()).total, 0, 'nothing of the worm arrived')
    t.equal(firing.labels.instance, TARGET)
    t.equal(firing.labels.severity, 'critical')
    t.match(firing.annotations.summary, new RegExp(`checkvalve on ${TARGET}: \\S+ blocks in 5 minutes`))
    t.match(firing.annotations.runbook_url, /runbook\.md#checkvalveblockingburst$/)
    t.equal((await httpGet(lab.web, `http://${MIRROR.v4}/`)).status, 200, 'patching goes on')

    for (const { title, expr } of expressions(dashboard(), 'checkvalve')) {
      await eventually(`${title}: ${expr}`, async () => (await stack.query(expr)).length > 0)
      t.pass(`the panel is not empty: ${title}`)
    }
    t.same(await stack.api('label/job/values', { 'match[]': 'checkvalve_build_info' }), ['checkvalve'])
    t.same(await stack.api('label/instance/values', { 'match[]': 'checkvalve_build_info' }), [TARGET])

    interface Rules {
      readonly groups: readonly {
        readonly rules: readonly { name: string; health: string; lastError?: string }[]
      }[]
    }
    const rules = (await stack.api<Rules>('rules')).groups.flatMap(({ rules }) => rules)
    t.ok(rules.length > alertRules().length)
    for (const { name, health, lastError } of rules) t.equal(health, 'ok', `${name} ${lastError ?? ''}`)

    await stack.notified('CheckvalveBlockingBurst', 'resolved')
    t.pass('the alert is resolved when the worm is gone')

    await service.kill()
    t.match((await stack.notified('CheckvalveTargetDown', 'firing')).labels, { instance: TARGET })
    await service.launch()
    await stack.notified('CheckvalveTargetDown', 'resolved')
    t.pass('a killed service is reported, and its return as well')
  },
)

t.test('promtool accepts the page of metrics of a running service, and its documented web.yml', async (t) => {
  const [lab, service] = await guarded(t)
  const options = ['--cacert', join(service.folder, 'ca.crt'), '--user', `prometheus:${PASSWORD}`]
  const { stdout: page } = await lab.client.run(['curl', '-sSf', ...options, `https://${TARGET}/metrics`])
  t.match(page, /^checkvalve_enforcing 1$/m)
  await lab.client.run(['promtool', 'check', 'metrics'], { input: page })
  await lab.client.run(['promtool', 'check', 'web-config', join(service.folder, 'web.yml')])
  const doctor = await service.command('doctor', '--json')
  t.match(
    JSON.parse(doctor.stdout).findings.filter(({ area }: { area: string }) => area === 'metrics'),
    [{ grade: 'ok', what: /is open to clients of/ }],
  )
  t.notMatch(readFileSync(join(service.folder, 'blocks.json'), 'utf8'), new RegExp(WEB.client.v4))
})
