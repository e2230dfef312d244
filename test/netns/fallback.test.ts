import t, { type Test } from 'tap'
import { type Arrivals, countArrivals } from '../lab/arrivals.js'
import { createTopology, MIRROR, NEIGHBOURS, type Topology, VICTIM, WEB } from '../lab/topology.js'
import { connect, httpGet, serveHttp, worm } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { eventually, giveOwnRules, inTime, NODE, PATIENCE_MS, rulesOf, Service } from './service.js'

const SETTINGS = `mode: enforce
infrastructure: { dns: [192.0.2.53], ntp: [192.0.2.123] }
mirrors: { hosts: ["${MIRROR.v4}", "${MIRROR.v6}"], ports: [80] }
`
const PLAN = {
  targets: [...NEIGHBOURS.v4.slice(0, 10), ...NEIGHBOURS.v6.slice(0, 10)],
  tcpPorts: [22, 80],
  udpPorts: [53, 4444],
  timeout: 200,
  concurrency: 16,
}
const spread = (lab: Topology) => worm(lab.web, PLAN, canSwitchUsers() ? 'www-data' : undefined)

interface Guarded extends Topology {
  readonly service: Service
  readonly arrivals: () => Promise<Arrivals>
}

/** Makes a lab with a service. @param before changes the lab before the service starts */
async function guarded(t: Test, settings: string, before = async (_: Topology) => {}): Promise<Guarded> {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  await Promise.all([lab.web, lab.mirror, lab.victims].map((place) => serveHttp(place, 80)))
  const arrivals = await countArrivals(lab.victims, 'to-web')
  await before(lab)
  const service = await Service.start(lab.web, SETTINGS + settings)
  t.teardown(() => service.remove())
  return { ...lab, service, arrivals }
}

/**
 * Opens a connection. @returns its outcome
 * @param timeout milliseconds: while the service is dead, a blocked connection is not refused but times out
 */
const outcome = async (lab: Topology, host: string, timeout = PATIENCE_MS) =>
  (await connect(lab.web, host, 80, { timeout })).outcome

async function clientsAreServed(t: Test, { client }: Topology): Promise<void> {
  for (const host of [WEB.client.v4, `[${WEB.client.v6}]`])
    t.equal((await httpGet(client, `http://${host}/`)).status, 200, `a client is served at ${host}`)
}

const BYTES = 20_000_000
/**
 * LEAVE HOST BYTES: connects, writes that many bytes, and ends at once at SIGUSR1: the kernel sends what is left, without a
 * user.
 */
const LEAVE = `const [host, bytes] = process.argv.slice(1)
const socket = require('net').connect({ host, port: 80 }, () => socket.write(Buffer.alloc(+bytes), () => {}))
socket.once('connect', () => console.log('connected'))
process.on('SIGUSR1', () => process.exit())`
/** SINK: reads connections from its first line of input on, and prints the bytes of each. */
const SINK = `require('net').createServer({ pauseOnConnect: true }, (socket) => {
  let bytes = 0
  process.stdin.once('data', () => socket.resume())
  socket.on('data', ({ length }) => { bytes += length }).on('end', () => console.log(bytes)).on('error', () => console.log('error'))
}).listen(80, () => console.log('listening'))`

t.jobs = 2

t.test(
  'with fallback: closed, a host whose service is dead opens no connection, not even to a mirror',
  async (t) => {
    const lab = await guarded(t, 'fallback: closed\n')
    t.equal(await outcome(lab, MIRROR.v4), 'ok', 'a live service accepts the mirror')
    await lab.service.kill()
    for (const host of [MIRROR.v4, MIRROR.v6]) t.not(await outcome(lab, host, 300), 'ok')
    await clientsAreServed(t, lab)
    await spread(lab)
    t.equal((await lab.arrivals()).total, 0)
  },
)

t.test('with fallback: open, everything passes while the service is dead, and only then', async (t) => {
  const lab = await guarded(t, 'fallback: open\n')
  for (const host of [VICTIM.v4, VICTIM.v6]) t.not(await outcome(lab, host), 'ok')
  t.equal((await lab.arrivals()).total, 0)
  await lab.service.kill()
  for (const host of [VICTIM.v4, VICTIM.v6]) t.equal(await outcome(lab, host), 'ok')
  await lab.service.launch()
  t.not(await outcome(lab, VICTIM.v4), 'ok', 'after a restart the address is blocked again')
})

t.test('a rule expires at its time while the service is dead, too', async (t) => {
  const lab = await inTime(async (ms) => {
    const expires = Date.now() + ms
    const rule = `{ name: v, to: [${VICTIM.v4}], ports: [80], expires: "${new Date(expires).toISOString()}" }`
    const lab = await guarded(t, `allow: [${rule}]\n`)
    await lab.service.kill()
    const before = await outcome(lab, VICTIM.v4, ms)
    if (Date.now() >= expires) return undefined
    t.equal(before, 'ok', 'the rule is in force before its time')
    return lab
  })
  await eventually('the rule has expired', async () => (await outcome(lab, VICTIM.v4, 300)) !== 'ok')
  t.equal(await outcome(lab, MIRROR.v4), 'ok', 'other rules stay in force')
})

t.test('a stop leaves the firewall of the host as it was before the start', async (t) => {
  const hosts = async ({ web }: Topology) => {
    await giveOwnRules(web)
    await web.run(['nft', 'add', 'table', 'inet', 'own'])
    before = await rulesOf(web)
  }
  let before = ''
  const lab = await guarded(t, 'onStop: remove\n', hosts)
  t.not(await rulesOf(lab.web), before)
  t.equal(await lab.service.stop(), 0)
  t.equal(await rulesOf(lab.web), before)
  t.equal(await outcome(lab, VICTIM.v4), 'ok')
})

t.test('nothing gets out while the service is stopped, killed and started again', async (t) => {
  const lab = await guarded(t, 'onStop: keep\n')
  let over = false
  const infection = (async () => {
    for (let rounds = 0; !over && rounds < 50; rounds++) await spread(lab)
  })()
  t.equal(await lab.service.stop(), 0)
  t.equal(await outcome(lab, MIRROR.v4), 'ok', 'the mirror is reached while the service is stopped')
  await clientsAreServed(t, lab)
  await lab.service.launch()
  await lab.service.kill()
  t.equal(await outcome(lab, MIRROR.v6), 'ok', 'the mirror is reached while the service is dead')
  await lab.service.launch()
  over = true
  await infection
  t.equal((await lab.arrivals()).total, 0)
  const judged = await lab.service.blocks()
  await spread(lab)
  const now = await lab.service.blocks()
  t.ok(now >= judged + 80, 'the new service judges each attempt')
})

t.test(
  'what a connection that the fallback let pass sends when the service is back is no block',
  async (t) => {
    await using lab = await createTopology()
    const service = await Service.start(lab.web, SETTINGS)
    t.teardown(() => service.remove())
    await service.kill()
    for (const host of [MIRROR.v4, MIRROR.v6]) {
      const sink = lab.mirror.spawn([...NODE, '-e', SINK], { stdin: true })
      await sink.until(() => sink.stdout || undefined)
      const sender = lab.web.spawn([...NODE, '-e', LEAVE, host, String(BYTES)])
      await sender.until(() => sender.stdout || undefined)
      await service.launch()
      sender.kill('SIGUSR1')
      await sender.exited
      sink.write('go on')
      await sink.until(() => sink.stdout.split('\n')[1] || undefined)
      const bytes = Number(sink.stdout.split('\n')[1])
      t.ok(bytes > 100_000, `what was left arrives: ${bytes} bytes`)
      await sink.stop()
      await service.kill()
    }
    t.same(service.log(), [])
  },
)
