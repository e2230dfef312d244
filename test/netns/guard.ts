/** The service, running in a namespace of the lab with files of its own. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { type Arrivals, countArrivals } from '../lab/arrivals.js'
import type { Result } from '../lab/command.js'
import type { Namespace } from '../lab/namespace.js'
import type { Program } from '../lab/program.js'
import { createTopology, MIRROR, NEIGHBOURS, type Topology } from '../lab/topology.js'
import { serveHttp, type WormPlan } from '../lab/traffic.js'

const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url))
const ORIGIN = 'http://127.0.0.1:17671'
const PATIENCE_MS = 8000

/** The mirror's addresses, and nothing else. */
export const MIRRORS = `mirrors: { hosts: [${MIRROR.v4}, "${MIRROR.v6}"], ports: [80] }\n`

/** What spreads: to a few neighbours, by all of TCP, UDP, IPv4 and IPv6. */
export const WORM: WormPlan = {
  targets: [...NEIGHBOURS.v4.slice(0, 10), ...NEIGHBOURS.v6.slice(0, 10)],
  tcpPorts: [80, 443, 4444],
  udpPorts: [53, 443, 4444],
  timeout: 500,
  concurrency: 10,
}

/** What every test takes for granted; the configuration of the test itself is added to it. */
const base = (folder: string) => `mode: enforce
mirrors: { discover: false }
log: { destination: ${folder}/blocks.json }
state: { directory: ${folder}/state }
control: { socket: ${folder}/control.sock }
`

export interface Sample {
  readonly name: string
  readonly labels: string
  readonly value: number
}

export interface GuardOptions {
  readonly env?: NodeJS.ProcessEnv
  /** Words in front of the command: `setpriv ...`. */
  readonly through?: readonly string[]
}

/** The files of a service: they outlive it, so that another one can start where it ended. */
export class Site {
  readonly folder = mkdtempSync(join(tmpdir(), 'checkvalve-'))
  readonly #own = join(this.folder, 'conf.d/test.yaml')

  /** @param config YAML, added to the settings of all tests */
  constructor(config: string) {
    mkdirSync(join(this.folder, 'conf.d'))
    writeFileSync(join(this.folder, 'checkvalve.yaml'), base(this.folder))
    this.configure(config)
  }

  configure(config: string): void {
    writeFileSync(this.#own, config)
  }

  /** The arguments that start the service. */
  argv(through: readonly string[] = []): string[] {
    // A test runner follows its children by NODE_OPTIONS: the service must not be slowed by that.
    const node = ['env', '-u', 'NODE_OPTIONS', process.execPath]
    return [...through, ...node, MAIN, 'run', '--config', join(this.folder, 'checkvalve.yaml')]
  }

  /** The lines of the block log so far. */
  blocks(): Record<string, unknown>[] {
    const text = readFileSync(join(this.folder, 'blocks.json'), 'utf8').trim()
    return text === '' ? [] : text.split('\n').map((line) => JSON.parse(line) as Record<string, unknown>)
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** A running service. */
export class Guard {
  private constructor(
    readonly namespace: Namespace,
    readonly site: Site,
    readonly program: Program,
  ) {}

  /** Starts the service and waits until it is ready. */
  static async start(namespace: Namespace, site: Site, options: GuardOptions = {}): Promise<Guard> {
    const program = namespace.spawn(site.argv(options.through), { env: options.env ?? {} })
    const guard = new Guard(namespace, site, program)
    // It says so only after /readyz does.
    await program.until(() => program.stderr.includes('metrics http://') || undefined, PATIENCE_MS)
    const { status, body } = await guard.http('/readyz')
    if (status !== 200) throw new Error(`it is not ready: ${body}\n${program.stderr}`)
    return guard
  }

  /** Starts a service that is expected to end by itself. */
  static failing(namespace: Namespace, site: Site, options: GuardOptions = {}): Promise<Result> {
    const env = options.env ?? {}
    return namespace.run(site.argv(options.through), { env, allowFailure: true, timeout: PATIENCE_MS })
  }

  /** What the service says on standard error, by line. */
  get said(): string {
    return this.program.stderr
  }

  http(path: string, method = 'GET'): Promise<HttpAnswer> {
    return httpIn(this.namespace, `${ORIGIN}${path}`, method)
  }

  async metrics(): Promise<Sample[]> {
    const { body } = await this.http('/metrics')
    return body.split('\n').flatMap((line) => {
      const [, name, labels = '', value] = /^checkvalve_(\w+)(?:{(.*)})? (\S+)$/.exec(line) ?? []
      return name === undefined ? [] : [{ name, labels, value: Number(value) }]
    })
  }

  /** The sum of a metric's samples whose labels contain all of `labels`: `metric('packets_total', 'verdict="block"')`. */
  async metric(name: string, ...labels: string[]): Promise<number> {
    const samples = await this.metrics()
    return samples
      .filter((sample) => sample.name === name && labels.every((label) => sample.labels.includes(label)))
      .reduce((sum, { value }) => sum + value, 0)
  }

  /** Gives the service another configuration, and waits for its word on it. */
  async reload(config: string): Promise<void> {
    const before = this.said.length
    this.site.configure(config)
    this.program.kill('SIGHUP')
    const word = /configuration taken|reload (refused|failed)/
    await this.program.until(() => word.test(this.said.slice(before)) || undefined, PATIENCE_MS)
  }

  /** Waits until the service has said something. */
  async says(text: string): Promise<void> {
    await this.program.until(() => this.said.includes(text) || undefined, PATIENCE_MS)
  }

  async kill(): Promise<void> {
    this.program.kill('SIGKILL')
    await this.program.exited
  }

  /** @returns its exit status */
  stop(): Promise<number> {
    return this.program.stop()
  }
}

interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const FETCH = `const [url, method] = process.argv.slice(1)
fetch(url, { method }).then(async (response) => console.log(JSON.stringify({
  status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() })))`

async function httpIn(namespace: Namespace, url: string, method: string): Promise<HttpAnswer> {
  const node = ['env', '-u', 'NODE_OPTIONS', process.execPath]
  const { stdout } = await namespace.run([...node, '-e', FETCH, url, method])
  return JSON.parse(stdout) as HttpAnswer
}

export interface Lab extends Topology {
  /** What has reached the victims from web so far. */
  readonly arrivals: () => Promise<Arrivals>
  /** The files of a service in this lab. */
  readonly site: (config: string) => Site
}

/** The network of all these tests: web and mirror serve port 80, web asks no resolver. It ends with the test. */
export async function createLab(t: Test): Promise<Lab> {
  const lab = await createTopology()
  const sites: Site[] = []
  t.teardown(async () => {
    await lab.close()
    for (const site of sites) site.remove()
  })
  await lab.web.file('/etc/resolv.conf', '')
  await Promise.all([serveHttp(lab.web, 80), serveHttp(lab.mirror, 80)])
  const arrivals = await countArrivals(lab.victims, 'to-web')
  const site = (config: string) => {
    const made = new Site(config)
    sites.push(made)
    return made
  }
  return { ...lab, arrivals, site }
}

/** All firewall rules of a namespace: of nftables, and with them of xtables. Counters are left out. */
export async function rules(namespace: Namespace): Promise<string> {
  const { stdout } = await namespace.run(['nft', '-s', 'list', 'ruleset'])
  return stdout
}

/** Waits until a condition holds, asking again every 50 ms. @returns whether it did in time */
export async function eventually(condition: () => boolean | Promise<boolean>, ms: number): Promise<boolean> {
  for (const end = Date.now() + ms; Date.now() < end; await sleep(50)) if (await condition()) return true
  return condition()
}
