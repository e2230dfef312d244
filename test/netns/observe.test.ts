/** Tests that mode observe blocks nothing, and records what mode enforce would do. */
import t, { type Test } from 'tap'
import { countArrivals } from '../lab/arrivals.js'
import { serveDnsmasq } from '../lab/dnsmasq.js'
import { createTopology, MIRROR, NEIGHBOURS, VICTIM, WEB } from '../lab/topology.js'
import { serveHttp, worm } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { compile } from './programs.js'
import { createLab, guard, NAME, query } from './resolving.js'
import { eventually, NODE, PATIENCE_MS, Service, segmentsRepeated } from './service.js'

const ATTACKER = canSwitchUsers() ? { user: 'www-data' } : {}
const PLAN = {
  targets: [...NEIGHBOURS.v4.slice(0, 40), ...NEIGHBOURS.v6.slice(0, 40)],
  tcpPorts: [22, 80],
  udpPorts: [4000, 4001],
  timeout: PATIENCE_MS,
  concurrency: 32,
}

t.jobs = 3

/** Runs a worm in one mode. @returns its successes, and how the service has counted its packets */
async function rehearse(t: Test, mode: 'observe' | 'enforce') {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  await serveHttp(lab.victims, 80)
  const settings = `mode: ${mode}\ninfrastructure: { dns: [], ntp: [] }\ncanary: { interval: 1d }\n`
  const service = await Service.start(lab.web, settings)
  t.teardown(() => service.remove())
  const arrivals = await countArrivals(lab.victims, 'to-web')
  const spread = await worm(lab.web, PLAN, ATTACKER.user)
  const counts = (await service.metrics())
    .split('\n')
    .filter((line) => /^checkvalve_(packets_total|blocked_users_total)/.test(line))
    .filter((line) => !line.includes('reason="canary"'))
    .map((line) => line.replace('would-block', 'block'))
    .sort()
  return {
    spread,
    counts,
    arrived: (await arrivals()).total,
    log: service.log(),
    repeated: await segmentsRepeated(lab.web),
  }
}

/** Runs the worm in both modes, again until each verdict came within a second, or time is over. */
async function rehearsals(t: Test) {
  for (const end = Date.now() + PATIENCE_MS; ; ) {
    const both = await Promise.all([rehearse(t, 'observe'), rehearse(t, 'enforce')])
    if (both.every((each) => each.repeated === 0) || Date.now() > end) return both
  }
}

t.test('mode observe lets a worm pass, and counts its packets exactly as mode enforce does', async (t) => {
  const [observed, enforced] = await rehearsals(t)
  t.ok(enforced.counts.length >= 5, enforced.counts.join('\n'))
  t.same(observed.counts, enforced.counts)
  t.equal(enforced.arrived, 0)
  t.ok(observed.arrived >= 480, `${observed.arrived} packets have arrived`)
  t.equal(observed.spread.tcp4.successes + observed.spread.tcp6.successes, 80, 'port 80 is served')
  t.ok(observed.log.every((event) => event['event.action'] === 'would-block'))
  t.ok(enforced.log.every((event) => event['event.action'] === 'block'))
})

/** FLOOD RESOLVER QUERY COUNT: sends the same query COUNT times, as fast as possible. */
const FLOOD = `const [resolver, query, count] = process.argv.slice(1)
const socket = require('dgram').createSocket('udp4')
const message = Buffer.from(query, 'hex')
let sent = 0
const send = () => sent++ < +count ? socket.send(message, 53, resolver, send) : socket.close()
send()`

t.test('in mode observe with enforced names, no query of a flood is lost', async (t) => {
  const lab = await createLab(t)
  await serveDnsmasq(lab.mirror, { records: { [NAME]: [MIRROR.v4] }, ttl: 60 })
  const service = await guard(t, lab, `mirrors: { hosts: [${NAME}] }\ndns: { enforceNames: true }\n`)
  service.configure(`mode: observe\nmirrors: { hosts: [${NAME}] }\ndns: { enforceNames: true }\n`)
  await service.launch()
  const arrivals = await countArrivals(lab.mirror, 'to-web')
  const before = (await arrivals()).udp
  await lab.web.run(
    [...NODE, '-e', FLOOD, MIRROR.v4, query('a.example.net').toString('hex'), '5000'],
    ATTACKER,
  )
  // The last queries still wait for their verdicts.
  await eventually('all queries arrive', async () => (await arrivals()).udp - before >= 5000)
  const unread = await service.metric('kernel_packets_total', 'path="flooded"')
  const read = await service.metric('packets_total', 'verdict="would-block"', 'reason="name-not-allowed"')
  t.equal(unread + read, 5000, `${read} queries were read, ${unread} were not`)
  // Queries of a trusted user are all read.
  t.equal(unread > 0, canSwitchUsers())
})

t.test('a forged client of mode observe is no client after a reload to mode enforce', async (t) => {
  const forge = compile('forge')
  const lab = await createTopology()
  t.teardown(() => lab.close())
  const service = await Service.start(lab.web, 'mode: observe\n')
  t.teardown(() => service.remove())
  const arrivals = await countArrivals(lab.victims, 'to-web')
  const attack = () => lab.web.run([forge, WEB.victims.v6, VICTIM.v6], { allowFailure: true, ...ATTACKER })
  t.match(await attack(), { status: 0, stdout: '3\n' })
  await eventually('in mode observe the datagrams arrive', async () => (await arrivals()).udp === 3)
  const forged = () => service.metric('kernel_packets_total', 'path="forged"')
  const before = await forged()
  t.ok(before >= 1, 'the forged packet is counted')
  await service.reload('mode: enforce\n')
  await attack()
  await eventually('another forged packet is counted', async () => (await forged()) > before)
  t.equal((await arrivals()).udp, 3)
})
