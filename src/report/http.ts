import { createServer, type Server, type ServerResponse } from 'node:http'
import type { Registry } from 'prom-client'
import type { Listen } from '../config.js'

export interface HttpOptions {
  readonly listen: Listen
  readonly metricsPath: string
  readonly registry: Registry
  readonly version: string
  /** What keeps the service from being ready; empty when it is. */
  readonly unready: () => readonly string[]
}

/** A scrape takes milliseconds; whoever is slower holds a socket for nothing. */
export const TIMEOUTS = { requestTimeout: 5000, headersTimeout: 2000, connectionsCheckingInterval: 500 }
const CONNECTIONS_AT_MOST = 64

/**
 * Serves metrics and health. @returns the server once it listens
 * @throws Error (rejects) of node:net, e.g. EADDRINUSE
 */
export async function serveHttp(options: HttpOptions): Promise<Server> {
  const server = createServer(TIMEOUTS, (request, response) => {
    answer(options, request.method ?? '', pathOf(request.url ?? '/'), response).catch((error: Error) =>
      reply(response, 500, `${error.message}\n`),
    )
  })
  server.maxConnections = CONNECTIONS_AT_MOST
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(options.listen, error)))
    server.listen(options.listen.port, options.listen.host, () => resolve())
  })
  return server
}

function listenError({ host, port }: Listen, error: NodeJS.ErrnoException): Error {
  const advice = error.code === 'EADDRINUSE' ? 'another program listens there: stop it, or set' : 'set'
  return new Error(`metrics cannot be served on ${host}:${port} (${error.code}): ${advice} metrics.listen`)
}

/** Not by `new URL`, which throws for what any client may send: `//`. */
const pathOf = (target: string): string => target.split('?', 1)[0]!

async function answer(
  options: HttpOptions,
  method: string,
  path: string,
  response: ServerResponse,
): Promise<void> {
  if (method !== 'GET' && method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD')
    reply(response, 405, 'only GET and HEAD\n')
  } else if (path === options.metricsPath) {
    reply(response, 200, await options.registry.metrics(), options.registry.contentType)
  } else if (path === '/healthz') reply(response, 200, 'ok\n')
  else if (path === '/readyz') ready(response, options.unready())
  else if (path === '/') reply(response, 200, indexPage(options), 'text/html; charset=utf-8')
  else reply(response, 404, `no such page; there are /, /healthz, /readyz and ${options.metricsPath}\n`)
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
}

function indexPage({ version, metricsPath, unready }: HttpOptions): string {
  const state = unready().length === 0 ? 'ready' : `not ready: ${unready().join('; ')}`
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>checkvalve</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:3em auto;padding:0 1em}</style>
<h1>checkvalve ${version}</h1><p>${state}</p>
<ul><li><a href="${metricsPath}">metrics</a><li><a href="/healthz">healthz</a><li><a href="/readyz">readyz</a></ul>
`
}
