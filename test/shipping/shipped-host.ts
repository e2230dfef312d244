/** A guarded host with its log where the files of shipping/ expect it, and the host that collects the log. */
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Namespace } from '../lab/namespace.js'
import { createTopology, MIRROR, type Topology, VICTIM } from '../lab/topology.js'
import { connect, serveDns } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { eventually, Service } from '../netns/service.js'

export const LOG = '/var/log/checkvalve/blocks.json'
/** The name of the collector in the files of shipping/. */
const COLLECTOR = 'logs.example.org'

/** Settings by which no packet but those of the tests is blocked, and no line but those of blocks is written. */
const QUIET = `mode: enforce
infrastructure: { dns: [${MIRROR.v4}], ntp: [] }
mirrors: { discover: false }
canary: { interval: 1h }
containment: { destinations: 100000 }
`
const infected = canSwitchUsers() ? { user: 'www-data' } : {}

export class ShippedHost {
  readonly #lab: Topology
  readonly service: Service
  #port = 1000

  private constructor(lab: Topology, service: Service) {
    this.#lab = lab
    this.service = service
  }

  /** Makes both hosts. The service is not started yet. @param allow the entries of the allowlist, in YAML */
  static async create(t: Test, allow = '[]'): Promise<ShippedHost> {
    const lab = await createTopology()
    const service = Service.prepare(lab.web, `${QUIET}allow: ${allow}\n`)
    t.teardown(async () => {
      await lab.close()
      await service.remove()
    })
    await serveDns(lab.mirror, { [COLLECTOR]: { ttl: 60, A: [MIRROR.v4] } })
    await lab.web.file('/etc/resolv.conf', `nameserver ${MIRROR.v4}\n`)
    const host = new ShippedHost(lab, service)
    await host.#put(lab.web, 'log', '/var/log/checkvalve')
    await host.#put(lab.mirror, 'collected', '/var/log/checkvalve-hosts')
    return host
  }

  get web(): Namespace {
    return this.#lab.web
  }

  get collector(): Namespace {
    return this.#lab.mirror
  }

  path(name: string): string {
    return join(this.service.folder, name)
  }

  start(): Promise<void> {
    return this.service.launch(`log.destination=${LOG}`)
  }

  /** Blocks `count` connections, each to another port, and waits until the log has their lines. */
  async block(count: number): Promise<void> {
    const before = this.written().length
    for (let i = 0; i < count; i++) await connect(this.web, VICTIM.v4, this.#port++, infected)
    await eventually('the log has the blocks', async () => this.written().length === before + count)
  }

  /** Writes lines into the log as the service does. */
  append(...lines: readonly string[]): void {
    appendFileSync(this.path('log/blocks.json'), lines.join(''))
  }

  /** Rotates the log as logrotate does. @param isSignalled whether the service is told */
  async rotate(isSignalled = true): Promise<void> {
    const path = this.path('log/blocks.json')
    for (let n = this.#rotated().length; n > 0; n--) renameSync(`${path}.${n}`, `${path}.${n + 1}`)
    renameSync(path, `${path}.1`)
    if (!isSignalled) return
    this.service.program.kill('SIGUSR2')
    await eventually('the log is there again', async () => existsSync(path))
  }

  /** Returns all lines of the log, those of rotated files first. */
  written(): string[] {
    const numbers = this.#rotated().sort((a, b) => b - a)
    const files = [...numbers.map((n) => `log/blocks.json.${n}`), 'log/blocks.json']
    return files.flatMap((name) => this.lines(name))
  }

  /** Returns the lines of a file; none when it does not exist. */
  lines(name: string): string[] {
    const path = this.path(name)
    return existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : []
  }

  #rotated(): number[] {
    const names = readdirSync(this.path('log'))
    return names.flatMap((name) => /^blocks\.json\.(\d+)$/.exec(name)?.[1] ?? []).map(Number)
  }

  /** Mounts a folder of the test where programs of a namespace look for it. */
  async #put(place: Namespace, name: string, target: string): Promise<void> {
    mkdirSync(this.path(name))
    const script = 'mount -t tmpfs log /var/log; mkdir "$2"; mount --bind "$1" "$2"'
    await place.run(['sh', '-ec', script, 'put', this.path(name), target])
  }
}
