/**
 * An address of this host is no way out: any user may send to it by a device of the network, and whoever listens on that
 * wire gets the packet. Proved by what arrives.
 */
import t, { type Test } from 'tap'
import { type Arrivals, countArrivals } from '../lab/arrivals.js'
import type { Namespace } from '../lab/namespace.js'
import { createTopology, type Topology, WEB } from '../lab/topology.js'
import { canSwitchUsers } from '../lab/users.js'
import { compile } from './programs.js'
import { eventually, kernelCount, Service } from './service.js'

const SETTINGS = `mode: enforce
infrastructure: { dns: [], ntp: [] }
mirrors: { discover: false }
`
const WORKER = canSwitchUsers() ? { user: 'www-data' } : {}
const COUNT = 20
/** How the packets leave; `::1` never does. */
const WAYS = [
  ['bind', '127.0.0.1'],
  ['bind', '127.1.2.3'],
  ['bind', WEB.client.v4],
  ['bind', WEB.client.v6],
  ['unicast', '127.0.0.1'],
  ['unicast', WEB.client.v6],
  ['dontroute', WEB.mirror.v4],
] as const

async function guarded(t: Test, ...rules: string[]) {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  const nat = `table inet other { chain output { type nat hook output priority -100; ${rules.join('; ')}; }; }`
  if (rules.length > 0) await lab.web.run(['nft', '-f', '-'], { input: nat })
  const arrivals = await countArrivals(lab.victims, 'to-web')
  const service = await Service.start(lab.web, SETTINGS)
  t.teardown(() => service.remove())
  return { ...lab, service, arrivals }
}

/** Sends by the device to the victims. */
const send = (web: Namespace, how: string, to: string, port = 9) =>
  web.run([compile('by-device'), how, 'to-victims', to, String(port), String(COUNT)], {
    ...WORKER,
    allowFailure: true,
  })

t.jobs = 3

t.test('packets to own addresses by a device of the network are judged, and do not arrive', async (t) => {
  const { web, service, arrivals } = await guarded(t)
  for (const [how, to] of WAYS) await send(web, how, to)
  await eventually('all are judged', async () => (await service.blocks()) >= WAYS.length * COUNT)
  await nothingArrived(t, arrivals)
  t.match(service.log()[0], { 'destination.ip': '127.0.0.1', 'event.reason': 'not-allowlisted' })
  await service.kill()
  for (const [how, to] of WAYS) await send(web, how, to)
  t.ok((await kernelCount(web, 'fallback_drop')) >= WAYS.length * COUNT)
  await nothingArrived(t, arrivals)
})

t.test('a packet that another program has redirected to this host does not leave by a device', async (t) => {
  const { web, service, arrivals } = await guarded(t, 'udp dport 9 redirect to :10')
  const dropped = () => kernelCount(web, 'forged')
  for (const state of ['alive', 'dead']) {
    const before = await dropped()
    for (const to of ['203.0.113.77', '2001:db8:113::77', WEB.client.v4]) await send(web, 'bind', to)
    await eventually(`all are dropped: ${state}`, async () => (await dropped()) >= before + 3 * COUNT)
    await nothingArrived(t, arrivals)
    if (state === 'alive') await service.kill()
  }
})

async function nothingArrived(t: Test, arrivals: () => Promise<Arrivals>): Promise<void> {
  const { udp, total } = await arrivals()
  t.same({ udp, total }, { udp: 0, total: 0 })
}

/** JOIN COUNT: joins that many groups of multicast, whose addresses are data. */
const JOIN = `const socket = require('dgram').createSocket('udp4')
socket.bind(0, () => {
  for (let i = 0; i < +process.argv[1]; i++) try { socket.addMembership('239.1.' + (i >> 8) + '.' + (i & 255)) } catch {}
})`

t.test('reports of multicast groups leave at the rate of an ordinary host', async (t) => {
  const { web, victims }: Topology = await guarded(t)
  await web.run(['sysctl', '-qw', 'net.ipv4.igmp_max_memberships=5000'])
  await victims.run(['nft', '-f', '-'], {
    input:
      'table inet reports { counter reports {}; chain in { type filter hook prerouting priority 0; ip protocol igmp counter name reports; }; }',
  })
  const start = performance.now()
  const program = web.spawn(['node', '-e', JOIN, '3000'])
  await eventually('reports are dropped', async () => (await kernelCount(web, 'flooded')) > 10)
  const { stdout } = await victims.run(['nft', '-j', 'list', 'counters', 'table', 'inet', 'reports'])
  const bytes = Number(/"bytes": (\d+)/.exec(stdout)?.[1])
  t.ok(bytes > 0, 'some pass')
  const seconds = (performance.now() - start) / 1000
  t.ok(bytes < 2 * (8192 + 512 * seconds), `${bytes} in ${seconds} s`)
  await program.stop()
})
