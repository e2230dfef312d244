/** Checks passwords of requests (HTTP basic authentication, RFC 7617) against hashes of bcrypt. */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import bcrypt from 'bcryptjs'

/** The result of a check; `busy`: not checked, since this client has just had a wrong one. */
export type Access = 'granted' | 'denied' | 'busy'

/** Milliseconds for which a client that was denied has no further password checked. */
const PAUSE_MS = 1000
/** Clients that are checked, or wait for their pause to end, at a time. */
const CLIENTS_AT_ONCE = 256

/**
 * Checking a hash takes dozens of milliseconds of CPU by design. A password that was right once is known again by a
 * keyed digest, so that a scrape costs nothing. Each client has one check at a time, and one wrong password a second:
 * nobody keeps a core busy, or Prometheus out, by guessing.
 */
export class Passwords {
  readonly #users: ReadonlyMap<string, string>
  readonly #key = randomBytes(32)
  /** The digest of each user's password, once it was right. */
  readonly #known = new Map<string, Buffer>()
  readonly #clients = new Set<string>()

  /** @param users hashes by name */
  constructor(users: ReadonlyMap<string, string>) {
    this.#users = users
  }

  /**
   * Checks the value of the header Authorization.
   * @param client who asks: a user of this host, or an address
   */
  async check(header: string | undefined, client: () => string): Promise<Access> {
    const given = credentialsOf(header)
    const hash = given && this.#users.get(given.user)
    if (given === undefined || hash === undefined) return 'denied'
    const digest = createHmac('sha256', this.#key).update(given.password).digest()
    const known = this.#known.get(given.user)
    if (known !== undefined && timingSafeEqual(known, digest)) return 'granted'
    return this.#compare(given, hash, digest, client())
  }

  async #compare(given: Credentials, hash: string, digest: Buffer, client: string): Promise<Access> {
    if (this.#clients.has(client) || this.#clients.size >= CLIENTS_AT_ONCE) return 'busy'
    this.#clients.add(client)
    if (await bcrypt.compare(given.password, hash)) {
      this.#known.set(given.user, digest)
      this.#clients.delete(client)
      return 'granted'
    }
    setTimeout(() => this.#clients.delete(client), PAUSE_MS).unref()
    return 'denied'
  }
}

interface Credentials {
  readonly user: string
  readonly password: string
}

function credentialsOf(header = ''): Credentials | undefined {
  const [, encoded] = /^basic +([\w+/=]+)$/i.exec(header) ?? []
  if (encoded === undefined) return undefined
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) }
}
