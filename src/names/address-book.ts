/** Holds the addresses of allowed names: learned from DNS answers, kept until they expire. */
import type { Address } from '../core/packet/ip.js'
import type { SavedAddress } from './addresses-file.js'
import { type CachedAddress, keyOf } from './cached-name.js'
import { HOSTS_AT_MOST, TTL_AT_MOST } from './dns/answer-reader.js'
import { type CacheLimits, NameCache, type OnChange } from './name-cache.js'

export interface AddressBookOptions {
  readonly onChange: OnChange
  /** Returns the seconds that an address outlives its TTL: programs cache answers as well. */
  readonly grace: () => number
  /**
   * Whether the allowlist has the name itself, not only a wildcard above it: such a name is never evicted.
   */
  readonly isListed: (name: string) => boolean
  /** Whether the service refreshes a name: then its newest answer stays until a newer one comes. */
  readonly isWatched: (name: string) => boolean
  /** Whether somebody has used an address lately: then it is kept as a former one. */
  readonly isUsed: (host: Address, now: number) => boolean
}

/** The part of an answer that the book keeps. */
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
/**
 * Limits for untrusted users, who choose what they ask. Stale answers are not served: refreshed look-ups are
 * trusted.
 */
const OTHERS: CacheLimits = { current: 16, former: 64, names: 1024, addresses: 4096, serveStale: 0 }

/**
 * Addresses learned for trusted users (and by refreshed look-ups) are in a cache of their own, so that no
 * untrusted user can evict them. An address that is in both caches is reported once for each, like an address
 * of two names.
 */
export class AddressBook {
  readonly #options: AddressBookOptions
  readonly #trusted: NameCache
  readonly #others: NameCache

  constructor(options: AddressBookOptions) {
    this.#options = options
    this.#trusted = new NameCache({ ...options, limits: TRUSTED })
    this.#others = new NameCache({ ...options, limits: OTHERS })
  }

  /** The names of both caches, each once. */
  get names(): string[] {
    return [...this.#trusted.names, ...this.#others.names.filter((name) => !this.#trusted.has(name))]
  }

  /** All known addresses of a name, the oldest of each cache first. */
  entries(name: string): CachedAddress[] {
    return [...this.#others.entries(name), ...this.#trusted.entries(name)]
  }

  /** The current addresses of a name, to which new connections may begin; each once. */
  current(name: string): CachedAddress[] {
    const found = new Map<string, CachedAddress>()
    for (const entry of this.entries(name)) {
      const key = keyOf(entry.host)
      if (entry.state === 'current' && entry.expires >= (found.get(key)?.expires ?? 0)) found.set(key, entry)
    }
    return [...found.values()]
  }

  /** The addresses of a name that a restart must not lose: the current ones, and the former ones in use. */
  toKeep(name: string, now: number): CachedAddress[] {
    const current = this.current(name)
    const known = new Set(current.map(({ host }) => keyOf(host)))
    const isKept = ({ host, state }: CachedAddress) =>
      state === 'former' && !known.has(keyOf(host)) && this.#options.isUsed(host, now)
    const former = new Map(
      this.entries(name)
        .filter(isKept)
        .map((entry) => [keyOf(entry.host), entry]),
    )
    return [...current, ...former.values()]
  }

  /** Whether an answer brings nothing new: all its addresses are current for at least its TTL. */
  knows(name: string, { hosts, ttl }: Learned, now: number): boolean {
    const until = now + ttl * 1000
    return hosts.every(
      (host) => this.#trusted.knows(name, host, until) || this.#others.knows(name, host, until),
    )
  }

  /**
   * Takes an answer. An answer without addresses is ignored: the last good one stays.
   * @param now milliseconds since the epoch
   * @param isTrusted whether the user who sent the query is trusted
   */
  learn(name: string, { hosts, ttl }: Learned, now: number, isTrusted: boolean): void {
    const until = now + (Math.max(ttl, TTL_AT_LEAST) + this.#options.grace()) * 1000
    const isNew = (host: Address) => !this.#trusted.knows(name, host, now + ttl * 1000)
    if (isTrusted) this.#trusted.learn(name, hosts, until, now)
    else this.#others.learn(name, hosts.filter(isNew), until, now)
  }

  /**
   * Takes over saved addresses of an earlier run. They count until the first answers, and no longer than they
   * would have without a restart. Who asked is not saved: names that the allowlist has itself count as
   * trusted, others do not, so that a restart gives no user more room.
   */
  restore(name: string, known: readonly SavedAddress[], now: number): void {
    const cache = this.#options.isListed(name) ? this.#trusted : this.#others
    cache.restore(name, known, now + (TTL_AT_MOST + this.#options.grace()) * 1000, now)
  }

  /** Forgets names that no rule allows any more. */
  keep(isAllowed: (name: string) => boolean): void {
    this.#trusted.keep(isAllowed)
    this.#others.keep(isAllowed)
  }

  /** Drops what has expired. @param now milliseconds since the epoch */
  expire(now: number): void {
    this.#trusted.expire(now)
    this.#others.expire(now)
  }
}
