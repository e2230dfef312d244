import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { countArrivals } from '../lab/arrivals.js'
import type { Program } from '../lab/program.js'
import { createTopology, MIRROR, type Topology, VICTIM, WEB } from '../lab/topology.js'
import { connect, httpGet, sendUdp, serveHttp } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { compile } from './programs.js'
import { begin, HEAR_TCP, last, PUSH_TCP, start } from './scripts.js'
import { eventually, PATIENCE_MS, pause, Service } from './service.js'

const SETTINGS = `mode: enforce
infrastructure: { dns: [192.0.2.53], ntp: [192.0.2.123] }
mirrors: { hosts: ["${MIRROR.v4}", "${MIRROR.v6}"], ports: [80] }
`
/** FAST_TCP PORT: sends a number every 100 ms after so much data that the TCP window is soon full. */
const FAST_TCP = `require('net').createServer((socket) => {
  let said = 0
  const timer = setInterval(() => socket.write('x'.repeat(1500000) + '\\n' + ++said + '\\n'), 100)
  socket.on('error', () => {}).on('close', () => clearInterval(timer))
}).listen(+process.argv[1], () => console.log('listening'))`
/** HEAR_FAST PORT: prints the numbers of FAST_TCP without the data between them. */
const HEAR_FAST = `require('net').connect(+process.argv[1], '127.0.0.1').on('data', (data) => {
  const [, said] = /\\n(\\d+)\\n$/.exec(data.subarray(-12).toString()) ?? []
  if (said) console.log(said)
})`
/**
 * More connections than a kernel tracks by default: nf_conntrack_max, which no other namespace can change.
 */
const TOO_MANY = '300000'

interface Lab extends Topology {
  readonly service: Service
  /** Clients that were connected before there was pressure on connection tracking. */
  readonly clients: readonly Program[]
}

/** Sets for how many seconds the kernel tracks a UDP flow. */
async function setUdpTimeout({ web }: Topology, seconds: number): Promise<void> {
  for (const name of ['udp_timeout', 'udp_timeout_stream'])
    await web.sysctl(`net.netfilter.nf_conntrack_${name}`, seconds)
}

async function guarded(t: Test): Promise<Lab> {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  // Entries live for an hour, so that the table becomes full on a slow machine too.
  await setUdpTimeout(lab, 3600)
  await Promise.all([serveHttp(lab.web, 80), serveHttp(lab.mirror, 80), serveHttp(lab.victims, 80)])
  const service = await Service.start(lab.web, SETTINGS)
  t.teardown(() => service.remove())
  await start(lab.web, PUSH_TCP, 443)
  const clients = [WEB.client.v4, WEB.client.v6].map((host) => begin(lab.client, HEAR_TCP, host, 443))
  return { ...lab, service, clients }
}

const url = (host: string) => `http://${host.includes(':') ? `[${host}]` : host}/`

/** Requests a page of each host eight times. @returns how often each has answered */
async function fetched(from: Topology['web'], hosts: readonly string[]): Promise<number[]> {
  const counts = hosts.map(() => 0)
  for (let attempt = 0; attempt < 8; attempt++) {
    const results = await Promise.all(hosts.map((host) => httpGet(from, url(host))))
    for (const [i, { status }] of results.entries()) if (status === 200) counts[i]!++
    await sleep(250)
  }
  return counts
}

async function assertTrafficContinues(t: Test, lab: Lab, when: string): Promise<void> {
  const { web, client, clients } = lab
  const before = clients.map(last)
  t.same(await fetched(client, [WEB.client.v4, WEB.client.v6]), [8, 8], `new clients are served ${when}`)
  const continueToReceive = () => clients.every((each, i) => last(each) > before[i]! + 5)
  await eventually(`connected clients continue to receive ${when}`, continueToReceive)
  t.ok(continueToReceive(), `connected clients continue to receive ${when}`)
  for (const host of [VICTIM.v4, VICTIM.v6])
    t.not((await connect(web, host, 80, { timeout: 300 })).outcome, 'ok', `${host} is not reached ${when}`)
}

t.jobs = 2

t.test(
  'when a program on this host floods connection tracking, clients are served and mirrors are reached',
  async (t) => {
    const lab = await guarded(t)
    const arrivals = await countArrivals(lab.victims, 'to-web')
    const attack = lab.web.spawn(
      [compile('fill'), 'lo', TOO_MANY],
      canSwitchUsers() ? { user: 'www-data' } : {},
    )
    await eventually('the service logs it', () => /loopback is not tracked/.test(lab.service.program.stderr))
    await assertTrafficContinues(t, lab, 'during the attack')
    t.same(await fetched(lab.web, [MIRROR.v4, MIRROR.v6]), [8, 8], 'mirrors are reached')
    t.ok(Number((await attack.result('sent')).sent) > 600_000, 'the attack was large enough')
    t.equal((await arrivals()).total, 0, 'nothing gets out')
  },
)

t.test(
  'loopback connections continue during and after pressure on tracking, though invalid packets are dropped',
  async (t) => {
    const lab = await createTopology()
    t.teardown(() => lab.close())
    const { web } = lab
    // Many hosts drop invalid packets first.
    const FIREWALL =
      'table inet own { chain in { type filter hook input priority filter; ct state invalid drop; iif lo accept; }; }'
    await web.run(['nft', '-f', '-'], { input: FIREWALL })
    await setUdpTimeout(lab, 5)
    const service = await Service.start(web, SETTINGS)
    t.teardown(() => service.remove())
    await start(web, FAST_TCP, 9000)
    const local = begin(web, HEAR_FAST, 9000)
    const continues = (when: string) => {
      const before = last(local)
      return eventually(`more arrives ${when}`, async () => last(local) > before + 5)
    }
    await continues('before')
    const fill = compile('fill')
    const isLogged = (what: RegExp) => what.test(service.program.stderr)
    const isFull = () => isLogged(/loopback is not tracked/)
    // On a machine that fills the table slowly, entries must live longer.
    for (let seconds = 5; seconds < 1000 && !isFull(); seconds *= 2) {
      await setUdpTimeout(lab, seconds)
      const filling = web.spawn([fill, 'lo', TOO_MANY])
      await eventually(
        'the service logs the pressure, or all was sent',
        () => isFull() || !filling.running,
        3 * PATIENCE_MS,
      )
    }
    t.ok(isFull(), 'the service logs the pressure')
    await continues('during the pressure')
    await pause(2000)
    await eventually(
      'the service logs that there is room again',
      () => isLogged(/there is room again/),
      10 * PATIENCE_MS,
    )
    await continues('after the pressure')
    t.equal(await service.stop(), 0)
    await continues('without the service')
  },
)

t.test('when clients have filled connection tracking, new clients are served all the same', async (t) => {
  const lab = await guarded(t)
  const fill = compile('fill')
  // 300,000 clients: 64 ports of each of these addresses.
  await lab.client.ip('route add local 198.18.32.0/19 dev lo')
  await lab.web.ip('route add 198.18.32.0/19 via 198.18.0.2')
  const echo = lab.web.spawn([fill, 'echo', '443'])
  await echo.until(() => echo.stdout || undefined)
  const arrivals = await countArrivals(lab.victims, 'to-web')
  lab.client.spawn([fill, 'out', WEB.client.v4, '443', TOO_MANY])
  await eventually('the table is full', () => /without being tracked/.test(lab.service.program.stderr))
  await assertTrafficContinues(t, lab, 'when it is full')
  t.equal(
    (await sendUdp(lab.client, WEB.client.v4, 443, 5, { timeout: PATIENCE_MS })).answers,
    5,
    'new clients are served over UDP',
  )
  await lab.service.kill()
  await assertTrafficContinues(t, lab, 'with a dead service')
  t.equal((await arrivals()).total, 0, 'nothing gets out')
})
