/**
 * Serves metrics and health over HTTP. Clients may send requests without end, so a thread of its own answers
 * them (worker.ts). It asks this thread, which judges packets, a few times a second.
 */
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { Worker } from 'node:worker_threads'
import type { Registry } from 'prom-client'
import type { Listen } from '../../config/config.js'
import type { ServiceLog } from '../../system/service-log.js'
import { VERSION } from '../../system/version.js'
import type { WorkerOptions, WorkerRequest, WorkerResponse } from './worker.js'

export interface HttpOptions {
  readonly listen: Listen
  /** The path of the metrics. */
  readonly path: string
  /** Path of the file with TLS and passwords, or `none`. */
  readonly webConfig: string
  readonly registry: Registry
  /** Lists what keeps the service from being ready; empty when it is ready. */
  readonly unready: () => readonly string[]
  /** Logs faults of the program, which interrupt the service of both for a second. */
  readonly log: Pick<ServiceLog, 'error'>
}

const RESTART_MS = 1000
/** The longest time to wait for the first answer. */
const PATIENCE_MS = 10_000
/** Where a server that listens at all addresses can be asked. */
const ANY_HOST: ReadonlyMap<string, string> = new Map([
  ['0.0.0.0', '127.0.0.1'],
  ['::', '::1'],
])

export class HttpServer {
  /** The port that it listens on. */
  port = 0
  readonly #options: HttpOptions
  #worker: Worker | undefined
  #restart: NodeJS.Timeout | undefined
  #isClosed = false

  private constructor(options: HttpOptions) {
    this.#options = options
  }

  /** @returns the server once it listens @throws Error (rejects) of node:net, e.g. EADDRINUSE */
  static async listen(options: HttpOptions): Promise<HttpServer> {
    const server = new HttpServer(options)
    await server.#start(options.listen)
    return server
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#restart)
    this.#worker?.terminate()
  }

  #start(listen: Listen): Promise<void> {
    const { path: metricsPath, webConfig } = this.#options
    const workerData: WorkerOptions = { listen, metricsPath, webConfig, version: VERSION }
    const worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData,
      // Without the options of a test runner or a debugger.
      execArgv: [],
      env: {},
    })
    this.#worker = worker
    return new Promise((resolve, reject) => {
      worker.on('message', (message: WorkerRequest) => {
        if (message.kind === 'listening') {
          this.port = message.port
          worker.unref()
          resolve()
        } else if (message.kind === 'failed') {
          this.close()
          reject(listenError(listen, message.code))
        } else if (message.kind === 'refused') {
          this.close()
          reject(new Error(message.message))
        } else if (message.kind === 'trouble') this.#options.log.error(message.message)
        else this.#answer(worker, message)
      })
      worker.on('error', (error) => this.#onFault(error as Error))
      worker.on('exit', () => this.#onExit())
    })
  }

  /**
   * Waits for the first answer, which takes seconds on a slow host. It is an error in the log when another firewall does
   * not let it pass.
   */
  async answers(): Promise<void> {
    const { listen, log, webConfig } = this.#options
    // Without the keys and passwords of its clients it cannot ask itself.
    if (webConfig !== 'none') return
    const host = ANY_HOST.get(listen.host) ?? listen.host
    const request = get({ host, port: this.port, path: '/healthz', agent: false, timeout: PATIENCE_MS })
    request.on('timeout', () => request.destroy(new Error(`no answer within ${PATIENCE_MS / 1000} s`)))
    try {
      const [response] = (await once(request, 'response')) as [IncomingMessage]
      response.resume()
    } catch (error) {
      log.error(`the page of health on ${host}:${this.port} does not answer: ${(error as Error).message}`)
    }
  }

  #onFault({ message }: Error): void {
    this.#options.log.error(`metrics and health pages restart after a fault: ${message}`)
  }

  /** Starts the worker again after a fault, on the same port. */
  #onExit(): void {
    if (this.#isClosed) return
    const again = { ...this.#options.listen, port: this.port }
    this.#restart = setTimeout(
      () => this.#start(again).catch((error) => this.#onFault(error)),
      RESTART_MS,
    ).unref()
  }

  async #answer(
    worker: Worker,
    { kind }: Extract<WorkerRequest, { kind: WorkerResponse['kind'] }>,
  ): Promise<void> {
    const { registry, unready } = this.#options
    const answer = (content: WorkerResponse) => worker.postMessage(content)
    if (kind === 'state') return answer({ kind, unready: unready() })
    try {
      answer({ kind: 'metrics', text: await registry.metrics(), type: registry.contentType })
    } catch (error) {
      answer({ kind: 'metrics', error: (error as Error).message })
    }
  }
}

function listenError({ host, port }: Listen, code: string): Error {
  const advice = code === 'EADDRINUSE' ? 'another program listens there: stop it, or set' : 'set'
  return new Error(`metrics cannot be served on ${host}:${port} (${code}): ${advice} metrics.listen`)
}
