import t from 'tap'
import { countArrivals } from './arrivals.js'
import { CLIENT, createTopology, MIRROR, NEIGHBOURS, VICTIM, WEB } from './topology.js'
import { connect, httpGet, httpUpload, sendUdp, serveDns, serveHttp, serveUdpEcho, worm } from './traffic.js'
import { PATIENCE_MS } from './waiting.js'

const lab = await createTopology()
t.teardown(() => lab.close())
const { web, client, mirror, victims } = lab
await Promise.all([web, mirror, victims].map((namespace) => serveHttp(namespace)))

const patient = { timeout: PATIENCE_MS }
const url = (address: string, path = '/') =>
  `http://${address.includes(':') ? `[${address}]` : address}${path}`

t.test('a client gets pages and large downloads, and makes slow uploads, over IPv4 and IPv6', async (t) => {
  for (const address of Object.values(WEB.client)) {
    t.match(await httpGet(client, url(address)), { outcome: 'ok', status: 200, bytes: 50 })
    t.match(await httpGet(client, url(address, '/large?bytes=1000001')), { outcome: 'ok', bytes: 1000001 })
    const upload = await httpUpload(client, url(address, '/upload'), 100_001, 100)
    t.match(upload, { outcome: 'ok', bytes: 100_001 })
    t.ok(upload.ms >= 100)
  }
})

t.test('the name server of the lab resolves names, over IPv4 and IPv6', async (t) => {
  const server = await serveDns(mirror, {
    'mirror.example.org': { ttl: 30, A: [MIRROR.v4], AAAA: [MIRROR.v6] },
    'four.example.org': { ttl: 30, A: [MIRROR.v4] },
    'six.example.org': { ttl: 30, AAAA: [MIRROR.v6] },
  })
  await web.file('/etc/resolv.conf', `nameserver ${MIRROR.v4}\n`)
  for (const host of ['mirror', 'four', 'six']) {
    t.match(await httpGet(web, `http://${host}.example.org/`), { outcome: 'ok', status: 200 })
  }
  t.match(await connect(web, 'nowhere.example.org', 80), { outcome: 'ENOTFOUND' })
  t.match(server.results.slice(1), [{ query: 'mirror.example.org', from: WEB.mirror.v4, transport: 'udp' }])

  await web.file('/etc/resolv.conf', `nameserver ${MIRROR.v6}\noptions use-vc\n`)
  t.match(await connect(web, 'mirror.example.org', 80), { outcome: 'ok' })
  t.match(server.results.at(-1), { from: WEB.mirror.v6, transport: 'tcp' })
})

t.test('sendUdp counts the answers to its datagrams, and their errors', async (t) => {
  await serveUdpEcho(mirror, 7)
  for (const address of Object.values(MIRROR)) {
    t.same(await sendUdp(web, address, 7, 20, patient), { sent: 20, answers: 20, errors: {} })
    t.match(await sendUdp(web, address, 8, 1, patient), { sent: 1, answers: 0, errors: { ECONNREFUSED: 1 } })
  }
})

t.test('a packet of web to any address arrives at the victims, and is answered', async (t) => {
  const arrivals = await countArrivals(victims, 'to-web')
  const addresses = [
    VICTIM.v4,
    VICTIM.v6,
    '203.0.113.77',
    '2001:db8:113::77',
    '192.0.2.1',
    '2001:db8:ffff::1',
  ]
  for (const address of addresses) {
    const { total } = await arrivals()
    t.match(await connect(web, address, 80), { outcome: 'ok' })
    t.ok((await arrivals()).total > total, address)
  }
  await victims.run(['nft', 'delete', 'table', 'inet', 'arrivals'])
})

t.test('connect distinguishes a refused connection, a dropped one and a successful one', async (t) => {
  t.match(await connect(web, CLIENT.v4, 80), { outcome: 'ECONNREFUSED' })
  await client.run(['nft', '-f', '-'], {
    input: 'table inet t { chain c { type filter hook input priority 0; tcp dport 80 drop; }; }',
  })
  t.match(await connect(web, CLIENT.v6, 80, { timeout: 100 }), { outcome: 'timeout' })
  t.match(await httpGet(web, url(CLIENT.v4), { timeout: 100 }), { outcome: 'timeout', status: 0 })
})

const plan = { tcpPorts: [22, 80], udpPorts: [53, 161], timeout: PATIENCE_MS, concurrency: 64 }
const none = { attempts: 0, successes: 0, errors: {} }

t.test('without the service each kind of packet of a worm arrives, and is counted', async (t) => {
  const arrivals = await countArrivals(victims, 'to-web')
  for (const family of ['v4', 'v6'] as const) {
    const attempts = 2 * NEIGHBOURS[family].length
    const [tcp, udp] = family === 'v4' ? ['tcp4', 'udp4'] : ['tcp6', 'udp6']

    const before = await arrivals()
    const tcpReport = await worm(web, { ...plan, targets: NEIGHBOURS[family], udpPorts: [] })
    const between = await arrivals()
    const half = attempts / 2
    t.match(tcpReport, {
      tcp4: none,
      tcp6: none,
      udp4: none,
      udp6: none,
      [tcp!]: { attempts, successes: half },
    })
    t.match(tcpReport, { [tcp!]: { errors: { ECONNREFUSED: half } } })
    t.ok(between.tcp - before.tcp >= attempts, 'at least one packet arrives for each connection tried')
    t.equal(between.udp, before.udp, 'no UDP packet arrives')

    const udpReport = await worm(web, { ...plan, targets: NEIGHBOURS[family], tcpPorts: [] })
    const after = await arrivals()
    t.match(udpReport, {
      tcp4: none,
      tcp6: none,
      udp4: none,
      udp6: none,
      [udp!]: { attempts, successes: attempts },
    })
    t.equal(after.udp - between.udp, attempts, 'one packet arrives for each datagram sent')
    t.match(after, { icmp: 0, other: 0 })
  }
})

t.test('countArrivals does not count neighbour discovery, and counts ICMP errors', async (t) => {
  const arrivals = await countArrivals(client, 'to-web')
  await client.ip('neighbour flush dev to-web')
  await web.ip('neighbour flush dev to-client')
  await sendUdp(client, WEB.client.v6, 9, 1, patient)
  await sendUdp(client, WEB.client.v4, 9, 1, patient)
  t.same(
    await arrivals(),
    { tcp: 0, udp: 0, icmp: 2, other: 0, total: 2 },
    'two errors arrive: port unreachable',
  )
})
