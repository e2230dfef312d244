/** Starts the programs of programs/ in a namespace. They need only Node. */

import { fileURLToPath } from 'node:url'
import type { Namespace, SpawnOptions } from './namespace.js'
import type { Program } from './program.js'
import type { ConnectResult } from './programs/call.js'
import type { Call, Calls } from './programs/caller.js'
import type { Zone } from './programs/dns-server.js'
import type { UploadResult } from './programs/http-upload.js'
import type { HttpResult } from './programs/page.js'
import type { UdpResult } from './programs/shots.js'
import type { WormPlan, WormReport } from './programs/worm.js'
import { PATIENCE_MS } from './waiting.js'

export type { ConnectResult, HttpResult, UdpResult, UploadResult, WormPlan, WormReport, Zone }

/** The user that sends, root when absent, and how many milliseconds to wait. */
export interface TrafficOptions {
  readonly user?: string
  readonly timeout?: number
}

/** Starts a web server on a port, and waits until it listens. programs/http-server.ts has its pages. */
export const serveHttp = (namespace: Namespace, port = 80, user?: string) =>
  serve(namespace, 'http-server', [port], user)

export const serveUdpEcho = (namespace: Namespace, port: number) => serve(namespace, 'udp-echo', [port])

/** Starts a name server on port 53. Its queries are in `results` of the program, see `DnsQuery` there. */
export const serveDns = (namespace: Namespace, zone: Zone) =>
  serve(namespace, 'dns-server', [JSON.stringify(zone)])

/** Opens a TCP connection. */
export const connect = (from: Namespace, host: string, port: number, options: TrafficOptions = {}) =>
  callerOf(from, options.user).call('connect', host, port, options.timeout ?? PATIENCE_MS)

/** Fetches a page. `timeout` is for the whole page. */
export const httpGet = (from: Namespace, url: string, options: TrafficOptions = {}) =>
  callerOf(from, options.user).call('httpGet', url, options.timeout ?? PATIENCE_MS)

/** Sends a body of `bytes` evenly over `ms` milliseconds. */
export const httpUpload = (from: Namespace, url: string, bytes: number, ms: number) =>
  once<UploadResult>(from, 'http-upload', [url, bytes, ms])

/** Sends `count` datagrams. `timeout`, 200 ms, is for the answers. */
export const sendUdp = (
  from: Namespace,
  address: string,
  port: number,
  count: number,
  options: TrafficOptions = {},
) => callerOf(from, options.user).call('sendUdp', address, port, count, options.timeout ?? 200)

/** Runs a worm. @returns its attempts and successes */
export const worm = (from: Namespace, plan: WormPlan, user?: string) =>
  once<WormReport>(from, 'worm', [JSON.stringify(plan)], user)

/**
 * A program that makes the calls of a user in a namespace. It is started once, because Node starts slowly.
 */
class Caller {
  readonly #program: Program
  #calls = 0

  constructor(from: Namespace, user: string | undefined) {
    this.#program = from.spawn(command('caller', []), { ...as(user), stdin: true })
  }

  async call<Name extends keyof Calls>(call: Name, ...args: Parameters<Calls[Name]>) {
    const id = this.#calls++
    this.#program.write(JSON.stringify({ id, call, args } satisfies Call))
    return (await this.#program.result(`${id}`, 2 * PATIENCE_MS))[id] as Awaited<ReturnType<Calls[Name]>>
  }
}

const callers = new WeakMap<Namespace, Map<string | undefined, Caller>>()

function callerOf(from: Namespace, user: string | undefined): Caller {
  const known = callers.get(from) ?? new Map<string | undefined, Caller>()
  callers.set(from, known)
  const caller = known.get(user) ?? new Caller(from, user)
  known.set(user, caller)
  return caller
}

type Arguments = ReadonlyArray<string | number>

/**
 * Returns the command line of a program of programs/. Without NODE_OPTIONS the test runner is not loaded into
 * it.
 */
export function command(program: string, args: Arguments): string[] {
  const file = fileURLToPath(new URL(`./programs/${program}.js`, import.meta.url))
  return ['env', '-u', 'NODE_OPTIONS', process.execPath, file, ...args.map(String)]
}

const as = (user: string | undefined): SpawnOptions => (user === undefined ? {} : { user })

async function once<T>(from: Namespace, program: string, args: Arguments, user?: string): Promise<T> {
  const { stdout } = await from.run(command(program, args), as(user))
  return JSON.parse(stdout) as T
}

async function serve(
  namespace: Namespace,
  program: string,
  args: Arguments,
  user?: string,
): Promise<Program> {
  const server = namespace.spawn(command(program, args), as(user))
  await server.result('listening')
  return server
}
