/** Tests what becomes of a worm: an alert at its first contacts, a quarantine, and repeats that the kernel refuses itself. */
import t, { type Test } from 'tap'
import { countArrivals } from '../lab/arrivals.js'
import { Cgroups } from '../lab/cgroup.js'
import { createTopology, MIRROR, type Topology, VICTIM, WEB } from '../lab/topology.js'
import { connect, httpGet, sendUdp, serveHttp } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { eventually, kernelCount, NODE, Service } from './service.js'

const USER = 'www-data'
const SETTINGS = `mode: enforce
infrastructure: { dns: [192.0.2.53], ntp: [192.0.2.123] }
mirrors: { discover: false }
allow:
  - { name: payments, to: [${MIRROR.v4}], ports: [443], protocol: tcp, users: [${USER}] }
  - { name: fetch, to: [${MIRROR.v4}], ports: [80], protocol: tcp, users: [root] }
`
const QUARANTINE = 'containment: { action: quarantine, window: 3s }\n'
const NUMBER = 40

/** SCAN FIRST COUNT: opens connections to port 445 of hosts in 203.0.113.0/24, and waits until all are refused. */
const SCAN = `const [first, count] = process.argv.slice(1).map(Number)
let left = count
const over = () => { if (--left === 0) process.exit() }
for (let i = 0; i < count; i++)
  require('net').connect(445, '203.0.113.' + (first + i)).on('error', over).on('connect', over)`

const scan = (lab: Topology, first: number, count: number, user = USER) =>
  lab.web.run([...NODE, '-e', SCAN, `${first}`, `${count}`], { user })

/** Starts a lab and a service for a test. */
async function guarded(
  t: Test,
  settings: string,
  use: (lab: Topology, service: Service) => Promise<void>,
): Promise<void> {
  if (!canSwitchUsers()) return void t.comment('left out: other users, which only root can be')
  const lab = await createTopology()
  const arrivals = await countArrivals(lab.victims, 'to-web')
  const service = await Service.start(lab.web, settings)
  try {
    await use(lab, service)
    t.equal((await arrivals()).total, 0, 'nothing arrives at the victims')
  } finally {
    await service.remove()
    await lab.close()
  }
}

/** Counts the datagrams to port 9 as they leave their socket: one that is refused keeps the next from being sent. */
const SENT = `table inet sent {
  counter datagrams { }
  chain output { type filter hook output priority -400; udp dport 9 counter name datagrams; }
}`

const alerts = (service: Service) => service.lines().filter((line) => line['event.kind'] === 'alert')
const begun = (service: Service) => alerts(service).filter((line) => line['event.action'] === 'alert')

t.test('a scanner is recognised at its tenth destination, once for each burst', (t) =>
  guarded(t, SETTINGS, async (lab, service) => {
    await scan(lab, 1, 9)
    await eventually('the blocks are logged', () => service.log().length >= 9)
    t.same(begun(service), [], 'nine are no scan')
    await scan(lab, 10, NUMBER)
    await eventually('the alert is logged', () => begun(service).length > 0)
    const [alert, ...more] = begun(service)
    t.same(more, [])
    t.match(alert, {
      'user.name': USER,
      'checkvalve.mode': 'enforce',
      message: /^ALERT: www-data .*10 new destinations in /,
    })
    t.equal((alert!['checkvalve.destinations'] as string[]).length, 10)
    t.equal(await service.metric('tripwire_alerts_total'), 1)
    t.equal(await service.metric('quarantined_users'), 0, 'an alert alone stops nobody')
    t.match((await service.command('tail', '--no-follow', '--lines', '200')).stdout, /ALERT .*www-data/)
  }),
)

t.test('in mode observe a quarantine is rehearsed and told, and nobody is in it', async (t) => {
  if (!canSwitchUsers()) return void t.comment('left out: other users, which only root can be')
  const lab = await createTopology()
  const service = await Service.start(lab.web, (SETTINGS + QUARANTINE).replace('enforce', 'observe'))
  t.teardown(async () => {
    await service.remove()
    await lab.close()
  })
  await serveHttp(lab.mirror, 443)
  await scan(lab, 1, NUMBER)
  await eventually('the alert is logged', () => begun(service).length > 0)
  t.match(begun(service)[0], { 'checkvalve.mode': 'observe', 'checkvalve.quarantine': 'rehearsed' })
  t.equal(await service.metric('quarantined_users'), 0)
  t.equal((await connect(lab.web, MIRROR.v4, 443, { user: USER })).outcome, 'ok')
})

t.test('in quarantine a user opens nothing, and still answers clients; others go on', (t) =>
  guarded(t, SETTINGS + QUARANTINE, async (lab, service) => {
    await serveHttp(lab.mirror, 443)
    await serveHttp(lab.mirror, 80)
    await serveHttp(lab.web, 8080, USER)
    const page = () => httpGet(lab.client, `http://${WEB.client.v4}:8080/`)
    const pay = async () => (await connect(lab.web, MIRROR.v4, 443, { user: USER })).outcome
    t.equal(await pay(), 'ok')
    await scan(lab, 1, NUMBER)
    await eventually(
      'the user is in quarantine',
      async () => (await service.metric('quarantined_users')) === 1,
    )
    await eventually('the kernel has it', async () => (await pay()) === 'ECONNREFUSED')
    const before = await kernelCount(lab.web, 'quarantined')
    const judged = await service.blocks()
    await scan(lab, 100, NUMBER)
    t.equal(await kernelCount(lab.web, 'quarantined'), before + NUMBER, 'each packet is counted')
    t.equal(await service.blocks(), judged, 'none of them wakes the service')
    t.equal((await page()).status, 200, 'clients are answered')
    t.equal((await connect(lab.web, MIRROR.v4, 80)).outcome, 'ok', 'root is not in quarantine')
    const status = JSON.parse((await service.ask('status', '--json')).stdout)
    t.match(status.quarantine, { alerts: Number, users: [{ user: USER, until: String }] })
    t.match(
      (await service.ask('status')).stdout,
      /QUARANTINE\n.*www-data.* left, or `checkvalve release www-data`/,
    )
    t.match((await service.ask('explain', 'tcp', `${MIRROR.v4}:443`, '--user', USER)).stdout, /quarantine/)

    await service.reload(SETTINGS + QUARANTINE)
    t.equal(await pay(), 'ECONNREFUSED', 'it survives a reload')
    await service.stop()
    await service.launch()
    t.equal(await pay(), 'ECONNREFUSED', 'and a restart')
    await service.kill()
    t.equal(await pay(), 'ECONNREFUSED', 'and holds while the service is dead')
    await service.launch()
    await lab.web.run(['nft', 'flush', 'ruleset'])
    await eventually('the rules are put back', async () => (await pay()) === 'ECONNREFUSED')

    t.match(await service.ask('release', USER), { status: 0, stdout: /www-data is no longer in quarantine/ })
    t.equal(await pay(), 'ok', 'who is released may do what he may do')
    t.match(await service.ask('release', USER), { status: 1, stderr: /not in quarantine/ })
    t.match(alerts(service).at(-1), { 'event.action': 'released', 'user.name': USER })
  }),
)

t.test('a quarantine ends by itself; one with `contain: all` cuts approved connections', (t) =>
  guarded(
    t,
    `${SETTINGS}containment: { action: quarantine, duration: 4s, contain: all }\n`,
    async (lab, service) => {
      await serveHttp(lab.mirror, 443)
      const held = lab.web.spawn(
        [
          ...NODE,
          '-e',
          `const s = require('net').connect(443, '${MIRROR.v4}', () => { console.log('open'); setInterval(() => s.write('x'), 100) }); s.on('error', (e) => { console.log(e.code); process.exit() })`,
        ],
        { user: USER },
      )
      await held.until(() => held.stdout.includes('open') || undefined)
      await scan(lab, 1, NUMBER)
      await held.until(() => /E\w+/.test(held.stdout) || undefined)
      t.match(held.stdout, /ECONNRESET|EPIPE/, 'the approved connection is cut')
      await eventually(
        'the quarantine is over',
        async () => (await service.metric('quarantined_users')) === 0,
      )
      t.equal((await connect(lab.web, MIRROR.v4, 443, { user: USER })).outcome, 'ok')
      t.ok(alerts(service).some((line) => line['event.action'] === 'released'))
    },
  ),
)

t.test('who updates the host is never in quarantine, unless named', (t) => {
  const updating = SETTINGS.replace('discover: false', `discover: false, users: [root, ${USER}]`)
  return guarded(t, updating + QUARANTINE, async (lab, service) => {
    await scan(lab, 1, NUMBER)
    await eventually('the alert is logged', () => begun(service).length > 0)
    t.match(begun(service)[0], { 'user.name': USER, 'checkvalve.quarantine': undefined })
    t.equal(await service.metric('quarantined_users'), 0)
    await service.reload(`${updating}containment: { action: quarantine, window: 3s, users: [${USER}] }\n`)
    const isOver = () => alerts(service).some((line) => line['event.action'] === 'alert-ended')
    await eventually('the burst is over', isOver)
    await scan(lab, 101, NUMBER)
    await eventually(
      'the user is in quarantine',
      async () => (await service.metric('quarantined_users')) === 1,
    )
  })
})

t.test('the unit of a worm is in quarantine, with its other users, but not root', async (t) => {
  const cgroups = canSwitchUsers() ? Cgroups.create() : undefined
  if (cgroups === undefined) return void t.comment('left out: cgroups, which only root can make')
  t.teardown(() => cgroups.remove())
  cgroups.add('web.service')
  cgroups.add('other.service')
  await guarded(
    t,
    `${SETTINGS}${QUARANTINE}`.replaceAll(`users: [${USER}]`, `users: [${USER}, nobody]`),
    async (lab, service) => {
      await serveHttp(lab.mirror, 443)
      const reaches = async (unit: string, user: string) => {
        const script = `require('net').connect(443, '${MIRROR.v4}', () => process.exit(0)).on('error', () => process.exit(7))`
        const argv = cgroups.command(unit, user, ...NODE, '-e', script)
        return (await lab.web.run(argv, { allowFailure: true })).status === 0
      }
      t.ok(await reaches('web.service', 'nobody'))
      const argv = cgroups.command('web.service', USER, ...NODE, '-e', SCAN, '1', `${NUMBER}`)
      await lab.web.run(argv)
      await eventually('the unit is in quarantine', async () => !(await reaches('web.service', 'nobody')))
      t.ok(await reaches('other.service', 'nobody'), 'the same user in another unit goes on')
      t.notOk(await reaches('other.service', USER), 'the user of the worm does not')
      t.match(begun(service)[0], { 'checkvalve.unit': 'web.service', 'checkvalve.quarantine': 'begun' })
    },
  )
})

t.test('the kernel refuses repeats itself, counts each, and none that is allowed', (t) =>
  guarded(t, SETTINGS, async (lab, service) => {
    await serveHttp(lab.mirror, 8443)
    const { v4 } = VICTIM
    await lab.web.run(['nft', '-f', '-'], { input: SENT })
    const before = await service.blocks('reason="not-allowlisted"')
    for (let n = 0; n < 8; n++) await sendUdp(lab.web, v4, 9, 50, { user: USER })
    const sent = await kernelCount(lab.web, 'datagrams', 'sent')
    const judged = (await service.blocks('reason="not-allowlisted"')) - before
    const repeated = await kernelCount(lab.web, 'repeated')
    t.equal(judged + repeated, sent, 'each datagram is counted once')
    t.ok(repeated > 0, `${repeated} of ${sent} did not wake the service`)
    t.equal((await connect(lab.web, MIRROR.v4, 8443, { user: USER })).outcome, 'ECONNREFUSED')
    await service.ask('allow', 'add', 'shop', '--to', MIRROR.v4, '--ports', '8443')
    t.equal(
      (await connect(lab.web, MIRROR.v4, 8443, { user: USER })).outcome,
      'ok',
      'what was blocked a moment ago passes as soon as it is allowed',
    )
    const refused = await kernelCount(lab.web, 'repeated')
    await service.stop()
    const sums = service.log().filter((line) => line['event.reason'] === 'repeated')
    t.equal(
      sums.reduce((sum, line) => sum + Number(line['checkvalve.repeat']), 0),
      refused,
      'the log has the sum',
    )
  }),
)
