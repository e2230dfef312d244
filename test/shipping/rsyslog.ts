/** Runs Debian's rsyslog in a namespace, with a file of shipping/. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { Namespace } from '../lab/namespace.js'
import type { Program } from '../lab/program.js'
import { eventually, PATIENCE_MS } from '../lab/waiting.js'
import type { ShippedHost } from './shipped-host.js'

export interface RsyslogOptions {
  /** The name of the host, for its files and in headers. */
  readonly name: string
  /** The configuration, a file of shipping/ or a change of one. */
  readonly config: string
  /** Words in front of the command: `setpriv ...` */
  readonly through?: readonly string[]
}

export const sample = (name: string) => readFileSync(`shipping/${name}`, 'utf8')

export class Rsyslog {
  readonly #host: ShippedHost
  readonly #place: Namespace
  readonly #options: RsyslogOptions
  #program: Program | undefined

  constructor(host: ShippedHost, place: Namespace, options: RsyslogOptions) {
    this.#host = host
    this.#place = place
    this.#options = options
    const { name, config } = options
    const spool = this.#path('spool')
    mkdirSync(spool)
    // What a distribution's own rsyslog.conf does; the messages of rsyslog itself go to a file.
    const main = `global(workDirectory="${spool}" localHostname="${name}" processInternalMessages="on")
include(file="${this.#path('sample')}")
action(type="omfile" file="${spool}/messages")
`
    writeFileSync(this.#path('sample'), config)
    writeFileSync(this.#path('conf'), main)
  }

  /** The folder of state files and queues. */
  get spool(): string {
    return this.#path('spool')
  }

  /** Returns the text of the files of its queue. */
  queue(): string {
    const names = readdirSync(this.spool).filter((name) => /^checkvalve\.\d+$/.test(name))
    return names.map((name) => readFileSync(`${this.spool}/${name}`, 'utf8')).join('')
  }

  /** The messages of rsyslog itself. */
  get messages(): string {
    return this.#host.lines(`${this.#options.name}.spool/messages`).join('\n')
  }

  /** Checks the configuration. @returns what rsyslog says about it */
  async check(): Promise<string> {
    const argv = ['rsyslogd', '-N1', '-f', this.#path('conf')]
    const { status, stderr } = await this.#place.run(argv, { allowFailure: true })
    return `${status} ${stderr}`
  }

  /** Starts it, and waits until it says so. */
  async start(): Promise<void> {
    const starts = () => this.messages.match(/\] start$/gm)?.length ?? 0
    const before = starts()
    const { through = [] } = this.#options
    const argv = ['rsyslogd', '-n', '-f', this.#path('conf'), '-iNONE']
    this.#program = this.#place.spawn([...through, ...argv])
    await eventually('rsyslog has started', async () => starts() > before)
  }

  /** Ends it as systemd does. */
  async stop(): Promise<void> {
    await this.#program?.stop(PATIENCE_MS)
  }

  async kill(): Promise<void> {
    this.#program?.kill('SIGKILL')
    await this.#program?.exited
  }

  #path(what: string): string {
    return this.#host.path(`${this.#options.name}.${what}`)
  }
}
