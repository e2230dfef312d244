/**
 * Measures the cost of the guard for a busy web server: requests a second of nginx under wrk, with checkvalve
 * and without. The contenders take turns, in an order that is reversed each round, so that other load on the
 * machine affects all alike; the result is the median of the ratios of each round.
 *
 * Without checkvalve the kernel tracks no connections. Any stateful firewall makes the kernel track them: the
 * second contender shows how much of the cost that is. Server, client and guard share the cores of this
 * machine, so that the guard takes time from the others. `node dist/bench/inbound.js [ROUNDS [SECONDS]]`
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { link, Namespace } from '../test/lab/namespace.js'
import { eventually, Service } from '../test/netns/service.js'
import { cpuSeconds, median } from './lib.js'

interface Contender {
  readonly name: string
  /** Installs the contender in the namespace of the web server. It ends with the namespace. */
  readonly guard: (web: Namespace) => Promise<Service | undefined>
}

interface Mode {
  readonly name: string
  /** The share of requests a second that must remain. */
  readonly mark: number
  /** Arguments of wrk. */
  readonly words: readonly string[]
}

interface Figures {
  readonly requestsPerSecond: number
  /** CPU time of the service, as a share of one core. */
  readonly cpu: number
}

const [rounds = 5, seconds = 3] = process.argv.slice(2).map(Number)
const WARM_UP = 1
const WEB = '198.18.0.1'
const CLIENT = '198.18.0.2'
const folder = mkdtempSync(join(tmpdir(), 'checkvalve-bench-'))
// The workers of nginx run as another user.
chmodSync(folder, 0o755)

const MODES: readonly Mode[] = [
  { name: 'keep-alive', mark: 0.98, words: [] },
  { name: 'a connection a request', mark: 0.95, words: ['--header', 'Connection: close'] },
]

const CONTENDERS: readonly Contender[] = [
  { name: 'nothing', guard: async () => undefined },
  { name: 'conntrack alone', guard: trackConnections },
  { name: 'checkvalve', guard: (web) => Service.start(web, SETTINGS) },
]

const RULES = `table inet own {
  chain in { type filter hook output priority filter; ct state established accept; }
}
`

const SETTINGS = `mode: enforce
infrastructure: { dns: [192.0.2.53], ntp: [192.0.2.123] }
allow:
  - { name: payments, to: [203.0.113.0/24], ports: [443], users: [www-data] }
  - { name: backup, to: [198.51.100.7], ports: [22], users: [root] }
`

/** The configuration of nginx. As in Debian's own, each request reads a file, and writes a line to a log. */
const NGINX = `daemon off;
worker_processes auto;
pid ${folder}/nginx.pid;
error_log stderr;
events { worker_connections 1024; }
http {
  sendfile on;
  tcp_nopush on;
  access_log ${folder}/access.log;
  keepalive_requests 1000000000;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  server {
    listen 80;
    root ${folder}/html;
  }
}
`
/** The bytes of the page: few, so that the cost of connections matters. */
const PAGE = 8 * 1024

async function trackConnections(web: Namespace): Promise<undefined> {
  await web.run(['nft', '--file', '-'], { input: RULES })
}

/**
 * Connects the namespaces, and sets up the kernel for thousands of connections a second: with enough ports,
 * and a short memory for closed connections.
 */
async function connect(web: Namespace, client: Namespace): Promise<void> {
  await link(web, 'to-client', client, 'to-web')
  await web.address('to-client', `${WEB}/24`)
  await client.address('to-web', `${CLIENT}/24`)
  await web.route(`default via ${CLIENT}`)
  await web.sysctl('net.netfilter.nf_conntrack_tcp_timeout_time_wait', 1)
  await client.sysctl('net.ipv4.ip_local_port_range', '1024 65535')
  await client.sysctl('net.ipv4.tcp_tw_reuse', 1)
}

async function serve(web: Namespace): Promise<void> {
  const config = join(folder, 'nginx.conf')
  writeFileSync(config, NGINX)
  mkdirSync(join(folder, 'html'), { recursive: true })
  writeFileSync(join(folder, 'html', 'index.html'), 'It works. '.repeat(PAGE / 10))
  const nginx = web.spawn(['nginx', '-c', config])
  await eventually('nginx serves', async () => {
    if (!nginx.running) throw new Error(`nginx ended: ${nginx.stderr}`)
    return existsSync(join(folder, 'nginx.pid'))
  })
}

/** Runs wrk. @returns requests a second */
async function load(client: Namespace, { words }: Mode, duration: number): Promise<number> {
  const argv = ['wrk', '--threads', '1', '--connections', '32', '--duration', `${duration}s`, ...words]
  const { stdout } = await client.run([...argv, `http://${WEB}/`], { timeout: duration * 1000 + 30_000 })
  const [, requests] = /^Requests\/sec: +([\d.]+)$/m.exec(stdout) ?? []
  if (requests === undefined || /Socket errors|Non-2xx/.test(stdout))
    throw new Error(`requests failed: ${stdout}`)
  return Number(requests)
}

/**
 * Runs a contender in namespaces of its own, so that nothing is left of the contender before, above all no
 * connections.
 */
async function measure({ guard }: Contender, mode: Mode): Promise<Figures> {
  await using web = await Namespace.create('web')
  await using client = await Namespace.create('client')
  await connect(web, client)
  await serve(web)
  const service = await guard(web)
  const cpuUsed = () => (service === undefined ? 0 : cpuSeconds(service.program.pid))
  try {
    await load(client, mode, WARM_UP)
    const before = { cpu: cpuUsed(), time: performance.now() }
    const requestsPerSecond = await load(client, mode, seconds)
    const elapsed = (performance.now() - before.time) / 1000
    return { requestsPerSecond, cpu: (cpuUsed() - before.cpu) / elapsed }
  } finally {
    await service?.stop()
    await service?.remove()
  }
}

async function compare(mode: Mode): Promise<void> {
  const figures: Figures[][] = CONTENDERS.map(() => [])
  for (let round = 0; round < rounds; round++) {
    const order = [...CONTENDERS.entries()]
    if (round % 2 === 1) order.reverse()
    for (const [index, contender] of order) figures[index]!.push(await measure(contender, mode))
  }
  report(mode, figures)
}

function report({ name, mark }: Mode, figures: readonly Figures[][]): void {
  const of = (index: number, key: keyof Figures) => median(figures[index]!.map((figure) => figure[key]))
  const ratio = (index: number, base: number) =>
    median(
      figures[index]!.map(
        (figure, round) => figure.requestsPerSecond / figures[base]![round]!.requestsPerSecond,
      ),
    )
  console.log(`${name} (mark: x${mark.toFixed(2)} of ${CONTENDERS[0]!.name})`)
  for (const [index, contender] of CONTENDERS.entries()) {
    const ratios = CONTENDERS.slice(0, index).map(
      (base, at) => `x${ratio(index, at).toFixed(3)} of ${base.name}`,
    )
    const requests = of(index, 'requestsPerSecond').toFixed(0).padStart(8)
    const cpu =
      contender.name === 'checkvalve' ? `; its CPU: ${(of(index, 'cpu') * 100).toFixed(1)}% of a core` : ''
    console.log(`  ${contender.name.padEnd(16)}${requests} requests/s  ${ratios.join(', ')}${cpu}`.trimEnd())
  }
}

try {
  for (const mode of MODES) await compare(mode)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
