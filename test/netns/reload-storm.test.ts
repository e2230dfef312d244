import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectTo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { ask } from '../../src/control/client.js'
import { serveFiles } from '../lab/apt.js'
import { countArrivals } from '../lab/arrivals.js'
import { serveDnsmasq } from '../lab/dnsmasq.js'
import type { Namespace } from '../lab/namespace.js'
import type { Program } from '../lab/program.js'
import { createTopology, MIRROR, NEIGHBOURS, WEB } from '../lab/topology.js'
import { connect, serveHttp, serveUdpEcho } from '../lab/traffic.js'
import type { Calls, LoadPlan, Target } from './programs/load.js'
import { NODE, pause, Service } from './service.js'

const ROUNDS = 12
const BYTES = 500_000
/** The pace of a download, in bytes a second. */
const PACE = 20_000
const DOWNLOADS = 6
const NAME = 'mirror.example.org'
/** Ports of the mirror that are allowed at times. */
const [WIDE, ADDED] = [8083, 8084]

/** Settings that stay the same in all reloads. */
const BASE = `infrastructure: { dns: [${MIRROR.v4}], ntp: [] }
mirrors: { discover: false, hosts: [${NAME}, "*.cdn.example.org"], ports: [80] }
canary: { interval: 1s }
`
const ALWAYS = `  - { name: always, to: [${MIRROR.v4}], ports: [8081] }
  - { name: echo, to: [${MIRROR.v4}], ports: [5000], protocol: udp }
  - { name: own echo, to: [${MIRROR.v4}], ports: [5001], protocol: udp, users: [root] }
`
const allowing = (more = '') => `mode: enforce\n${BASE}allow:\n${ALWAYS}${more}`
const TIGHT = allowing()
const WIDER = allowing(`  - { name: wide, to: [${MIRROR.v4}, other.example.org], ports: [${WIDE}] }\n`)
const BAD = allowing('  - { name: wide, to: [nowhere at all] }\n')

const tcp = (host: string, port: number): Target => ({ protocol: 'tcp', host, port })
const udp = (host: string, port: number): Target => ({ protocol: 'udp', host, port })
const OPEN = [
  tcp(MIRROR.v4, 80),
  tcp(MIRROR.v6, 80),
  tcp(MIRROR.v4, 8081),
  udp(MIRROR.v4, 5000),
  udp(MIRROR.v4, 5001),
]
const SHUT = [
  ...NEIGHBOURS.v4.slice(0, 4).map((host) => tcp(host, 80)),
  ...NEIGHBOURS.v6.slice(0, 4).map((host) => tcp(host, 80)),
  ...NEIGHBOURS.v4.slice(0, 2).map((host) => udp(host, 53)),
  tcp(MIRROR.v4, 8082),
]

const PROGRAM = fileURLToPath(new URL('./programs/load.js', import.meta.url))

async function load(place: Namespace, plan: LoadPlan): Promise<Program> {
  const program = place.spawn([...NODE, PROGRAM, JSON.stringify(plan)])
  await program.result('under way')
  return program
}

async function callsOf(program: Program): Promise<Calls> {
  program.kill('SIGTERM')
  return (await program.result('calls')).calls as Calls
}

const put = (body: string, type = 'application/json') =>
  `PUT /v1/mode HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n${body}`
const NO_REQUESTS = [
  'rubbish\r\n\r\n',
  'GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n',
  'DELETE /v1/status HTTP/1.1\r\nHost: x\r\n\r\n',
  put('{"mode":'.repeat(8000)),
  put('{"mode":"open"}'),
  put('{"mode":"observe"}', 'text/plain'),
  put('x'.repeat(100_000)),
]

/** Sends bad requests to the control socket again and again, several at once. */
function sendBadRequests(socket: string): { count(): number; end(): Promise<number[]> } {
  const statuses: number[] = []
  let isOver = false
  const work = async (bytes: string) => {
    for (; !isOver; await pause(200)) {
      const connection = connectTo(socket).on('error', () => {})
      connection.end(bytes)
      statuses.push(Number(/^HTTP\/1\.1 (\d{3})/.exec(await text(connection).catch(() => ''))?.[1]))
    }
  }
  const all = Promise.all(NO_REQUESTS.map(work))
  return {
    count: () => statuses.length,
    end: async () => {
      isOver = true
      await all
      return statuses
    },
  }
}

/** DOWNLOAD URL: prints how many bytes came, or the error. */
const DOWNLOAD = `fetch(process.argv[1]).then((response) => response.arrayBuffer())
  .then(({ byteLength }) => console.log(byteLength), (error) => console.log(String(error.cause ?? error)))`

async function serveAll({ web, mirror }: { web: Namespace; mirror: Namespace }, t: Test): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'checkvalve-storm-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'large'), Buffer.alloc(BYTES))
  await web.file('/etc/resolv.conf', `nameserver ${MIRROR.v4}\noptions timeout:1 attempts:5\n`)
  await serveFiles(mirror, folder, { port: 80, pace: PACE })
  await Promise.all([8081, 8082, WIDE, ADDED].map((port) => serveHttp(mirror, port)))
  await Promise.all([5000, 5001].map((port) => serveUdpEcho(mirror, port)))
  const records = { [NAME]: [MIRROR.v4, MIRROR.v6], 'other.example.org': ['203.0.113.200'] }
  await Promise.all([serveHttp(web, 80), serveDnsmasq(mirror, { records, ttl: 1 })])
}

t.test(
  'during many reloads under load, no allowed connection fails, and none that is not allowed passes',
  async (t) => {
    const lab = await createTopology()
    t.teardown(() => lab.close())
    await serveAll(lab, t)
    const service = await Service.start(lab.web, TIGHT)
    t.teardown(() => service.remove())
    const socket = join(service.folder, 'control.sock')
    const request = (method: 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown) =>
      ask(socket, method, path, body)
    const isOpen = async (port: number) => (await connect(lab.web, MIRROR.v4, port)).outcome === 'ok'

    const arrivals = await countArrivals(lab.victims, 'to-web')
    const downloads = Array.from({ length: DOWNLOADS }, () =>
      lab.web.spawn([...NODE, '-e', DOWNLOAD, `http://${MIRROR.v4}/large`]),
    )
    const open = await load(lab.web, { targets: OPEN, workers: 3, pause: 100 })
    const shut = await load(lab.web, { targets: SHUT, workers: 2, pause: 100 })
    const inbound = await load(lab.client, {
      targets: [tcp(WEB.client.v4, 80), tcp(WEB.client.v6, 80)],
      workers: 3,
      pause: 100,
    })

    const badRequests = sendBadRequests(socket)
    t.teardown(() => badRequests.end())
    let reloads = 0
    const reload = async (settings: string) => {
      await service.reload(settings)
      reloads++
    }
    const change = async (...what: Parameters<typeof request>) =>
      request(...what).then(
        () => 200,
        ({ status }: { status: number }) => status,
      )
    const entry = (name: string, more = {}) => ({ name, to: [MIRROR.v4], ports: [ADDED], ...more })
    for (let round = 0; round < ROUNDS || badRequests.count() <= 100; round++) {
      await reload(WIDER)
      await Promise.all([change('POST', '/v1/allow', entry('a')), reload(BAD)])
      t.ok(
        (await isOpen(WIDE)) && (await isOpen(ADDED)),
        'added ports are allowed, and a bad file changes nothing',
      )
      t.same(
        await Promise.all([
          change('DELETE', '/v1/allow?name=a'),
          change('PUT', '/v1/mode', { mode: 'enforce' }),
          change('PUT', '/v1/mode', { mode: 'open' }),
          change('POST', '/v1/allow', entry('b', { to: ['nowhere at all'] })),
          change('POST', '/v1/allow', entry('c', { ttl: '1s', ports: [WIDE] })),
        ]),
        [200, 200, 400, 400, 200],
      )
      await reload(TIGHT)
      t.notOk(await isOpen(ADDED), 'a removed port is blocked')
      await Promise.all([change('DELETE', '/v1/allow?name=c'), reload(TIGHT)])
      t.notOk(await isOpen(WIDE))
    }
    t.ok(reloads >= 4 * ROUNDS, `${reloads} reloads`)
    const refusals = await badRequests.end()
    t.ok(refusals.length > 100, `${refusals.length} bad requests`)
    t.same(
      [...new Set(refusals)].sort(),
      [400, 404, 405, 413, 415],
      'each is refused with the status of its mistake',
    )

    const [opened, refused, served] = await Promise.all([callsOf(open), callsOf(shut), callsOf(inbound)])
    t.comment(JSON.stringify([opened, refused, served]))
    const only = (calls: Calls) => [
      ...new Set(Object.values(calls).flatMap((outcomes) => Object.keys(outcomes))),
    ]
    const sum = (calls: Calls) =>
      Object.values(calls)
        .flatMap((outcomes) => Object.values(outcomes))
        .reduce((all, each) => all + each, 0)
    t.same(only(opened), ['ok'], `all ${sum(opened)} allowed connections succeed`)
    t.same(only(served), ['ok'], `all ${sum(served)} clients are served`)
    t.notOk(only(refused).includes('ok'), `none of ${sum(refused)} that are not allowed succeeds`)
    for (const calls of [opened, served, refused]) t.ok(sum(calls) > 50, 'there was load')
    t.equal((await arrivals()).total, 0, 'no packet has arrived at the neighbours')
    for (const download of downloads) {
      await download.exited
      t.equal(download.stdout.trim(), String(BYTES), 'a download is complete')
    }
    const blocks = await service.metric('packets_total', 'verdict="block"', 'reason="not-allowlisted"')
    t.ok(blocks >= sum(refused), `${blocks} blocks are counted`)
    for (const path of ['fallback_accept', 'fallback_drop'])
      t.equal(
        await service.metric('kernel_packets_total', `path="${path}"`),
        0,
        `${path}: the service has judged each packet`,
      )
    for (const count of [
      'queue_dropped_total',
      'queue_user_dropped_total',
      'faults_total',
      'ruleset_restored_total',
    ])
      t.equal(await service.metric(count), 0, count)
  },
)
