/** Starts the programs of programs/ in a namespace. Node is all they need. */

import { fileURLToPath } from 'node:url'
import type { Namespace, SpawnOptions } from './namespace.js'
import type { Program } from './program.js'
import type { ConnectResult } from './programs/connect.js'
import type { Zone } from './programs/dns-server.js'
import type { HttpResult } from './programs/http-get.js'
import type { UploadResult } from './programs/http-upload.js'
import type { UdpResult } from './programs/send-udp.js'
import type { WormPlan, WormReport } from './programs/worm.js'

export type { ConnectResult, HttpResult, UdpResult, UploadResult, WormPlan, WormReport, Zone }

/** The user who sends, and how many milliseconds to wait. */
export interface TrafficOptions {
  readonly user?: string
  readonly timeout?: number
}

/** A web server on a port; resolves when it listens. What it serves: programs/http-server.ts. */
export const serveHttp = (namespace: Namespace, port = 80, user?: string) =>
  serve(namespace, 'http-server', [port], user)

export const serveUdpEcho = (namespace: Namespace, port: number) => serve(namespace, 'udp-echo', [port])

/** A name server on port 53. Its questions are in `results` of the program, see `DnsQuery` there. */
export const serveDns = (namespace: Namespace, zone: Zone) =>
  serve(namespace, 'dns-server', [JSON.stringify(zone)])

/** Opens a TCP connection. `timeout` is 2000 ms. */
export const connect = (from: Namespace, host: string, port: number, options: TrafficOptions = {}) =>
  once<ConnectResult>(from, 'connect', [host, port, options.timeout ?? 2000], options.user)

/** Fetches a page. `timeout` is 5000 ms, for the whole of it. */
export const httpGet = (from: Namespace, url: string, options: TrafficOptions = {}) =>
  once<HttpResult>(from, 'http-get', [url, options.timeout ?? 5000], options.user)

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
) => once<UdpResult>(from, 'send-udp', [address, port, count, options.timeout ?? 200], options.user)

/** Lets a worm loose. */
export const worm = (from: Namespace, plan: WormPlan, user?: string) =>
  once<WormReport>(from, 'worm', [JSON.stringify(plan)], user)

type Arguments = ReadonlyArray<string | number>

/**
 * How a program of programs/ is started. Without NODE_OPTIONS, by which a test runner follows its children: traffic is
 * neither slowed nor measured.
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
