/** Runs the service in a namespace of the lab, with a configuration given as text. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Result } from '../lab/command.js'
import type { Namespace } from '../lab/namespace.js'
import type { Program } from '../lab/program.js'

export { eventually, inTime, PATIENCE_MS, pause } from '../lab/waiting.js'

import { eventually } from '../lab/waiting.js'

const MAIN = fileURLToPath(new URL('../../bin/checkvalve.js', import.meta.url))
export const LISTEN = 'http://127.0.0.1:17671'

interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** FETCH HOST PORT METHOD PATH: prints the answer of an HTTP server. Bash starts faster than Node. */
const FETCH = `exec 3<> "/dev/tcp/$1/$2" && printf '%s %s HTTP/1.0\\r\\nHost: %s\\r\\n\\r\\n' "$3" "$4" "$1" >&3 && cat <&3`

function answerOf(message: string): HttpAnswer {
  const [head = '', ...body] = message.split('\r\n\r\n')
  const [status = '', ...fields] = head.split('\r\n')
  const headers = fields.map((field) => /^([^:]+): *(.*)$/.exec(field)!.slice(1) as [string, string])
  return {
    status: Number(status.split(' ')[1]),
    headers: Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value])),
    body: body.join('\r\n\r\n'),
  }
}

/**
 * The command that starts Node in a namespace. With NODE_OPTIONS it would load the test runner, and be slow.
 */
export const NODE = ['env', '-u', 'NODE_OPTIONS', process.execPath] as const

/** Returns all firewall rules of a namespace, those of xtables among them, without their counters. */
export async function rulesOf(place: Namespace): Promise<string> {
  return (await place.run(['nft', '-s', 'list', 'ruleset'])).stdout
}

/** Returns the packets of a counter, in the service's table if not given. The kernel counts on when the service is dead. */
export async function kernelCount(place: Namespace, name: string, table = 'checkvalve'): Promise<number> {
  const { stdout } = await place.run(['nft', '-j', 'list', 'counter', 'inet', table, name])
  const { nftables } = JSON.parse(stdout) as { nftables: { counter?: { packets: number } }[] }
  return nftables.flatMap(({ counter }) => counter?.packets ?? [])[0]!
}

/**
 * Returns how many TCP segments the kernel has sent again: when a verdict takes a second, an attempt to
 * connect is two packets.
 */
export async function segmentsRepeated(place: Namespace): Promise<number> {
  const { stdout } = await place.run(['grep', '^Tcp:', '/proc/net/snmp'])
  const [names, values] = stdout.split('\n').map((line) => line.split(' '))
  return Number(values![names!.indexOf('RetransSegs')])
}

/** Adds rules of the host itself in xtables, in all chains where the service may add rules. */
export async function giveOwnRules(place: Namespace): Promise<void> {
  for (const program of ['iptables', 'ip6tables'])
    for (const chain of ['filter OUTPUT', 'mangle PREROUTING']) {
      const [table, name] = chain.split(' ') as [string, string]
      await place.run([program, '-t', table, '-A', name, '-p', 'tcp', '--dport', '25', '-j', 'DROP'])
    }
}

/** Returns the sum of the samples on a page of metrics whose labels contain all of `labels`. */
const sumOf = (page: string, name: string, labels: readonly string[]) =>
  page
    .split('\n')
    .filter(
      (line) =>
        line.match(/^\w+/)?.[0] === `checkvalve_${name}` && labels.every((label) => line.includes(label)),
    )
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)

const overrides = (set: readonly string[]) => set.flatMap((each) => ['--set', each])

/** A service in a namespace, with files in a temporary folder. */
export class Service {
  readonly folder = mkdtempSync(join(tmpdir(), 'checkvalve-test-'))
  /** The process; undefined until `begin`. */
  program!: Program
  /** The words in front of the command: `setpriv ...`. */
  through: readonly string[] = []

  private constructor(readonly place: Namespace) {}

  /** Starts a service, and waits until it is ready. @param settings YAML; log, state and control are added */
  static async start(place: Namespace, settings: string): Promise<Service> {
    const service = Service.prepare(place, settings)
    await service.launch()
    return service
  }

  /** Writes the files of a service, and does not start it. */
  static prepare(place: Namespace, settings: string): Service {
    const service = new Service(place)
    service.configure(settings)
    return service
  }

  get config(): string {
    return join(this.folder, 'checkvalve.yaml')
  }

  configure(settings: string): void {
    const own = `log: { destination: ${this.folder}/blocks.json }
state: { directory: ${this.folder}/state }
control: { socket: ${this.folder}/control.sock }
`
    writeFileSync(this.config, settings + own)
  }

  /** Starts the service, and does not wait. @param set overrides, `key=value` */
  begin(...set: string[]): Program {
    this.program = this.place.spawn([...this.through, ...this.argv(), ...overrides(set)])
    return this.program
  }

  /** Starts the service, and waits until it logs that it is ready. */
  async launch(...set: string[]): Promise<void> {
    this.begin(...set)
    await this.program.until(() => / mode \w+, queue \d/.test(this.program.stderr) || undefined)
  }

  /**
   * Runs a service that is expected to end by itself.
   * @param through words in front of the command: `setpriv ...` @param set overrides, `key=value`
   */
  fail(through: readonly string[] = [], ...set: string[]): Promise<Result> {
    const argv = [...through, ...this.argv(), ...overrides(set)]
    return this.place.run(argv, { allowFailure: true })
  }

  async http(path: string, method = 'GET'): Promise<HttpAnswer> {
    const { hostname, port } = new URL(LISTEN)
    const argv = ['bash', '-c', FETCH, 'fetch', hostname, port, method, path]
    return answerOf((await this.place.run(argv)).stdout)
  }

  /** Reloads the service with new settings (SIGHUP), and waits until they are in force or refused. */
  async reload(settings: string): Promise<void> {
    this.configure(settings)
    const before = this.answers()
    this.program.kill('SIGHUP')
    await eventually('the reload is logged', async () => this.answers() > before)
  }

  async kill(): Promise<void> {
    this.program.kill('SIGKILL')
    await this.program.exited
  }

  async stop(): Promise<number> {
    this.program.kill('SIGTERM')
    return this.program.exited
  }

  /** Returns the page of metrics. A busy service may not answer in time: then the request is repeated. */
  async metrics(): Promise<string> {
    let page = ''
    await eventually('metrics are served', async () => {
      const { status, body } = await this.http('/metrics')
      page = body
      return status === 200
    })
    return page
  }

  /** Returns the sum of the samples of a metric whose labels contain all of `labels`. */
  async metric(name: string, ...labels: string[]): Promise<number> {
    return sumOf(await this.metrics(), name, labels)
  }

  /**
   * Returns the number of blocked packets, without those of the canary, which come at times of their own. Without labels
   * those are among them that the kernel has refused again by itself.
   */
  async blocks(...labels: string[]): Promise<number> {
    const page = await this.metrics()
    const all = ['verdict="block"', ...labels]
    const repeated = labels.length === 0 ? sumOf(page, 'kernel_packets_total', ['path="repeated"']) : 0
    return (
      repeated + sumOf(page, 'packets_total', all) - sumOf(page, 'packets_total', [...all, 'reason="canary"'])
    )
  }

  /** Returns the lines of the block log so far that count blocks. */
  log(): Record<string, unknown>[] {
    return this.lines().filter((line) => line['event.kind'] !== 'alert')
  }

  /** Returns all lines of the block log so far. */
  lines(): Record<string, unknown>[] {
    const lines = readFileSync(join(this.folder, 'blocks.json'), 'utf8').split('\n').filter(Boolean)
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  }

  /** Kills the service if it runs, so that it writes no more, and then removes its files. */
  async remove(): Promise<void> {
    if ((this.program as Program | undefined)?.running) await this.kill()
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }

  /** The folder that stands for `/` when the service reads the files of package managers. */
  get root(): string {
    return join(this.folder, 'root')
  }

  /** Runs a command of the program with the configuration of this service. */
  command(...words: string[]): Promise<Result> {
    return this.place.run(this.argv(...words), { allowFailure: true })
  }

  /** Runs a command like `command`, as another user. */
  commandAs(user: string, ...words: string[]): Promise<Result> {
    return this.place.run(this.argv(...words), { allowFailure: true, user })
  }

  /**
   * Runs a command without `--config`, so that it asks the running service; it finds the configuration by its
   * environment.
   */
  ask(...words: string[]): Promise<Result> {
    const env = { CHECKVALVE_CONFIG: this.config }
    return this.place.run([...NODE, MAIN, ...words], { allowFailure: true, env })
  }

  /** Returns the command line of a command of the program with the configuration of this service. */
  argv(...words: string[]): string[] {
    const command = words.length === 0 ? ['run'] : words
    return [...NODE, MAIN, ...command, '--config', this.config, '--set', `mirrors.root=${this.root}`]
  }

  private answers(): number {
    return this.program.stderr.split(/configuration taken|reload refused/).length
  }
}
