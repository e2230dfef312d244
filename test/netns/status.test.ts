import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Status } from '../../src/telemetry/status.js'
import { serveDnsmasq } from '../lab/dnsmasq.js'
import { MIRROR, VICTIM } from '../lab/topology.js'
import { connect, serveHttp } from '../lab/traffic.js'
import { createLab, guard, NAME } from './resolving.js'
import { eventually } from './service.js'

const CONFIGURED = 'packages.example.net'
const SETTINGS = `mirrors:
  hosts:
    - ${CONFIGURED}
    - 198.51.100.0/28
`

t.test('status and doctor show where each mirror was found, its addresses and their expiry', async (t) => {
  const lab = await createLab(t)
  await serveDnsmasq(lab.mirror, { records: { [NAME]: [MIRROR.v4, MIRROR.v6] }, ttl: 60 })
  const service = await guard(t, lab, SETTINGS)
  const list = join(service.root, 'etc/apt/sources.list')
  mkdirSync(join(service.root, 'etc/apt'), { recursive: true })
  writeFileSync(
    list,
    `# ours\ndeb https://${NAME}:8443/ stable main\ndeb ftp://old.example.org/ stable main\n`,
  )

  const before = await service.command('status')
  t.equal(before.status, 1)
  t.match(
    before.stderr,
    /^checkvalve: the service does not run here .*control\.sock\): systemctl start checkvalve.*\nits rules are not loaded; all outgoing packets pass\n$/,
  )
  const early = await service.command('doctor')
  t.equal(early.status, 1)
  t.match(early.stdout, /^LOOK {2}service: does not run here/m)
  t.match(early.stdout, /^FAIL {2}service: its rules are not loaded/m)

  await service.launch()
  t.equal(statSync(join(service.folder, 'control.sock')).mode & 0o777, 0o660)
  const { stdout, status } = await service.command('status')
  t.equal(status, 0)
  t.match(
    stdout,
    new RegExp(
      `^${NAME}:8443\\s+apt, ${list}:2\n    ${MIRROR.v4} +for \\d+ \\w+\n    ${MIRROR.v6} +for`,
      'm',
    ),
  )
  t.match(stdout, new RegExp(`^${CONFIGURED}:80,443  ${service.config}:4\n    no address is known`, 'm'))
  t.match(stdout, new RegExp(`^198.51.100.0/28:80,443  ${service.config}:5\n`, 'm'))
  t.match(stdout, `mode        enforce`)
  t.match(stdout, `resolvers   ${MIRROR.v4}\n`)

  const json = JSON.parse((await service.command('status', '--json')).stdout) as Status
  const [found] = json.mirrors.filter(({ host }) => host === NAME)
  t.match(found, { ports: ['8443'], manager: 'apt', found: `${list}:2` })
  t.ok(Date.parse(found!.addresses[0]!.until) > Date.now())

  const examined = await service.command('doctor')
  t.equal(examined.status, 1)
  t.match(examined.stdout, /^ok {4}service: running since 20/m)
  t.match(examined.stdout, new RegExp(`^LOOK  mirrors: ${list}:3\n.*ftp`, 'm'))
  t.match(examined.stdout, /^LOOK {2}mirrors: no address is known for 1 of 3/m)
  t.match(examined.stdout, new RegExp(`^${NAME}:8443\\s+apt, ${list}:2\n    ${MIRROR.v4}`, 'm'))

  await service.stop()
  const after = await service.command('doctor')
  t.match(
    after.stdout,
    new RegExp(`^${NAME}:8443\\s+apt, ${list}:2\n    ${MIRROR.v4}`, 'm'),
    'the addresses of the state file',
  )
})

t.test(
  'a service starts over the control socket of a killed one, and refuses to start when the socket is in use',
  async (t) => {
    const lab = await createLab(t)
    const service = await guard(t, lab, '')
    await service.launch()
    await service.kill()
    t.match((await service.command('status')).stderr, /\nits rules are loaded; the kernel judges alone/)
    t.match((await service.command('doctor')).stdout, /^note {2}service: its rules are loaded/m)
    await service.launch()
    const second = await service.fail([], 'queue.first=300', 'metrics.listen=127.0.0.1:17672')
    t.equal(second.status, 1)
    t.match(second.stderr, /no control socket at .* \(another service listens there/)
  },
)

t.test(
  'status shows accepted and blocked packets, the users of blocked ones, and the mistakes of the last reload',
  async (t) => {
    const lab = await createLab(t)
    const settings = `mirrors: { hosts: ["${MIRROR.v4}"], ports: [80] }\ncanary: { interval: 1s }\n`
    const service = await guard(t, lab, settings)
    await service.launch()
    await serveHttp(lab.mirror, 80)
    await connect(lab.web, MIRROR.v4, 80)
    for (const port of [22, 25, 80]) await connect(lab.web, VICTIM.v4, port)
    const ask = async () => JSON.parse((await service.command('status', '--json')).stdout) as Status
    await eventually('the canary has proved that blocking works', async () => (await ask()).proven === true)
    const status = await ask()
    const of = (verdict: string, reason: string) =>
      status.verdicts.find((each) => each.verdict === verdict && each.reason === reason)
    t.match(of('accept', 'mirror'), { total: 1, lastMinute: 1 })
    t.match(of('block', 'not-allowlisted'), { total: 3, lastMinute: 3 })
    t.match(status.blockedUsers, [{ user: 'root', total: 3, lastMinute: 3 }])
    t.ok(
      status.started < status.blockedUsers[0]!.since &&
        status.blockedUsers[0]!.since <= status.blockedUsers[0]!.last,
    )
    t.match(status.lastBlocks, [{ 'user.name': 'root', 'destination.ip': VICTIM.v4, 'destination.port': 80 }])
    const isCounted = async () => (await ask()).kernel!.blocked! >= 4
    await eventually('the kernel counts those three, and the canary', isCounted)
    t.match(status.queue, { number: 100, waiting: 0, dropped: 0, userDropped: 0 })
    t.match(status.log, { destination: join(service.folder, 'blocks.json'), told: 3, dropped: 0 })
    t.match(status.reload, { problems: [], at: status.reload.takenAt })

    await service.reload(`mode: enforce\n${settings}mod: observe\n`)
    const { reload, mode } = await ask()
    t.equal(mode, 'enforce')
    t.match(reload.problems, [/checkvalve\.yaml:4: mod: unknown key \(did you mean mode\?\)/])
    t.equal(reload.takenAt, status.reload.takenAt)
    t.ok(reload.at > reload.takenAt)
    const { stdout } = await service.command('status')
    t.match(
      stdout,
      /^reload {6}REFUSED \d+ s ago; the configuration loaded \d+ s ago is in force\n {12}\S+checkvalve\.yaml:4: mod:/m,
    )
    await service.reload(`mode: enforce\n${settings}`)
    t.match((await ask()).reload, { problems: [], needsRestart: [] })

    await service.reload(`mode: enforce\n${settings}metrics: { path: /other }\n`)
    t.match((await ask()).reload, { problems: [], needsRestart: ['metrics'] })
    const waiting = await service.command('status')
    t.match(waiting.stdout, /^reload .* ago\n {12}needs a restart to take effect: metrics$/m)
  },
)
