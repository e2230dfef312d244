/** Names on the lab's network: dnsmasq, a server whose answers are always new, and a program that asks. */

import type { Namespace, SpawnOptions } from './namespace.js'
import type { Program } from './program.js'
import type { FreshQuery } from './programs/fresh-dns.js'
import type { LookupPlan, LookupReport } from './programs/lookups.js'
import { command } from './traffic.js'
import { PATIENCE_MS } from './waiting.js'

export type { FreshQuery, LookupPlan, LookupReport }

/** The addresses of each name, IPv4 and IPv6. */
export type Records = Readonly<Record<string, readonly string[]>>

export interface DnsmasqOptions {
  /** A name may have hundreds of addresses: then its answer fits into no datagram, and is asked for over TCP. */
  readonly records: Records
  /** Seconds, of every answer. */
  readonly ttl: number
  /** Target by alias. The target must be in `records`. */
  readonly cnames?: Readonly<Record<string, string>>
  /** `{ '_http._tcp.mirror.example.org': { target: 'one.example.org', port: 80 } }` */
  readonly srv?: Readonly<Record<string, { readonly target: string; readonly port: number }>>
  /** The addresses of all names at and below each name. */
  readonly wildcards?: Records
}

export interface Question {
  readonly name: string
  /** `A`, `AAAA`, `SRV` ...; `type=65` when dnsmasq has no name for it. */
  readonly type: string
  readonly from: string
  readonly transport: 'udp' | 'tcp'
}

/** In the namespace's own /run. */
const HOSTS = '/run/dnsmasq/hosts'

/**
 * `--group=` with nothing: in a user namespace with one user there is no other group to become. Not
 * `--no-daemon`: that serves one TCP client at a time, and everybody else waits until it hangs up.
 */
const FIXED = [
  '--keep-in-foreground',
  '--conf-file=',
  '--pid-file=',
  '--user=root',
  '--group=',
  '--no-resolv',
  '--no-hosts',
  `--addn-hosts=${HOSTS}`,
  '--log-queries',
  '--log-facility=-',
]

/** dnsmasq that runs, on port 53 of all addresses of its namespace, UDP and TCP. */
export class Dnsmasq {
  private constructor(
    readonly namespace: Namespace,
    readonly program: Program,
  ) {}

  static async start(namespace: Namespace, options: DnsmasqOptions): Promise<Dnsmasq> {
    await namespace.file(HOSTS, hostsOf(options.records))
    const dnsmasq = new Dnsmasq(namespace, namespace.spawn(['dnsmasq', ...FIXED, ...argumentsOf(options)]))
    await dnsmasq.#hasRead(1)
    return dnsmasq
  }

  /** Gives other records from now on; all else stays. */
  async change(records: Records): Promise<void> {
    const before = this.#reads()
    await this.namespace.file(HOSTS, hostsOf(records))
    this.program.kill('SIGHUP')
    await this.#hasRead(before + 1)
  }

  /** The names asked for, in the order of their arrival; of one type only, when it is given. */
  queries(type?: string): string[] {
    return this.questions()
      .filter((question) => type === undefined || question.type === type)
      .map((question) => question.name)
  }

  /** All questions that arrived. TCP is served by a child of its own for each connection. */
  questions(): Question[] {
    const lines = this.program.stderr.matchAll(/^dnsmasq\[(\d+)\]: query\[([^\]]+)\] (\S+) from (\S+)$/gm)
    return [...lines].map(([, pid, type, name, from]) => ({
      name: name!.toLowerCase(),
      type: type!,
      from: from!,
      transport: Number(pid) === this.program.pid ? 'udp' : 'tcp',
    }))
  }

  stop(): Promise<number> {
    return this.program.stop()
  }

  #reads(): number {
    return this.program.stderr.split(`: read ${HOSTS} - `).length - 1
  }

  #hasRead(times: number): Promise<true> {
    return this.program.until(() => this.#reads() >= times || undefined)
  }
}

/** Starts dnsmasq in a namespace; resolves when it answers. */
export const serveDnsmasq = (namespace: Namespace, options: DnsmasqOptions) =>
  Dnsmasq.start(namespace, options)

/** Its answers to a name with several addresses start with another one each time. */
function hostsOf(records: Records): string {
  return Object.entries(records)
    .flatMap(([name, addresses]) => addresses.map((address) => `${address} ${name}\n`))
    .join('')
}

/** `local`: what is not known does not exist. Without it dnsmasq refuses such a question, a AAAA of a name with A, too. */
function argumentsOf({ ttl, cnames = {}, srv = {}, wildcards = {} }: DnsmasqOptions): string[] {
  return [
    `--local-ttl=${ttl}`,
    '--local=/#/',
    ...Object.entries(cnames).map(([alias, target]) => `--cname=${alias},${target}`),
    ...Object.entries(srv).map(([name, { target, port }]) => `--srv-host=${name},${target},${port}`),
    ...Object.keys(wildcards).map((name) => `--local=/${name}/`),
    ...Object.entries(wildcards).flatMap(([name, addresses]) =>
      addresses.map((address) => `--address=/${name}/${address}`),
    ),
  ]
}

export interface FreshOptions {
  /** Seconds; 30 when absent. */
  readonly ttl?: number
  /** A name that every question is first sent on to. */
  readonly cname?: string
}

/**
 * A name server on port 53 that answers for all names below `zone`, each time with an address that it has never
 * given before. Its questions are in `results` of the program, see `FreshQuery`.
 */
export async function serveFreshDns(
  namespace: Namespace,
  zone: string,
  { ttl = 30, cname }: FreshOptions = {},
): Promise<Program> {
  const server = namespace.spawn(command('fresh-dns', [zone, ttl, ...(cname === undefined ? [] : [cname])]))
  await server.result('listening')
  return server
}

/** Looks a name up, again and again, and connects to what comes. See `LookupPlan`. */
export async function lookUp(from: Namespace, plan: LookupPlan, user?: string): Promise<LookupReport> {
  const as: SpawnOptions = user === undefined ? {} : { user }
  const program = from.spawn(command('lookups', [JSON.stringify(plan)]), as)
  const report = await program.result('asked', 10 * PATIENCE_MS)
  // A look-up that was given up may still be under way in the C library, which the end of Node would wait for.
  program.kill('SIGKILL')
  return report as unknown as LookupReport
}
