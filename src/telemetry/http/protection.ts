/** Protects the pages by TLS and passwords, as a file says, and follows changes of that file and its certificates. */
import type { IncomingMessage, Server, ServerOptions } from 'node:http'
import { createServer as createPlainServer } from 'node:http'
import { createServer, Server as TlsServer } from 'node:https'
import type { Socket } from 'node:net'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { type Access, Passwords } from './passwords.js'
import { readWebConfig, type TlsFiles, type WebConfig } from './web-config.js'

/** A certificate is renewed weeks before it expires. */
const READ_AGAIN_MS = 30_000

export class Protection {
  readonly #path: string
  readonly #report: (message: string) => void
  #config: WebConfig
  #passwords: Passwords
  #trouble = ''

  /**
   * @param report called once for each problem of a file that has changed; what was read before stays in force
   * @throws Error with a message for the operator
   */
  constructor(path: string, report: (message: string) => void) {
    this.#path = path
    this.#report = report
    this.#config = read(path)
    this.#passwords = new Passwords(this.#config.users)
  }

  /** Makes the server, of HTTPS if there is a certificate. */
  createServer(options: ServerOptions): Server {
    const { tls } = this.#config
    const server =
      tls === undefined ? createPlainServer(options) : createServer({ ...options, ...tlsOptions(tls) })
    setInterval(() => this.#readAgain(server), READ_AGAIN_MS).unref()
    return server
  }

  /** Whether a request may be answered. @param holderOf returns who holds a connection */
  async access({ headers, socket }: IncomingMessage, holderOf: (socket: Socket) => string): Promise<Access> {
    if (this.#config.users.size === 0) return 'granted'
    return this.#passwords.check(headers.authorization, () => holderOf(socket))
  }

  #readAgain(server: Server): void {
    try {
      const config = read(this.#path)
      this.#trouble = ''
      if (isSame(config, this.#config)) return
      if (kindOf(config) !== kindOf(this.#config))
        throw new Error(`metrics.webConfig: ${this.#path}: restart the service to have ${kindOf(config)}`)
      if (server instanceof TlsServer && config.tls) server.setSecureContext(tlsOptions(config.tls))
      this.#config = config
      this.#passwords = new Passwords(config.users)
    } catch (error) {
      const { message } = error as Error
      if (message !== this.#trouble) this.#report(`${message}; what was read before stays in force`)
      this.#trouble = message
    }
  }
}

/** Reads the file, and tries its certificate and key. */
function read(path: string): WebConfig {
  const config = readWebConfig(path)
  try {
    if (config.tls) createSecureContext(tlsOptions(config.tls))
  } catch (error) {
    throw new Error(
      `metrics.webConfig: ${path}: certificate or key cannot be used: ${(error as Error).message}`,
    )
  }
  return config
}

const tlsOptions = ({ cert, key, clientCa, minVersion }: TlsFiles) =>
  ({
    ...{ cert, key, minVersion },
    ...(clientCa !== undefined && { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
  }) satisfies SecureContextOptions & Record<string, unknown>

/** Names what a server keeps from its start to its end. */
function kindOf({ tls }: WebConfig): string {
  if (tls === undefined) return 'no TLS'
  return tls.clientCa === undefined ? 'TLS' : 'TLS with certificates of clients'
}

const isSame = (a: WebConfig, b: WebConfig): boolean =>
  JSON.stringify([a.tls, [...a.users]]) === JSON.stringify([b.tls, [...b.users]])
