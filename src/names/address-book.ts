/** The addresses of names: learned from answers, kept as long as they count, forgotten when they do not. */
import type { Address } from '../core/packet/ip.js'
import type { SavedAddress } from './addresses-file.js'
import { type CachedAddress, keyOf } from './cached-name.js'
import { HOSTS_AT_MOST, TTL_AT_MOST } from './dns/answer-reader.js'
import { type CacheLimits, NameCache, type OnChange } from './name-cache.js'

export interface AddressBookOptions {
  readonly onChange: OnChange
  /** Seconds that an address outlives its TTL: programs keep answers, too. */
  readonly grace: () => number
  /** Whether a name stands in the allowlist itself, and not only below a wildcard: then there is always room for it. */
  readonly isListed: (name: string) => boolean
  /** Whether a name is asked for again and again: then the newest answer stays until there is a newer one. */
  readonly isWatched: (name: string) => boolean
}

/** What an answer says of a name. */
export interface Learned {
  readonly hosts: readonly Address[]
  /** Seconds. */
  readonly ttl: number
}

/** Seconds. */
const TTL_AT_LEAST = 1

const TRUSTED: CacheLimits = {
  current: HOSTS_AT_MOST,
  former: 256,
  names: 16_384,
  addresses: 16_384,
  serveStale: 7 * 24 * 3600 * 1000,
}
/** They ask as they like. Only an answer to one who is trusted can be the last good one: watched look-ups see to that. */
const OTHERS: CacheLimits = { current: 16, former: 64, names: 1024, addresses: 4096, serveStale: 0 }

/**
 * What was learned for those who are trusted (and by watched look-ups) stands on a shelf of its own: nobody else can push it
 * out. An address that is on both shelves is told twice, as one of two names is.
 */
export class AddressBook {
  readonly #options: AddressBookOptions
  readonly #trusted: NameCache
  readonly #others: NameCache

  constructor(options: AddressBookOptions) {
    this.#options = options
    this.#trusted = new NameCache({ ...options, room: TRUSTED })
    this.#others = new NameCache({ ...options, room: OTHERS })
  }

  /** Each once. */
  get names(): string[] {
    return [...this.#trusted.names, ...this.#others.names.filter((name) => !this.#trusted.has(name))]
  }

  /** All that is known of a name, the oldest of each shelf first. */
  entries(name: string): CachedAddress[] {
    return [...this.#others.entries(name), ...this.#trusted.entries(name)]
  }

  /** Those of them to which connections may begin, each address once. */
  current(name: string): CachedAddress[] {
    const found = new Map<string, CachedAddress>()
    for (const entry of this.entries(name)) {
      const key = keyOf(entry.host)
      if (entry.standing === 'current' && entry.expires >= (found.get(key)?.expires ?? 0))
        found.set(key, entry)
    }
    return [...found.values()]
  }

  /** Whether an answer says nothing new: all of it is current, for as long as the answer may be kept. */
  knows(name: string, { hosts, ttl }: Learned, now: number): boolean {
    const until = now + ttl * 1000
    return hosts.every(
      (host) => this.#trusted.knows(name, host, until) || this.#others.knows(name, host, until),
    )
  }

  /**
   * Takes an answer. One without an address says nothing: the last good one stays.
   * @param now milliseconds since the epoch
   * @param isTrusted whether the one who has asked is
   */
  learn(name: string, { hosts, ttl }: Learned, now: number, isTrusted: boolean): void {
    const until = now + (Math.max(ttl, TTL_AT_LEAST) + this.#options.grace()) * 1000
    const isNew = (host: Address) => !this.#trusted.knows(name, host, now + ttl * 1000)
    if (isTrusted) this.#trusted.learn(name, hosts, until, now)
    else this.#others.learn(name, hosts.filter(isNew), until, now)
  }

  /**
   * Takes over what an earlier run knew: it counts until the first answers, and no longer than it would have. Who had asked is
   * not kept. Names of the allowlist itself count as trusted; others do not, so that a restart gives nobody more room than he had.
   */
  restore(name: string, known: readonly SavedAddress[], now: number): void {
    const shelf = this.#options.isListed(name) ? this.#trusted : this.#others
    shelf.restore(name, known, now + (TTL_AT_MOST + this.#options.grace()) * 1000, now)
  }

  /** Forgets names that nobody allows any more. */
  keep(isAllowed: (name: string) => boolean): void {
    this.#trusted.keep(isAllowed)
    this.#others.keep(isAllowed)
  }

  /** Lets go what counts no longer. */
  expire(now: number): void {
    this.#trusted.expire(now)
    this.#others.expire(now)
  }
}
