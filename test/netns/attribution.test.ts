/** Who sent a packet: by real sockets of processes in real cgroups, under different users. */
import { chownSync, readFileSync, realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { countArrivals } from '../lab/arrivals.js'
import { Cgroups } from '../lab/cgroup.js'
import { createTopology } from '../lab/topology.js'
import { serveHttp } from '../lab/traffic.js'
import { canSwitchUsers, idsOf } from '../lab/users.js'
import { compile } from './programs.js'
import { eventually, NODE, pause, Service } from './service.js'

const VICTIM = { 4: '203.0.113.77', 6: '2001:db8:113::77' } as const
const TO_VICTIMS = 'to: [203.0.113.77, "2001:db8:113::77"]'

/** Runs `test` where cgroups can be made. */
async function withCgroups(t: Test, test: (cgroups: Cgroups) => Promise<void>): Promise<void> {
  const cgroups = canSwitchUsers() ? Cgroups.create() : undefined
  if (cgroups === undefined) return void t.comment('left out: cgroups, which only root can make')
  try {
    for (const unit of ['web.service', 'other.service', 'user@33.service', 'user@33.service/web.service'])
      cgroups.add(unit)
    await test(cgroups)
  } finally {
    cgroups.remove()
  }
}

/** @param user who runs the service, with the privileges of the shipped unit */
async function guarded(t: Test, settings: string, user?: string) {
  const lab = await createTopology()
  const service = Service.prepare(lab.web, `mode: enforce\n${settings}`)
  if (user !== undefined) runAs(service, user)
  const arrivals = await countArrivals(lab.victims, 'to-web')
  await serveHttp(lab.victims, 8000)
  await lab.web.sysctl('net.ipv4.ping_group_range', '0 100000')
  await service.launch()
  const send = compile(t, 'send')
  const close = async () => {
    await service.remove()
    await lab.close()
  }
  return { ...lab, service, arrivals, send, close }
}

const UNIT = fileURLToPath(new URL('../../../systemd/checkvalve.service', import.meta.url))

function runAs(service: Service, user: string): void {
  const { uid, gid } = idsOf(user)
  chownSync(service.folder, +uid, +gid)
  const names = /^AmbientCapabilities=(.*)$/m.exec(readFileSync(UNIT, 'utf8'))![1]!.split(' ')
  const all = ['-all', ...names.map((name) => `+${name.replace('CAP_', '').toLowerCase()}`)].join()
  const capabilities = ['inh-caps', 'ambient-caps', 'bounding-set'].map((which) => `--${which}=${all}`)
  service.through = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', ...capabilities]
}

t.jobs = 3

/** CALL HOST PORT FILES: opens so many files, and then a connection, which is refused. */
const CALL = `const [host, port, files] = process.argv.slice(1)
for (let i = 0; i < +files; i++) require('fs').openSync('/dev/null')
require('net').connect(+port, host).on('error', () => setTimeout(process.exit, 200))`

/** TALK HOST PORT: asks the web server there again and again on one connection, until no answer comes, or for 20 seconds. */
const TALK = `const [host, port] = process.argv.slice(1)
const socket = require('net').connect({ host, port: +port })
let last = Date.now()
setInterval(() => {
  socket.write('GET / HTTP/1.1\\r\\nHost: web\\r\\n\\r\\n')
  if (Date.now() - last > 3000) cut()
}, 50)
const cut = () => { console.log('cut'); process.exit() }
socket.on('data', () => { last = Date.now(); console.log('answer') })
socket.on('error', cut)
setTimeout(() => process.exit(), 20000)`

const PROTOCOLS = ['tcp', 'udp', 'connected', 'ping', 'raw'] as const

t.test('a rule for a unit is for its processes alone, whatever protocol they speak', (t) =>
  withCgroups(t, async (cgroups) => {
    const its = await guarded(
      t,
      `allow:
  - { name: web, ${TO_VICTIMS}, ports: [8000], protocol: any, units: [web.service] }
  - { name: ping, ${TO_VICTIMS}, protocol: icmp, units: [web.service] }
`,
    )
    /** Packets that arrive when a process in a cgroup sends. */
    const arriving = async (unit: string, protocol: string, family: 4 | 6, user: string) => {
      const before = (await its.arrivals()).total
      const argv = cgroups.command(unit, user, its.send, protocol, VICTIM[family], '8000')
      await its.web.run(argv, { allowFailure: true })
      return (await its.arrivals()).total - before
    }
    try {
      for (const family of [4, 6] as const)
        for (const protocol of PROTOCOLS) {
          const user = protocol === 'raw' ? 'root' : 'www-data'
          const [what, of] = [`${protocol} over IPv${family}`, [protocol, family, user] as const]
          t.ok((await arriving('web.service', ...of)) > 0, `${what} of the unit`)
          t.equal(await arriving('other.service', ...of), 0, `${what} of another unit`)
          t.equal(
            await arriving('user@33.service/web.service', ...of),
            0,
            `${what} of a cgroup that a user may name so`,
          )
        }
      const unknown = await its.service.metric('blocked_users_total', 'user="unknown"')
      t.equal(unknown, 0, 'what closed sockets have left to send goes on with their connections')
    } finally {
      await its.close()
    }
  }),
)

t.test('whoever shares the port of another unit is not taken for it', (t) =>
  withCgroups(t, async (cgroups) => {
    const its = await guarded(
      t,
      `allow: [{ name: web, ${TO_VICTIMS}, ports: [8000], protocol: udp, units: [web.service] }]\n`,
    )
    const argv = (unit: string, ms: number) =>
      cgroups.command(unit, 'www-data', its.send, 'udp', VICTIM[4], '8000', '5000', String(ms))
    const arrived = async () => (await its.arrivals()).udp
    try {
      const holder = its.web.spawn(argv('web.service', 1500))
      await eventually('the unit has sent', async () => (await arrived()) === 1)
      await its.web.run(argv('other.service', 100))
      t.equal(await arrived(), 1, 'another unit, from the same port')
      await holder.exited
      await its.web.run(argv('other.service', 100))
      t.equal(await arrived(), 1, 'and when it has the port alone')
      await its.web.run(argv('web.service', 100))
      t.equal(await arrived(), 2)
    } finally {
      await its.close()
    }
  }),
)

t.test(
  'whoever closes its socket at once is not taken for the unit that has the same port or identifier',
  (t) =>
    withCgroups(t, async (cgroups) => {
      const its = await guarded(
        t,
        `allow: [{ name: web, ${TO_VICTIMS}, protocol: any, units: [web.service] }]\n`,
      )
      const argv = (unit: string, protocol: string, family: 4 | 6, ms: number) =>
        cgroups.command(unit, 'www-data', its.send, protocol, VICTIM[family], '8000', '5000', String(ms))
      const arrived = async () => (await its.arrivals()).total
      try {
        for (const protocol of ['udp', 'ping']) {
          const before = await arrived()
          const holder = its.web.spawn(argv('web.service', protocol, 4, 60_000))
          await eventually('the unit has sent', async () => (await arrived()) >= before + 1)
          await pause(100)
          const had = await arrived()
          for (let i = 0; i < 20; i++) await its.web.run(argv('other.service', protocol, 4, 0))
          t.equal(await arrived(), had, `${protocol} of another unit`)
          await holder.stop()
        }
      } finally {
        await its.close()
      }
    }),
)

t.test('whoever has the port of a unit and is silent does not keep it from sending', (t) =>
  withCgroups(t, async (cgroups) => {
    const its = await guarded(
      t,
      `allow: [{ name: web, ${TO_VICTIMS}, ports: [8000], protocol: udp, units: [web.service] }]\n`,
    )
    const argv = (unit: string, family: 4 | 6, ms: number) =>
      cgroups.command(unit, 'www-data', its.send, 'udp', VICTIM[family], '8000', '5000', String(ms))
    try {
      for (const family of [4, 6] as const) {
        const holder = its.web.spawn(argv('other.service', family, 60_000))
        await eventually('it has the port', async () => (await its.service.metric('blocked_users_total')) > 0)
        const { udp } = await its.arrivals()
        await its.web.run(argv('web.service', 4, 100))
        await its.web.run(argv('web.service', 6, 100))
        t.equal((await its.arrivals()).udp, udp + 2)
        await holder.stop()
      }
    } finally {
      await its.close()
    }
  }),
)

t.test('a live connection of a unit goes on as long as the rule stands', (t) =>
  withCgroups(t, async (cgroups) => {
    const rule = (name: string, unit: string) =>
      `mode: enforce\nallow: [{ name: ${name}, ${TO_VICTIMS}, ports: [8000], units: [${unit}] }]\n`
    const its = await guarded(t, rule('web', 'web.service').replace('mode: enforce\n', ''))
    const talk = [...NODE, '-e', TALK, VICTIM[4], '8000']
    try {
      const talking = its.web.spawn(cgroups.command('web.service', 'www-data', ...talk))
      const answers = () => talking.stdout.split('\n').length
      const goesOn = async () => {
        const before = answers()
        await eventually('it goes on', async () => answers() > before + 2)
      }
      await goesOn()
      await its.service.reload(rule('renamed', 'web.service'))
      await goesOn()
      t.ok(talking.running, 'a tightening asks the kernel for its unit again')
      await its.service.reload(rule('other', 'other.service'))
      await talking.exited
      t.match(talking.stdout, /cut$/m)
    } finally {
      await its.close()
    }
  }),
)

t.test('a block names its user, its unit and its process, if that is found in the time for one packet', (t) =>
  withCgroups(t, async (cgroups) => {
    const its = await guarded(t, '')
    try {
      /** Of another port each time: what is repeated would be summed. */
      const event = async (family: 4 | 6, port: number, files = 0) => {
        const argv = [...NODE, '-e', CALL, VICTIM[family], `${port}`, `${files}`]
        const program = its.web.spawn(cgroups.command('web.service', 'www-data', ...argv))
        const told = () => its.service.log().find((each) => each['destination.port'] === port)
        await eventually('it is told', async () => told() !== undefined)
        await program.exited
        return { pid: program.pid, told: told() }
      }
      const who = { 'user.name': 'www-data', 'checkvalve.unit': 'web.service', 'service.name': 'web' }
      const executable = realpathSync(process.execPath)
      for (const family of [4, 6] as const) {
        const { pid, told } = await event(family, 1000 + family)
        t.match(told, { ...who, 'process.pid': pid, 'process.executable': executable }, `IPv${family}`)
      }
      const { told } = await event(4, 1001, 10_000)
      t.match(told, { ...who, 'process.pid': undefined, 'process.executable': undefined }, 'too many files')
    } finally {
      await its.close()
    }
  }),
)

t.test('with the privileges of the shipped unit, users and units are known all the same', (t) =>
  withCgroups(t, async (cgroups) => {
    const rule = `{ name: web, ${TO_VICTIMS}, protocol: any, units: [web.service] }`
    const its = await guarded(t, `allow: [${rule}]\n`, 'nobody')
    const send = (unit: string, ...argv: string[]) =>
      its.web.run(cgroups.command(unit, 'www-data', its.send, ...argv), { allowFailure: true })
    try {
      for (const family of [4, 6] as const)
        for (const protocol of ['tcp', 'udp', 'connected'] as const) {
          const before = (await its.arrivals()).total
          await send('web.service', protocol, VICTIM[family], '8000')
          const after = (await its.arrivals()).total
          t.ok(after > before, `${protocol} over IPv${family} of the unit`)
          await send('other.service', protocol, VICTIM[family], '8000')
          t.equal((await its.arrivals()).total, after, `${protocol} over IPv${family} of another unit`)
        }
      const { total } = await its.arrivals()
      await send('web.service', 'ping', VICTIM[4], '0')
      t.equal((await its.arrivals()).total, total, 'ping is told by its process, which needs CAP_SYS_PTRACE')
      await eventually('it is told', async () => its.service.log().length >= 5)
      for (const event of its.service.log()) {
        const isPing = event['network.transport'] === 'icmp'
        t.match(event, {
          'user.name': 'www-data',
          'checkvalve.unit': isPing ? undefined : 'other.service',
          'checkvalve.attribution': isPing ? 'unknown' : undefined,
          'process.pid': undefined,
        })
      }
    } finally {
      await its.close()
    }
  }),
)
