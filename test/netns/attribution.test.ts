/** Tests attribution by real sockets of processes in real cgroups, under different users. */
import { realpathSync } from 'node:fs'
import t, { type Test } from 'tap'
import { countArrivals } from '../lab/arrivals.js'
import { Cgroups } from '../lab/cgroup.js'
import type { Program } from '../lab/program.js'
import { createTopology } from '../lab/topology.js'
import { serveHttp } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { compile } from './programs.js'
import { eventually, NODE, PATIENCE_MS, Service } from './service.js'
import { runAs } from './unit-privileges.js'

const VICTIM = { 4: '203.0.113.77', 6: '2001:db8:113::77' } as const
/** Settings by which the service itself sends no packet to the victims. */
const QUIET = `infrastructure: { dns: [192.0.2.53], ntp: [192.0.2.123] }
mirrors: { discover: false }
`
const TO_VICTIMS = 'to: [203.0.113.77, "2001:db8:113::77"]'

/** Runs `test` with the cgroups of several units; skips it where cgroups cannot be made. */
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

/**
 * Starts a service, and returns functions that send packets through it.
 * @param user runs the service with the privileges of the shipped unit; root runs it when undefined
 */
async function guarded(settings: string, user?: string) {
  const lab = await createTopology()
  const service = Service.prepare(lab.web, `mode: enforce\n${QUIET}${settings}`)
  if (user !== undefined) runAs(service, user)
  const arrivals = await countArrivals(lab.victims, 'to-web')
  await serveHttp(lab.victims, 8000)
  await lab.web.sysctl('net.ipv4.ping_group_range', '0 100000')
  await service.launch()
  const send = compile('send')
  const close = async () => {
    await service.remove()
    await lab.close()
  }
  const blocks = () => service.blocks()
  /** Runs `send`, and waits until at least `packets` packets were blocked. */
  const untilBlocked = async <T>(send: () => Promise<T>, packets = 1): Promise<T> => {
    const before = await blocks()
    const result = await send()
    await eventually('packets are blocked', async () => (await blocks()) >= before + packets)
    return result
  }
  /**
   * Starts a program that sends a packet, again and again until a packet arrives: on a busy machine the time
   * for the attribution of a packet may be over too early.
   */
  const untilArrived = async (begin: () => Program): Promise<Program> => {
    const { total } = await arrivals()
    const arrives = async () => (await arrivals()).total > total
    for (const end = Date.now() + PATIENCE_MS; ; ) {
      const had = await blocks()
      const program = begin()
      await eventually(
        'the packet arrives or is blocked',
        async () => (await arrives()) || (await blocks()) > had,
      )
      if ((await arrives()) || Date.now() > end) return program
      await program.stop()
    }
  }
  /** Waits until no connection to port 8000 is left, and no packet waits for its verdict. */
  const quiet = () =>
    eventually('no packet is left', async () => {
      const { stdout } = await lab.web.run(['ss', '-Htan', 'exclude', 'time-wait', 'dport', '=', ':8000'])
      return stdout === '' && (await service.metric('queue_length')) === 0
    })
  return { ...lab, service, arrivals, send, blocks, untilBlocked, untilArrived, quiet, close }
}

t.jobs = 3

/** CALL HOST PORT FILES: opens FILES files, and then a connection, which is refused. */
const CALL = `const [host, port, files] = process.argv.slice(1)
for (let i = 0; i < +files; i++) require('fs').openSync('/dev/null')
require('net').connect(+port, host).on('error', () => setTimeout(process.exit, 200))`

/** TALK HOST PORT: sends requests to a web server again and again on one connection. */
const TALK = `const [host, port] = process.argv.slice(1)
const socket = require('net').connect({ host, port: +port })
setInterval(() => socket.write('GET / HTTP/1.1\\r\\nHost: web\\r\\n\\r\\n'), 50)
socket.on('data', () => console.log('answer'))
socket.on('error', ({ code }) => { console.log(code); process.exit() })`

const PROTOCOLS = ['tcp', 'udp', 'connected', 'ping', 'raw'] as const

t.test('a rule for a unit accepts packets of its processes only, over every protocol', (t) =>
  withCgroups(t, async (cgroups) => {
    const its = await guarded(`allow:
  - { name: web, ${TO_VICTIMS}, ports: [8000], protocol: any, units: [web.service] }
  - { name: ping, ${TO_VICTIMS}, protocol: icmp, units: [web.service] }
`)
    /** Runs a program in a cgroup that sends a packet. @returns how many packets have arrived */
    const arriving = async (unit: string, protocol: string, family: 4 | 6, user: string) => {
      await its.quiet()
      const [before, blocks] = [(await its.arrivals()).total, await its.blocks()]
      const argv = cgroups.command(unit, user, its.send, protocol, VICTIM[family], '8000')
      await its.web.run(argv, { allowFailure: true })
      const arrived = async () => (await its.arrivals()).total - before
      await eventually('the packet arrives or is blocked', async () => {
        return (await arrived()) > 0 || (await its.blocks()) > blocks
      })
      return arrived()
    }
    /**
     * Repeats `arriving` until a packet arrives: on a busy machine the time for an attribution may be over
     * too early.
     */
    const arrivingOnce = async (...sender: Parameters<typeof arriving>) => {
      for (const end = Date.now() + PATIENCE_MS; ; ) {
        const packets = await arriving(...sender)
        if (packets > 0 || Date.now() > end) return packets
      }
    }
    try {
      for (const family of [4, 6] as const)
        for (const protocol of PROTOCOLS) {
          const user = protocol === 'raw' ? 'root' : 'www-data'
          const [what, of] = [`${protocol} over IPv${family}`, [protocol, family, user] as const]
          t.ok((await arrivingOnce('web.service', ...of)) > 0, `${what} of the unit`)
          t.equal(await arriving('other.service', ...of), 0, `${what} of another unit`)
          t.equal(
            await arriving('user@33.service/web.service', ...of),
            0,
            `${what} of a cgroup to which a user has given the name of the unit`,
          )
        }
      const unknown = await its.service.metric('blocked_users_total', 'user="unknown"')
      t.equal(unknown, 0, 'packets of closed sockets pass with their connections')
    } finally {
      await its.close()
    }
  }),
)

t.test('a process that shares the port of another unit is not taken for that unit', (t) =>
  withCgroups(t, async (cgroups) => {
    const its = await guarded(
      `allow: [{ name: web, ${TO_VICTIMS}, ports: [8000], protocol: udp, units: [web.service] }]\n`,
    )
    /** Starts a program that sends a packet, and keeps the port until it is stopped. */
    const holding = (unit: string) =>
      its.web.spawn(cgroups.command(unit, 'www-data', its.send, 'udp', VICTIM[4], '8000', '5000', '600000'))
    const arrived = async () => (await its.arrivals()).udp
    try {
      const holder = await its.untilArrived(() => holding('web.service'))
      const other = await its.untilBlocked(async () => holding('other.service'))
      t.equal(await arrived(), 1, 'a packet of another unit from the same port does not arrive')
      await Promise.all([holder.stop(), other.stop()])
      const alone = await its.untilBlocked(async () => holding('other.service'))
      t.equal(await arrived(), 1, 'a packet of another unit that has the port alone does not arrive')
      await alone.stop()
      const again = await its.untilArrived(() => holding('web.service'))
      t.equal(await arrived(), 2)
      await again.stop()
    } finally {
      await its.close()
    }
  }),
)

t.test(
  'a process that closes its socket at once is not taken for the unit with the same port or ping identifier',
  (t) =>
    withCgroups(t, async (cgroups) => {
      const its = await guarded(
        `allow: [{ name: web, ${TO_VICTIMS}, protocol: any, units: [web.service] }]\n`,
      )
      const argv = (unit: string, protocol: string, family: 4 | 6, ms: number) =>
        cgroups.command(unit, 'www-data', its.send, protocol, VICTIM[family], '8000', '5000', String(ms))
      const arrived = async () => (await its.arrivals()).total
      try {
        for (const protocol of ['udp', 'ping']) {
          const holder = await its.untilArrived(() =>
            its.web.spawn(argv('web.service', protocol, 4, 600_000)),
          )
          const had = await arrived()
          const sendAll = async () => {
            for (let i = 0; i < 20; i++) await its.web.run(argv('other.service', protocol, 4, 0))
          }
          await its.untilBlocked(sendAll, 20)
          t.equal(await arrived(), had, `${protocol} of another unit`)
          await holder.stop()
        }
      } finally {
        await its.close()
      }
    }),
)

t.test(
  'a process that shares the port of a unit and sends nothing does not prevent the unit from sending',
  (t) =>
    withCgroups(t, async (cgroups) => {
      const its = await guarded(
        `allow: [{ name: web, ${TO_VICTIMS}, ports: [8000], protocol: udp, units: [web.service] }]\n`,
      )
      const holding = (unit: string, family: 4 | 6) =>
        its.web.spawn(
          cgroups.command(unit, 'www-data', its.send, 'udp', VICTIM[family], '8000', '5000', '600000'),
        )
      try {
        for (const family of [4, 6] as const) {
          const holder = await its.untilBlocked(async () => holding('other.service', family))
          const { udp } = await its.arrivals()
          const senders = [
            await its.untilArrived(() => holding('web.service', 4)),
            await its.untilArrived(() => holding('web.service', 6)),
          ]
          t.equal((await its.arrivals()).udp, udp + 2)
          await Promise.all([holder, ...senders].map((each) => each.stop()))
        }
      } finally {
        await its.close()
      }
    }),
)

t.test('a live connection of a unit continues until a reload removes the rule of the unit', (t) =>
  withCgroups(t, async (cgroups) => {
    const rule = (name: string, unit: string) =>
      `mode: enforce\nallow: [{ name: ${name}, ${TO_VICTIMS}, ports: [8000], units: [${unit}] }]\n`
    const its = await guarded(rule('web', 'web.service').replace('mode: enforce\n', ''))
    const talk = [...NODE, '-e', TALK, VICTIM[4], '8000']
    try {
      const talking = its.web.spawn(cgroups.command('web.service', 'www-data', ...talk))
      const answers = () => talking.stdout.split('\n').length
      const continues = async () => {
        const before = answers()
        await eventually('the connection continues', async () => answers() > before + 2)
      }
      await continues()
      await its.service.reload(rule('renamed', 'web.service'))
      await continues()
      t.ok(talking.running, 'the unit of the connection is found again after a tightening')
      await its.service.reload(rule('other', 'other.service'))
      await talking.exited
      t.match(talking.stdout, 'ECONNABORTED', 'the connection is cut off when the rule names another unit')
    } finally {
      await its.close()
    }
  }),
)

t.test('a block event has the user, the unit and, when it is found in time, the process of the sender', (t) =>
  withCgroups(t, async (cgroups) => {
    const its = await guarded('')
    try {
      /** Makes a block. @param port another one each time: repeated blocks would be summarised */
      const event = async (family: 4 | 6, port: number, files = 0) => {
        const argv = [...NODE, '-e', CALL, VICTIM[family], `${port}`, `${files}`]
        const program = its.web.spawn(cgroups.command('web.service', 'www-data', ...argv))
        const logged = () => its.service.log().find((each) => each['destination.port'] === port)
        await eventually('the block is logged', async () => logged() !== undefined)
        await program.exited
        return { pid: program.pid, logged: logged() }
      }
      const who = { 'user.name': 'www-data', 'checkvalve.unit': 'web.service', 'service.name': 'web' }
      const executable = realpathSync(process.execPath)
      let port = 1000
      for (const family of [4, 6] as const) {
        // On a busy machine the time for the attribution of a packet may be over too early.
        let last = await event(family, port++)
        for (
          const end = Date.now() + PATIENCE_MS;
          last.logged?.['process.pid'] === undefined && Date.now() < end;
        )
          last = await event(family, port++)
        const { pid, logged } = last
        t.match(logged, { ...who, 'process.pid': pid, 'process.executable': executable }, `IPv${family}`)
      }
      const { logged } = await event(4, port, 10_000)
      t.match(logged, { ...who, 'process.pid': undefined, 'process.executable': undefined }, 'too many files')
    } finally {
      await its.close()
    }
  }),
)

t.test('with the privileges of the shipped unit, the service knows the users and units of packets', (t) =>
  withCgroups(t, async (cgroups) => {
    const rule = `{ name: web, ${TO_VICTIMS}, protocol: any, units: [web.service] }`
    const its = await guarded(`allow: [${rule}]\n`, 'nobody')
    const send = (unit: string, ...argv: string[]) =>
      its.web.run(cgroups.command(unit, 'www-data', its.send, ...argv), { allowFailure: true })
    try {
      for (const family of [4, 6] as const)
        for (const protocol of ['tcp', 'udp', 'connected'] as const) {
          const before = (await its.arrivals()).total
          await send('web.service', protocol, VICTIM[family], '8000')
          await eventually('the packet arrives', async () => (await its.arrivals()).total > before)
          await its.quiet()
          const after = (await its.arrivals()).total
          const blocks = await its.blocks()
          await send('other.service', protocol, VICTIM[family], '8000')
          await eventually('that of another unit is blocked', async () => (await its.blocks()) > blocks)
          t.equal((await its.arrivals()).total, after, `${protocol} over IPv${family} of another unit`)
        }
      const { total } = await its.arrivals()
      await send('web.service', 'ping', VICTIM[4], '0')
      t.equal(
        (await its.arrivals()).total,
        total,
        'the unit of a ping is that of its process, which cannot be found without CAP_SYS_PTRACE',
      )
      await eventually('the block is logged', async () => its.service.log().length >= 5)
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
