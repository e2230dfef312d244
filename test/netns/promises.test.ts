import t, { type Test } from 'tap'
import { countArrivals } from '../lab/arrivals.js'
import { createTopology, MIRROR, NEIGHBOURS, type Topology, VICTIM, WEB } from '../lab/topology.js'
import { connect, httpGet, serveHttp, worm } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { eventually, Service } from './service.js'

const ENFORCE = `mode: enforce
infrastructure: { dns: [], ntp: [] }
mirrors: { hosts: ["${MIRROR.v4}", "${MIRROR.v6}"], ports: [80] }
`
const PLAN = {
  targets: [...NEIGHBOURS.v4.slice(0, 30), ...NEIGHBOURS.v6.slice(0, 30)],
  tcpPorts: [22, 80],
  udpPorts: [53],
  timeout: 300,
  concurrency: 64,
}
const infected = canSwitchUsers() ? 'www-data' : undefined

async function lab(t: Test): Promise<Topology> {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  await Promise.all([serveHttp(lab.web, 80), serveHttp(lab.mirror, 80), serveHttp(lab.mirror, 81)])
  return lab
}

async function guarded(t: Test, settings = ENFORCE): Promise<[Topology, Service]> {
  const topology = await lab(t)
  const service = await Service.start(topology.web, settings)
  t.teardown(() => service.remove())
  return [topology, service]
}

async function clientIsServed(t: Test, { client }: Topology): Promise<void> {
  for (const host of [WEB.client.v4, `[${WEB.client.v6}]`])
    t.equal((await httpGet(client, `http://${host}/`)).status, 200, `a client is served at ${host}`)
}

async function mirrorIsReached(t: Test, { web }: Topology): Promise<void> {
  for (const host of [MIRROR.v4, `[${MIRROR.v6}]`])
    t.equal((await httpGet(web, `http://${host}/`)).status, 200, `root reaches the mirror at ${host}`)
}

t.jobs = 2

t.test('enforce: clients are served, mirrors are reached, and nothing else gets out', async (t) => {
  const [lab, service] = await guarded(t)
  const arrivals = await countArrivals(lab.victims, 'to-web')
  await clientIsServed(t, lab)
  await mirrorIsReached(t, lab)
  t.not((await connect(lab.web, MIRROR.v4, 81)).outcome, 'ok', 'another port of the mirror is blocked')
  if (infected)
    t.not(
      (await connect(lab.web, MIRROR.v4, 80, { user: infected })).outcome,
      'ok',
      'www-data does not reach the mirror',
    )
  else t.comment('left out: a second user at the mirror (only one user exists in this namespace)')
  const spread = await worm(lab.web, PLAN, infected)
  t.equal(spread.tcp4.successes + spread.tcp6.successes, 0)
  t.equal((await arrivals()).total, 0, 'no packet of the worm arrives')
  const refused = await connect(lab.web, VICTIM.v4, 80)
  t.equal(refused.outcome, 'ECONNREFUSED', 'a refusal arrives at once')
  const blocks = await service.blocks()
  t.ok(blocks >= 180, `each attempt is counted: ${blocks}`)
  t.equal(await service.metric('kernel_packets_total', 'path="fallback_accept"'), 0)
  t.match(service.log()[0], {
    'event.action': 'block',
    'event.reason': 'not-allowlisted',
    'network.transport': 'tcp',
  })
  t.equal(await service.stop(), 0)
  const { stdout } = await lab.web.run(['nft', 'list', 'ruleset'])
  t.notMatch(stdout, /checkvalve|queue/, 'a stop leaves no rule behind')
})

t.test(
  "drop: a blocked connection times out, and the host's own rules and mark bits stay in force",
  async (t) => {
    const [{ web, mirror }] = await guarded(t, `${ENFORCE}block: drop\n`)
    t.equal((await connect(web, VICTIM.v4, 80, { timeout: 300 })).outcome, 'timeout')
    await web.run(['nft', '-f', '-'], {
      input: `table inet own {
      counter kept {}
      chain first { type filter hook output priority filter - 5; meta mark set 0x00000041; }
      chain last { type filter hook output priority filter + 20; ip daddr ${MIRROR.v4} meta mark 0x00000041 counter name kept; }
    }`,
    })
    t.equal((await connect(web, MIRROR.v4, 80)).outcome, 'ok')
    t.notMatch(
      (await web.run(['nft', 'list', 'counter', 'inet', 'own', 'kept'])).stdout,
      /packets 0 /,
      'marks of other programs are untouched',
    )
    await web.run(['iptables', '-A', 'OUTPUT', '-d', MIRROR.v4, '-p', 'tcp', '--dport', '80', '-j', 'DROP'])
    const arrivals = await countArrivals(mirror, 'to-web')
    t.equal(
      (await connect(web, MIRROR.v4, 80, { timeout: 300 })).outcome,
      'timeout',
      'a rule of the host after the queue rule still applies',
    )
    t.equal((await arrivals()).tcp, 0)
  },
)

t.test('observe: everything passes, and each would-be block is recorded', async (t) => {
  const [lab, service] = await guarded(t, ENFORCE.replace('enforce', 'observe'))
  await serveHttp(lab.victims, 80)
  t.equal((await connect(lab.web, VICTIM.v4, 80)).outcome, 'ok')
  t.equal(await service.metric('packets_total', 'verdict="would-block"', 'reason="not-allowlisted"'), 1)
  t.equal(await service.blocks(), 0)
  t.equal(await service.metric('enforcing'), 0)
  t.match(service.log(), [
    { 'event.action': 'would-block', 'destination.ip': VICTIM.v4, 'checkvalve.mode': 'observe' },
  ])
})

t.test(
  'kill -9: clients are served, mirrors are reached, and nothing else gets out, also during a restart',
  async (t) => {
    const [lab, service] = await guarded(t)
    const arrivals = await countArrivals(lab.victims, 'to-web')
    await service.kill()
    await clientIsServed(t, lab)
    await mirrorIsReached(t, lab)
    if (infected)
      t.not(
        (await connect(lab.web, MIRROR.v4, 80, { user: infected, timeout: 300 })).outcome,
        'ok',
        'www-data does not reach the mirror',
      )
    const spreading = worm(lab.web, PLAN, infected)
    await service.launch()
    const spread = await spreading
    t.equal(spread.tcp4.successes + spread.tcp6.successes, 0)
    t.equal((await arrivals()).total, 0, 'nothing arrives, before, during and after the restart')
    await mirrorIsReached(t, lab)
    t.equal(await service.metric('packets_total', 'reason="mirror"'), 2, 'the new service judges packets')
  },
)

t.test(
  'while a service is stopped and its queue is full, the fallback decides, and nothing else gets out',
  async (t) => {
    const [lab, service] = await guarded(t, `${ENFORCE}queue: { maxLength: 16 }\n`)
    const arrivals = await countArrivals(lab.victims, 'to-web')
    service.program.kill('SIGSTOP')
    t.teardown(() => service.program.kill('SIGKILL'))
    await worm(lab.web, PLAN, infected)
    await clientIsServed(t, lab)
    await mirrorIsReached(t, lab)
    t.equal((await arrivals()).total, 0)
  },
)

t.test(
  'reload: a wider policy cuts off nothing, a tighter one cuts off connections, a bad file changes nothing',
  async (t) => {
    const [lab, service] = await guarded(t)
    await serveHttp(lab.victims, 80)
    t.not((await connect(lab.web, VICTIM.v4, 80)).outcome, 'ok')
    const slow = httpGet(lab.web, `http://${MIRROR.v4}/large?bytes=200000000`)
    await service.reload(`${ENFORCE}allow: [{ name: v, to: [${VICTIM.v4}], ports: [80] }]\n`)
    t.equal((await connect(lab.web, VICTIM.v4, 80)).outcome, 'ok', 'the added address is allowed')
    t.equal((await slow).status, 200, 'a download continues over the reload')
    await service.reload(`${ENFORCE}mod: observe\n`)
    t.match(service.program.stderr, /reload refused: .*checkvalve\.yaml:\d+: mod: unknown key/)
    t.equal(await service.metric('config_last_reload_successful'), 0)
    t.equal((await connect(lab.web, VICTIM.v4, 80)).outcome, 'ok', 'the old policy stays')
    const live = lab.web.spawn([
      'env',
      '-u',
      'NODE_OPTIONS',
      process.execPath,
      '-e',
      LIVE,
      VICTIM.v4,
      MIRROR.v4,
    ])
    await live.until(() => live.stdout.includes('open') || undefined)
    const blocks = () => service.metric('packets_total', 'verdict="block"', 'reason="not-allowlisted"')
    const before = await blocks()
    await service.reload(ENFORCE)
    t.equal(await service.metric('config_last_reload_successful'), 1)
    const isBlocked = async () => (await blocks()) > before
    await eventually('the live connection is judged again, and blocked', isBlocked)
    const answers = () => live.stdout.split(`answer ${MIRROR.v4}\n`).length
    const had = answers()
    await eventually('the allowed connection continues', () => answers() > had + 2)
    t.match(
      live.stdout,
      new RegExp(`answer ${MIRROR.v4.replaceAll('.', '\\.')}\n.*$`),
      'the allowed connection continues',
    )
    live.kill('SIGKILL')
  },
)

/** LIVE HOST...: keeps one HTTP connection to each host, and sends requests on it again and again. */
const LIVE = `
const net = require('node:net')
for (const host of process.argv.slice(1)) {
  const socket = net.connect(80, host, () => { console.log('open', host); ask() })
  const ask = () => socket.write('GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')
  socket.on('data', () => { console.log('answer ' + host); setTimeout(ask, 100) })
  socket.on('error', () => {})
}`

t.test(
  'a ruleset that another program flushes or changes is restored, and each restore is counted',
  async (t) => {
    const [{ web }, service] = await guarded(t)
    const restored = () => service.metric('ruleset_restored_total')
    const commands = [
      ['nft', 'delete', 'table', 'inet', 'checkvalve'],
      ['nft', 'flush', 'ruleset'],
      ['nft', 'flush', 'chain', 'inet', 'checkvalve', 'verdict'],
      ['iptables', '-F', 'OUTPUT'],
    ]
    for (const [index, command] of commands.entries()) {
      await web.run(command as [string, ...string[]])
      await eventually(`restored after ${command.join(' ')}`, async () => (await restored()) === index + 1)
      t.not((await connect(web, VICTIM.v4, 80)).outcome, 'ok', `blocked again after ${command.join(' ')}`)
      t.equal((await connect(web, MIRROR.v4, 80)).outcome, 'ok')
    }
  },
)

t.test(
  'settings that are read at start only keep their values when a reload changes them, and each reload warns',
  async (t) => {
    const [lab, service] = await guarded(t)
    const other = `${ENFORCE}firewall: { mark: { mask: 0x003f0000 } }\nqueue: { first: 300 }\n`
    for (const judged of [2, 4]) {
      await service.reload(other)
      await mirrorIsReached(t, lab)
      t.equal(await service.metric('packets_total', 'reason="mirror"'), judged, 'the service judges packets')
    }
    t.equal(
      await service.metric('kernel_packets_total', 'path="fallback_accept"'),
      0,
      'the fallback accepts none',
    )
    const warnings = service.program.stderr.match(/needs a restart to take effect: firewall, queue/g)
    t.equal(warnings?.length, 2, 'each reload logs a warning')
  },
)
