/**
 * Serves the control socket, by which commands talk to the running service: HTTP and JSON. The file's mode
 * decides who may connect.
 */
import { lstatSync, unlinkSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import { connect, type Socket } from 'node:net'
import { dirname } from 'node:path'
import { makeFolder } from '../system/atomic-write.js'
import { ConnectionLimit } from '../system/connection-limit.js'
import { TAKE_MS, TIMEOUTS } from '../system/http-limits.js'
import type { ServiceLog } from '../system/service-log.js'
import { answer, Refusal, type RefusalCode, type Route, statusOf } from './router.js'

/** Creates the socket's file with mode 0660. */
const UMASK = 0o777 & ~0o660
const CONNECTIONS = { kept: 16, atMost: 64 }
const HEADERS_AT_MOST = 8192
const BODY_AT_MOST = 65_536

export interface ControlOptions {
  /** Path of the socket. A socket that nobody listens on is replaced. */
  readonly path: string
  readonly routes: readonly Route[]
  /** Logs requests that could not be answered, by a fault of the program. */
  readonly log: Pick<ServiceLog, 'error'>
}

/**
 * The server runs on the thread that judges packets: so all of it is bounded, and no handler may take long.
 */
export class ControlServer {
  readonly #options: ControlOptions
  readonly #server: Server
  /** The response of each connection. */
  readonly #responses = new WeakMap<Socket, ServerResponse>()
  #isRetired = false

  private constructor(options: ControlOptions) {
    this.#options = options
    // Requests that node:http would refuse without a reason are answered here.
    const limits = { ...TIMEOUTS, maxHeaderSize: HEADERS_AT_MOST, requireHostHeader: false }
    this.#server = createServer(limits, (...exchange) => this.#onRequest(...exchange))
    this.#server.on('checkExpectation', (...exchange) => this.#onRequest(...exchange))
    // All who may open the socket's file are trusted alike.
    new ConnectionLimit(this.#server, { ...CONNECTIONS, holderOf: () => '' })
    // Thousands of requests in one piece would be handled without a pause.
    this.#server.maxRequestsPerSocket = 1
    this.#server.on('clientError', (error, socket) => this.#onBadBytes(error, socket as Socket))
  }

  /** @throws Error (rejects) with a message for the operator */
  static async listen(options: ControlOptions): Promise<ControlServer> {
    const { path } = options
    const control = new ControlServer(options)
    try {
      makeFolder(dirname(path))
      await takePlace(path)
      await control.#listen(path)
      return control
    } catch (error) {
      throw new Error(`no control socket at ${path} (${(error as Error).message}): set control.socket`)
    }
  }

  /** Refuses all requests from now on: the service is about to stop. */
  retire(): void {
    this.#isRetired = true
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  #listen(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      // bind(2) happens within this call, so the file never has another mode.
      const umask = process.umask(UMASK)
      this.#server.listen(path, resolve)
      process.umask(umask)
    })
  }

  async #onRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#responses.set(request.socket, response)
    try {
      if (this.#isRetired) throw new Refusal('stopping', 'the service is stopping')
      const { method = '', url = '', headers } = request
      const asked = { method, url, type: headers['content-type'], text: await textOf(request) }
      send(response, 200, await answer(this.#options.routes, asked))
    } catch (error) {
      this.#refuse(response, error as Error)
    }
  }

  /** Answers bytes that are no HTTP. Bytes after an answer are ignored. */
  #onBadBytes({ code }: NodeJS.ErrnoException, socket: Socket): void {
    if (socket.writable && !this.#responses.get(socket)?.headersSent) socket.write(refusalOf(code))
    socket.destroySoon()
  }

  #refuse(response: ServerResponse, error: Error): void {
    const { message, stack } = error
    if (!(error instanceof Refusal)) {
      this.#options.log.error({ stack }, `a control request failed: ${message}`)
      send(response, statusOf('internal-error'), { code: 'internal-error', error: message })
      return
    }
    const { code, status, problems, headers } = error
    const body = { code, error: message, ...(problems.length > 0 ? { problems } : {}) }
    send(response, status, body, headers)
  }
}

function send(response: ServerResponse, status: number, value: unknown, more = {}): void {
  const body = `${JSON.stringify(value)}\n`
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
    // An idle connection would count against the maximum.
    Connection: 'close',
    ...more,
  })
  response.end(body)
  const timer = setTimeout(() => response.socket?.destroy(), TAKE_MS)
  response.once('close', () => clearTimeout(timer))
}

async function textOf(request: IncomingMessage): Promise<string> {
  const tooLarge = new Refusal('body-too-large', `the body has more than ${BODY_AT_MOST} bytes`)
  if (Number(request.headers['content-length'] ?? 0) > BODY_AT_MOST) throw tooLarge
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    // A body that is read in part must not close the connection: the refusal needs it.
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      chunks.push(chunk as Buffer)
      bytes += (chunk as Buffer).length
      if (bytes > BODY_AT_MOST) break
    }
  } catch {
    throw new Refusal('invalid-request', 'the request ends early')
  }
  if (bytes > BODY_AT_MOST) throw tooLarge
  return Buffer.concat(chunks).toString()
}

/** Refusals by the error codes of node:http. Any other code means that the bytes are no HTTP. */
const BAD_BYTES: Readonly<Record<string, readonly [code: RefusalCode, error: string]>> = {
  HPE_HEADER_OVERFLOW: ['headers-too-large', `the headers have more than ${HEADERS_AT_MOST} bytes`],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ['body-too-large', 'the body has too large extensions'],
  ERR_HTTP_REQUEST_TIMEOUT: ['request-timeout', 'the request was not complete in time'],
}

function refusalOf(errorCode = ''): string {
  const [code, error] = BAD_BYTES[errorCode] ?? ['malformed-http', 'this is no HTTP request']
  const status = statusOf(code)
  const body = `${JSON.stringify({ code, error })}\n`
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    '',
    body,
  ].join('\r\n')
}

/**
 * Removes the socket of a service that was killed.
 * @throws Error when another file or another service is there
 */
async function takePlace(path: string): Promise<void> {
  const there = lstatSync(path, { throwIfNoEntry: false })
  if (there === undefined) return
  if (!there.isSocket()) throw new Error('another file is there')
  const code = await reach(path)
  if (code === undefined) throw new Error('another service listens there')
  if (code === 'ECONNREFUSED') unlinkSync(path)
}

/** Tries to connect. @returns the code of the error, or undefined when it succeeds */
const reach = (path: string): Promise<string | undefined> =>
  new Promise((resolve) => {
    const socket = connect(path, () => resolve(undefined))
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code))
    socket.once('connect', () => socket.destroy())
  })
