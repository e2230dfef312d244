/**
 * Answers HTTP requests for metrics and health, in a thread of its own. It asks the service for the contents.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { parentPort, workerData } from 'node:worker_threads'
import type { Listen } from '../../config/config.js'
import { ConnectionLimit } from '../../system/connection-limit.js'
import { TAKE_MS, TIMEOUTS } from '../../system/http-limits.js'
import { ConnectionHolders } from './connection-holder.js'
import { Protection } from './protection.js'

export interface WorkerOptions {
  readonly listen: Listen
  readonly metricsPath: string
  /** Path of the file with TLS and passwords, or `none`. */
  readonly webConfig: string
  readonly version: string
}

/** A message from this thread to the service. */
export type WorkerRequest =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'failed'; readonly code: string }
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'trouble'; readonly message: string }
  | { readonly kind: 'state' }
  | { readonly kind: 'metrics' }

/** A message from the service to this thread. */
export type WorkerResponse = State | Metrics
interface State {
  readonly kind: 'state'
  readonly unready: readonly string[]
}
interface Metrics {
  readonly kind: 'metrics'
  readonly text?: string
  readonly type?: string
  readonly error?: string
}

const CONNECTIONS = { kept: 64, atMost: 256 }
/** Milliseconds between two requests of a kind to the service. Clients in between share the next answer. */
const INTERVAL_MS = { state: 20, metrics: 200 }
/** A service that does not answer for this time hangs. */
const ANSWER_MS = 2000

const { listen, metricsPath, webConfig, version } = workerData as WorkerOptions
const say = (question: WorkerRequest) => parentPort!.postMessage(question)

/** Asks the service for one kind of content, in intervals. */
class ServiceRequest<T extends WorkerResponse> {
  readonly #kind: T['kind']
  #last = Number.NEGATIVE_INFINITY
  #pending: Promise<T> | undefined
  #settle: ((answer: T) => void) | undefined

  constructor(kind: T['kind']) {
    this.#kind = kind
  }

  /** @throws Error (rejects) when the service does not answer */
  get(): Promise<T> {
    this.#pending ??= this.#ask().finally(() => {
      this.#pending = undefined
    })
    return this.#pending
  }

  onAnswer(answer: T): void {
    this.#settle?.(answer)
  }

  async #ask(): Promise<T> {
    const early = this.#last + INTERVAL_MS[this.#kind] - performance.now()
    if (early > 0) await new Promise((resolve) => setTimeout(resolve, early))
    this.#last = performance.now()
    return new Promise((resolve, reject) => {
      this.#settle = resolve
      setTimeout(() => reject(new Error('the service does not answer')), ANSWER_MS)
      say({ kind: this.#kind })
    })
  }
}

const state = new ServiceRequest<State>('state')
const metrics = new ServiceRequest<Metrics>('metrics')
parentPort!.on('message', (answer: WorkerResponse) =>
  answer.kind === 'state' ? state.onAnswer(answer) : metrics.onAnswer(answer),
)

/** Returns the path of a request. `new URL` is not used: it throws for `//`, which any client may send. */
const pathOf = (target: string): string => target.split('?', 1)[0]!

async function answer(method: string, path: string, response: ServerResponse): Promise<void> {
  if (method !== 'GET' && method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD')
    reply(response, 405, 'only GET and HEAD\n')
  } else if (path === metricsPath) await replyMetrics(response)
  else if (path === '/healthz') await replyHealth(response)
  else if (path === '/readyz') ready(response, (await state.get()).unready)
  else if (path === '/')
    reply(response, 200, indexPage((await state.get()).unready), 'text/html; charset=utf-8')
  else reply(response, 404, `no such page; there are /, /healthz, /readyz and ${metricsPath}\n`)
}

async function replyMetrics(response: ServerResponse): Promise<void> {
  const { text, type, error } = await metrics.get()
  if (text === undefined) reply(response, 500, `${error}\n`)
  else reply(response, 200, text, type)
}

async function replyHealth(response: ServerResponse): Promise<void> {
  await state.get()
  reply(response, 200, 'ok\n')
}

function ready(response: ServerResponse, missing: readonly string[]): void {
  if (missing.length === 0) reply(response, 200, 'ready\n')
  else reply(response, 503, missing.map((each) => `not ready: ${each}\n`).join(''))
}

function reply(
  response: ServerResponse,
  status: number,
  body: string,
  type = 'text/plain; charset=utf-8',
): void {
  response.writeHead(status, {
    'Content-Type': type,
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'no-store',
  })
  response.end(body)
  const timer = setTimeout(() => response.socket?.destroy(), TAKE_MS)
  response.once('close', () => clearTimeout(timer))
}

function indexPage(unready: readonly string[]): string {
  const readiness = unready.length === 0 ? 'ready' : `not ready: ${unready.join('; ')}`
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>checkvalve</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:3em auto;padding:0 1em}</style>
<h1>checkvalve ${version}</h1><p>${readiness}</p>
<ul><li><a href="${metricsPath}">metrics</a><li><a href="/healthz">healthz</a><li><a href="/readyz">readyz</a></ul>
`
}

const holders = new ConnectionHolders()

async function receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const access = await protection?.access(request, holders.holderOf)
  if (access === 'denied') {
    response.setHeader('WWW-Authenticate', 'Basic')
    reply(response, 401, 'a user and a password are needed\n')
  } else if (access === 'busy') {
    response.setHeader('Retry-After', '1')
    reply(response, 429, 'too many wrong passwords\n')
  } else await answer(request.method ?? '', pathOf(request.url ?? '/'), response)
}

function serve(server: Server): void {
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    receive(request, response).catch((error: Error) => reply(response, 503, `${error.message}\n`))
  })
  new ConnectionLimit(server, { ...CONNECTIONS, holderOf: holders.holderOf })
  // A client that sends many requests on one connection, and reads no answers, would fill the memory.
  server.maxRequestsPerSocket = 1
  server.once('error', (error: NodeJS.ErrnoException) =>
    say({ kind: 'failed', code: error.code ?? error.message }),
  )
  server.listen(listen.port, listen.host, () => {
    const address = server.address()
    say({ kind: 'listening', port: typeof address === 'object' ? (address?.port ?? 0) : 0 })
  })
}

let protection: Protection | undefined
try {
  if (webConfig !== 'none')
    protection = new Protection(webConfig, (message) => say({ kind: 'trouble', message }))
  serve(protection?.createServer(TIMEOUTS) ?? createServer(TIMEOUTS))
} catch (error) {
  say({ kind: 'refused', message: (error as Error).message })
}
