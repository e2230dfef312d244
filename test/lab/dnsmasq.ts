/**
 * Serves names in the lab by dnsmasq, or by a server with new addresses in each answer, and looks names up.
 */

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
  /** A name may have hundreds of addresses. Its answer does not fit into a datagram, and is sent over TCP. */
  readonly records: Records
  /** The TTL of every answer, in seconds. */
  readonly ttl: number
  /** The target of each alias, which must be in `records`. */
  readonly cnames?: Readonly<Record<string, string>>
  /** `{ '_http._tcp.mirror.example.org': { target: 'one.example.org', port: 80 } }` */
  readonly srv?: Readonly<Record<string, { readonly target: string; readonly port: number }>>
  /** The addresses of all names at and below each name. */
  readonly wildcards?: Records
}

/** A query that dnsmasq has logged. */
export interface Question {
  readonly name: string
  /** `A`, `AAAA`, `SRV` ...; `type=65` when dnsmasq has no name for it. */
  readonly type: string
  readonly from: string
  readonly transport: 'udp' | 'tcp'
}

/** The file of records, in the namespace's own /run. */
const HOSTS = '/run/dnsmasq/hosts'

/**
 * Arguments that are always the same. `--group=` is empty because a user namespace with one user has no other
 * group. `--no-daemon` is not used: with it dnsmasq serves one TCP client at a time, and others wait.
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

/** A running dnsmasq, on port 53 of all addresses of its namespace, UDP and TCP. */
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

  /** Replaces the records; other options stay. */
  async change(records: Records): Promise<void> {
    const before = this.#reads()
    await this.namespace.file(HOSTS, hostsOf(records))
    this.program.kill('SIGHUP')
    await this.#hasRead(before + 1)
  }

  /** Returns the names in the queries, in the order of arrival; of one type only when it is given. */
  queries(type?: string): string[] {
    return this.questions()
      .filter((question) => type === undefined || question.type === type)
      .map((question) => question.name)
  }

  /** Returns all queries that arrived. Each TCP connection has a child process of its own. */
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

/** Starts dnsmasq in a namespace, and waits until it answers. */
export const serveDnsmasq = (namespace: Namespace, options: DnsmasqOptions) =>
  Dnsmasq.start(namespace, options)

/** Returns the records as a hosts file. dnsmasq rotates the addresses of a name in its answers. */
function hostsOf(records: Records): string {
  return Object.entries(records)
    .flatMap(([name, addresses]) => addresses.map((address) => `${address} ${name}\n`))
    .join('')
}

/**
 * Returns the arguments for options. With `--local` an unknown name does not exist; without it dnsmasq
 * refuses the query, and also one for the AAAA of a name that has only A.
 */
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
  /** The TTL in seconds; 30 when absent. */
  readonly ttl?: number
  /** The name to which each name is an alias; no alias when absent. */
  readonly cname?: string
}

/**
 * Starts a name server on port 53 that answers for all names below `zone`, each time with a new address. Its
 * queries are in `results` of the program, see `FreshQuery`.
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

/** Looks names up and connects to each address found. See `LookupPlan`. */
export async function lookUp(from: Namespace, plan: LookupPlan, user?: string): Promise<LookupReport> {
  const as: SpawnOptions = user === undefined ? {} : { user }
  const program = from.spawn(command('lookups', [JSON.stringify(plan)]), as)
  const report = await program.result('asked', 10 * PATIENCE_MS)
  // After a timeout the C library may still be looking up, and Node would not end before it.
  program.kill('SIGKILL')
  return report as unknown as LookupReport
}
