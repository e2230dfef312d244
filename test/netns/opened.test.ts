import t, { type Test } from 'tap'
import type { Namespace } from '../lab/namespace.js'
import type { Program } from '../lab/program.js'
import { createTopology, MIRROR, type Topology, VICTIM, WEB } from '../lab/topology.js'
import { compile } from './programs.js'
import { HEAR_ONLY, HEAR_TCP, last, PUSH_TCP, start, ticks } from './scripts.js'
import { eventually, pause, Service } from './service.js'
import { forget, track, untrack } from './tracking.js'

const CLOSED = `mode: enforce
infrastructure: { dns: [192.0.2.53], ntp: [192.0.2.123] }
`
const RULE = `allow: [{ name: neighbours, to: ["${VICTIM.v4}", "${VICTIM.v6}"] }]\n`
const OUTSIDE = [VICTIM.v4, VICTIM.v6]

async function lab(t: Test, tracked: boolean): Promise<Topology> {
  const made = await createTopology()
  t.teardown(() => made.close())
  if (tracked) await track(made.web)
  return made
}

async function guard(t: Test, web: Namespace, settings = CLOSED): Promise<Service> {
  const service = await Service.start(web, settings)
  t.teardown(() => service.remove())
  return service
}

/** Connections to the outside, and the program at their other end, which sends all the time. */
interface Shells {
  readonly sender: Program
  readonly programs: readonly Program[]
}

async function shells({ web, victims }: Topology, hear = HEAR_TCP): Promise<Shells> {
  const sender = await start(victims, PUSH_TCP, 80)
  return { sender, programs: await Promise.all(OUTSIDE.map((host) => start(web, hear, host, 80))) }
}

/**
 * Asserts that connections receive nothing more. The other end repeats its last segment ever more slowly when
 * nothing is acknowledged.
 */
async function assertCutOff(t: Test, { sender, programs }: Shells, when: string): Promise<void> {
  let before: number[] = []
  const isQuiet = (each: Program, i: number) => last(each) <= before[i]! + 1
  await eventually(`nothing arrives ${when}`, async () => {
    before = programs.map(last)
    await ticks(sender, 12)
    return programs.every(isQuiet)
  })
  for (const [i, each] of programs.entries()) t.ok(isQuiet(each, i), `${OUTSIDE[i]} ${when}`)
}

const waitForListener = (place: Namespace, port: number) =>
  eventually(`a program listens on port ${port}`, async () => {
    return (await place.run(['ss', '-Htln', `sport = :${port}`])).stdout !== ''
  })

function continueToReceive(programs: readonly Program[]): Promise<void> {
  const before = programs.map(last)
  return eventually('more arrives', async () => programs.every((each, i) => last(each) >= before[i]! + 5))
}

t.jobs = 3

for (const tracked of [true, false]) {
  const host = tracked ? 'a host that tracks connections' : 'a host that tracked none until then'
  t.test(
    `on ${host}, connections opened before the start are cut off, and inbound sessions are not`,
    async (t) => {
      const made = await lab(t, tracked)
      const outgoing = await shells(made)
      await Promise.all([22, 2222].map((port) => start(made.web, PUSH_TCP, port)))
      const incoming = await Promise.all(
        [WEB.client.v4, WEB.client.v6].flatMap((host) =>
          [22, 2222].map((port) => start(made.client, HEAR_TCP, host, port)),
        ),
      )
      await continueToReceive(outgoing.programs)
      const service = await guard(t, made.web)
      await assertCutOff(t, outgoing, 'after the start')
      await continueToReceive(incoming)
      await forget(made.web)
      await assertCutOff(
        t,
        outgoing,
        'when the kernel has forgotten it, so that the first packet comes from the other end',
      )
      await continueToReceive(incoming)
      await service.kill()
      await assertCutOff(t, outgoing, 'while the service is dead')
      await service.launch()
      await assertCutOff(t, outgoing, 'after another start')
      await continueToReceive(incoming)
      t.equal(await service.metric('opened_connections'), 0, 'they have ended')
    },
  )
}

t.test(
  'a connection to the outside that is closed in one direction is cut off at the start too',
  async (t) => {
    const made = await lab(t, false)
    const outgoing = await shells(made, HEAR_ONLY)
    await continueToReceive(outgoing.programs)
    await guard(t, made.web)
    await assertCutOff(t, outgoing, 'after the start')
  },
)

/** Counts what arrives from port 40000 without being a reset. */
const COUNT_DATA = `table inet data {
  counter data { }
  chain arrive { type filter hook prerouting priority raw; tcp sport 40000 tcp flags & rst == 0 counter name "data"; }
}`

t.test(
  'a connection attempt that is unanswered at the start brings nothing but a reset to its other end',
  async (t) => {
    const { web, victims } = await lab(t, false)
    // The other end is silent until the service runs, and then sends a segment from the middle of a connection.
    // The kernel of this host answers with a reset.
    const SILENT =
      'table inet own { chain in { type filter hook input priority filter; tcp dport 80 drop; }; }'
    await victims.run(['nft', '-f', '-'], { input: SILENT })
    const call = compile('call')
    const ends = [
      [WEB.victims.v4, VICTIM.v4],
      [WEB.victims.v6, VICTIM.v6],
    ] as const
    for (const [here, there] of ends) web.spawn([call, 'later', here, '40000', there, '80'])
    await eventually('both programs connect', async () => {
      const { stdout } = await web.run(['ss', '-Htn', 'state', 'syn-sent'])
      return stdout.trim().split('\n').length === 2
    })
    const service = await guard(t, web, `${CLOSED}block: drop\n`)
    t.equal(await service.metric('opened_connections'), 2)
    await victims.run(['nft', '-f', '-'], { input: COUNT_DATA })
    const resets = () => service.metric('kernel_packets_total', 'path="reset"')
    const before = await resets()
    for (const [here, there] of ends) await victims.run([call, 'raw', there, '80', here, '40000', '0x10'])
    await eventually('both segments are answered', async () => (await resets()) >= before + 2)
    const { stdout } = await victims.run(['nft', 'list', 'counter', 'inet', 'data', 'data'])
    t.match(stdout, 'packets 0 ')
  },
)

t.test(
  'listening on the port of an outbound connection before the start does not make its other end a client',
  async (t) => {
    const { web, victims } = await lab(t, false)
    const sender = await start(victims, PUSH_TCP, 80)
    const shell = web.spawn([compile('call'), 'later', WEB.victims.v4, '8080', VICTIM.v4, '80'])
    await continueToReceive([shell])
    shell.kill('SIGUSR1')
    await waitForListener(web, 8080)
    await guard(t, web)
    await assertCutOff(t, { sender, programs: [shell] }, 'after the start')
    await shell.exited
  },
)

for (const [how, also] of [
  ['later', ''],
  ['skewed', ' and falsifies its counters'],
] as const)
  t.test(
    `without tracking, a removed rule ends a connection whose program listens on its port${also}`,
    async (t) => {
      const { web, victims } = await lab(t, false)
      await untrack(web)
      const sender = await start(victims, PUSH_TCP, 80)
      const service = await guard(t, web, CLOSED + RULE)
      const shell = web.spawn([compile('call'), how, WEB.victims.v4, '8080', VICTIM.v4, '80'])
      await continueToReceive([shell])
      shell.kill('SIGUSR1')
      await waitForListener(web, 8080)
      // Services are read once a second.
      await pause(1500)
      await service.reload(CLOSED)
      await assertCutOff(t, { sender, programs: [shell] }, 'after the reload')
    },
  )

t.test('a connection to an allowed address that was opened before the start continues', async (t) => {
  const { web, mirror } = await lab(t, false)
  await start(mirror, PUSH_TCP, 80)
  const fetches = await Promise.all([MIRROR.v4, MIRROR.v6].map((host) => start(web, HEAR_TCP, host, 80)))
  await guard(t, web, `${CLOSED}mirrors: { hosts: ["${MIRROR.v4}", "${MIRROR.v6}"] }\n`)
  await continueToReceive(fetches)
})

t.test('a client whose listener has closed stays connected, over a restart too', async (t) => {
  const { web, client } = await lab(t, true)
  // An FTP server does so for passive data: after the first client the listener closes.
  const ONE = `const server = require('net').createServer((socket) => {
  server.close()
  let said = 0
  setInterval(() => socket.write(++said + '\\n'), 200)
}).listen(+process.argv[1], () => console.log('listening'))`
  await start(web, ONE, 40000)
  const data = await start(client, HEAR_TCP, WEB.client.v4, 40000)
  const service = await guard(t, web)
  await continueToReceive([data])
  await service.kill()
  await service.launch()
  await continueToReceive([data])
})

t.test('the removal of a rule cuts off its connections for good', async (t) => {
  const made = await lab(t, false)
  const service = await guard(t, made.web, CLOSED + RULE)
  const outgoing = await shells(made)
  await continueToReceive(outgoing.programs)
  await service.reload(CLOSED)
  await assertCutOff(t, outgoing, 'after the reload')
  await forget(made.web)
  await assertCutOff(t, outgoing, 'when the kernel has forgotten it')
})

t.test(
  'the removal of a rule while the service is dead cuts off its connections at the next start',
  async (t) => {
    const made = await lab(t, false)
    const service = await guard(t, made.web, CLOSED + RULE)
    const outgoing = await shells(made)
    await continueToReceive(outgoing.programs)
    await service.kill()
    service.configure(CLOSED)
    await service.launch()
    await assertCutOff(t, outgoing, 'after the start')
  },
)
