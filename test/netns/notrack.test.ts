import t, { type Test } from 'tap'
import { countArrivals } from '../lab/arrivals.js'
import { CLIENT, createTopology, MIRROR, type Topology, VICTIM, WEB } from '../lab/topology.js'
import { connect, httpGet, sendUdp, serveHttp, serveUdpEcho } from '../lab/traffic.js'
import { compile } from './programs.js'
import { begin, HEAR_TCP, last, PUSH_TCP, start } from './scripts.js'
import { eventually, PATIENCE_MS, Service } from './service.js'
import { untrack } from './tracking.js'

const SETTINGS = `mode: enforce
infrastructure: { dns: [192.0.2.53], ntp: [192.0.2.123] }
mirrors: { hosts: ["${MIRROR.v4}", "${MIRROR.v6}"], ports: [80] }
`
const HOSTS = [WEB.client.v4, WEB.client.v6]
const PATIENT = { timeout: PATIENCE_MS }

async function untracked(t: Test): Promise<[Topology, Service]> {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  await untrack(lab.web)
  const service = await Service.start(lab.web, SETTINGS)
  t.teardown(() => service.remove())
  return [lab, service]
}

const url = (host: string, port: number, path = '/') =>
  `http://${host.includes(':') ? `[${host}]` : host}:${port}${path}`

t.jobs = 4

t.test('without tracking, clients are served over TCP on privileged and unprivileged ports', async (t) => {
  const [{ web, client }, service] = await untracked(t)
  await Promise.all([serveHttp(web, 80), serveHttp(web, 8080)])
  await eventually(
    'the ports are known',
    async () => (await httpGet(client, url(HOSTS[0]!, 8080))).status === 200,
  )
  for (const host of HOSTS)
    for (const port of [80, 8080]) {
      t.equal((await httpGet(client, url(host, port))).status, 200, url(host, port))
      const large = await httpGet(client, url(host, port, '/large?bytes=20000000'))
      t.equal(large.bytes, 20_000_000)
    }
  const judged = await service.metric('packets_total', 'reason="session"')
  const approved = await service.metric('kernel_packets_total', 'path="approved"')
  t.ok(
    approved > judged,
    `the kernel remembers approved connections: ${judged} packets judged, ${approved} approved`,
  )
})

t.test(
  'without tracking, the kernel answers pings and refuses closed ports, and users cannot send such a ping',
  async (t) => {
    const [{ web, client, victims }, service] = await untracked(t)
    const call = compile('call')
    for (const [host, peer] of [
      [WEB.client.v4, CLIENT.v4],
      [WEB.client.v6, CLIENT.v6],
    ] as const) {
      t.equal(
        (await client.run([call, 'ping', peer, '0', host, '0'], { allowFailure: true })).status,
        0,
        `ping ${host}`,
      )
      t.equal((await connect(client, host, 81)).outcome, 'ECONNREFUSED', `TCP ${host}`)
      t.match((await sendUdp(client, host, 81, 1, PATIENT)).errors, { ECONNREFUSED: 1 }, `UDP ${host}`)
    }
    t.equal(
      await service.metric('packets_total', 'verdict="block"', 'not-allowlisted'),
      0,
      'no packet is blocked',
    )
    const arrivals = await countArrivals(victims, 'to-web')
    for (const [local, remote] of [
      [WEB.victims.v4, VICTIM.v4],
      [WEB.victims.v6, VICTIM.v6],
    ] as const) {
      await web.run([call, 'ping', local, '0', remote, '0'], { allowFailure: true })
    }
    t.equal((await arrivals()).total, 0, 'a ping that a user sends does not arrive')
  },
)

t.test('in a flood of SYNs the kernel answers clients without a socket, and its answers pass', async (t) => {
  const [{ web, client }] = await untracked(t)
  // 2: the kernel sends SYN cookies always, as it does in a flood (ip-sysctl).
  await web.sysctl('net.ipv4.tcp_syncookies', 2)
  await serveHttp(web, 80)
  for (const host of HOSTS) t.equal((await httpGet(client, url(host, 80))).status, 200, host)
})

t.test('without tracking, clients are served over UDP from privileged ports only', async (t) => {
  const [{ web, client }, service] = await untracked(t)
  await Promise.all([serveUdpEcho(web, 443), serveUdpEcho(web, 5000)])
  await eventually('the port is known', async () => (await sendUdp(client, HOSTS[0]!, 443, 1)).answers === 1)
  for (const host of HOSTS) {
    t.equal((await sendUdp(client, host, 443, 5, PATIENT)).answers, 5, host)
    const blocks = () => service.metric('packets_total', 'verdict="block"', 'not-allowlisted', 'udp')
    const before = await blocks()
    const { answers } = await sendUdp(client, host, 5000, 5)
    await eventually('all answers are blocked', async () => (await blocks()) >= before + 5)
    t.equal(answers, 0, `${host}: an unprivileged port is no service`)
  }
})

t.test(
  'full sets of clients and approved connections prevent neither a reload nor metrics nor service to clients',
  async (t) => {
    const [{ web, client }, service] = await untracked(t)
    await serveHttp(web, 80)
    const four = (i: number) => `198.18.${(i >> 8) & 255}.${i & 255}`
    const six = (i: number) => `2001:db8::${(i >> 16) + 1}:${(i & 0xffff).toString(16)}`
    const port = (i: number) => 1024 + (i >> 16)
    // The netlink socket of an ordinary user accepts two thousand elements at once.
    const AT_ONCE = 2048
    const fill = async (set: string, element: (i: number) => string) => {
      for (let first = 0; first < 131_072; first += AT_ONCE) {
        const elements = Array.from({ length: AT_ONCE }, (_, i) => `${element(first + i)} timeout 1h`)
        await web.run(['nft', '-f', '-'], {
          input: `add element inet checkvalve ${set} { ${elements.join(', ')} }`,
        })
      }
    }
    await fill('clients4', (i) => `17 . ${four(i)} . ${port(i)} . 443`)
    await fill('approved6', (i) => `2001:db8:18::1 . 80 . ${six(i)} . ${port(i)}`)
    for (const host of HOSTS) t.equal((await httpGet(client, url(host, 80))).status, 200, host)
    await service.reload(SETTINGS)
    t.equal(await service.metric('config_last_reload_successful'), 1)
    t.equal(await service.metric('ruleset_restored_total'), 0)
    for (const host of HOSTS) t.equal((await httpGet(client, url(host, 80))).status, 200, `${host} after it`)
  },
)

t.test(
  'without tracking, mirrors are reached, nothing else gets out, and clients outlast a dead service',
  async (t) => {
    const [{ web, client, mirror, victims }, service] = await untracked(t)
    const arrivals = await countArrivals(victims, 'to-web')
    await Promise.all([serveHttp(mirror, 80), serveHttp(victims, 80)])
    await start(web, PUSH_TCP, 443)
    const clients = HOSTS.map((host) => begin(client, HEAR_TCP, host, 443))
    await eventually('both clients receive', async () => clients.every((each) => last(each) > 2))
    const stillClosed = async (when: string) => {
      for (const host of [MIRROR.v4, MIRROR.v6])
        t.equal((await httpGet(web, url(host, 80))).status, 200, `the mirror ${when}`)
      for (const host of [VICTIM.v4, VICTIM.v6, CLIENT.v4])
        t.not((await connect(web, host, 80, { timeout: 500 })).outcome, 'ok', `${host} ${when}`)
      t.same((await sendUdp(web, VICTIM.v4, 443, 3)).answers, 0)
    }
    await stillClosed('while it lives')
    await service.kill()
    const before = clients.map(last)
    await stillClosed('when it is dead')
    await eventually('both clients continue to receive', async () =>
      clients.every((each, i) => last(each) > before[i]! + 5),
    )
    t.equal((await arrivals()).total, 0)
  },
)
