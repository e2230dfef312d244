/** Holds names with their addresses, up to its limits. */
import type { Address } from '../core/packet/ip.js'
import type { SavedAddress } from './addresses-file.js'
import { type AddressState, type CachedAddress, CachedName } from './cached-name.js'

/**
 * Called when an address of a name is added (`was` is undefined), changes its state, or is dropped (`is` is
 * undefined).
 */
export type OnChange = (
  name: string,
  host: Address,
  was: AddressState | undefined,
  is: AddressState | undefined,
) => void

export interface CacheLimits {
  /** Addresses of one name in each state. */
  readonly current: number
  readonly former: number
  /** Names that are only below wildcards, and all their addresses: users choose those names. */
  readonly names: number
  readonly addresses: number
  /** Milliseconds for which the last good answer of a refreshed name is used while no resolver answers. */
  readonly serveStale: number
}

export interface NameCacheOptions {
  readonly limits: CacheLimits
  readonly onChange: OnChange
  /** Whether the allowlist has the name itself, not only a wildcard above it. */
  readonly isListed: (name: string) => boolean
  readonly isWatched: (name: string) => boolean
  /** Whether somebody has used an address lately. */
  readonly isUsed: (host: Address, now: number) => boolean
}

export class NameCache {
  readonly #options: NameCacheOptions
  readonly #listed = new Map<string, CachedName>()
  /** Names that share the limits; the one that was used longest ago is evicted first. */
  readonly #sharing = new Map<string, CachedName>()
  /** Number of addresses of the names in `#sharing`. */
  #shared = 0

  constructor(options: NameCacheOptions) {
    this.#options = options
  }

  get names(): string[] {
    return [...this.#listed.keys(), ...this.#sharing.keys()]
  }

  has(name: string): boolean {
    return this.#find(name) !== undefined
  }

  entries(name: string): CachedAddress[] {
    return this.#find(name)?.entries() ?? []
  }

  /** Whether an address is current at least until that time. */
  knows(name: string, host: Address, until: number): boolean {
    return this.#find(name)?.knows(host, until) ?? false
  }

  /** Takes an answer. @param until when it expires */
  learn(name: string, hosts: readonly Address[], until: number, now: number): void {
    if (hosts.length === 0) return
    this.#touch(name).learn(hosts, until, now)
    this.#evict()
  }

  /** Takes over saved addresses. @param latest when all of them have expired */
  restore(name: string, known: readonly SavedAddress[], latest: number, now: number): void {
    const cached = this.#touch(name)
    cached.restore(known, latest, now)
    this.#expire(name, cached, now)
    this.#evict()
  }

  /** Forgets names that no rule allows any more, and moves names that the allowlist has gained or lost. */
  keep(isAllowed: (name: string) => boolean): void {
    for (const name of this.names) {
      if (!isAllowed(name)) this.#forget(name)
      else if (this.#listed.has(name) !== this.#options.isListed(name)) this.#touch(name)
    }
    this.#evict()
  }

  /** Drops what has expired. */
  expire(now: number): void {
    for (const names of [this.#listed, this.#sharing])
      for (const [name, cached] of names) if (cached.due <= now) this.#expire(name, cached, now)
  }

  #find(name: string): CachedName | undefined {
    return this.#listed.get(name) ?? this.#sharing.get(name)
  }

  /** Puts a name, which is added when it is missing, behind all others. */
  #touch(name: string): CachedName {
    const cached = this.#take(name) ?? this.#create(name)
    if (this.#options.isListed(name)) this.#listed.set(name, cached)
    else {
      this.#sharing.set(name, cached)
      this.#shared += cached.size
    }
    return cached
  }

  #create(name: string): CachedName {
    const { limits, isUsed } = this.#options
    return new CachedName(limits, {
      isUsed,
      onChange: (host, was, is) => this.#onChange(name, host, was, is),
    })
  }

  #take(name: string): CachedName | undefined {
    const cached = this.#find(name)
    if (this.#sharing.delete(name)) this.#shared -= cached!.size
    else this.#listed.delete(name)
    return cached
  }

  #expire(name: string, cached: CachedName, now: number): void {
    cached.expire(now, this.#options.isWatched(name) ? this.#options.limits.serveStale : 0)
    if (cached.size === 0) this.#take(name)
  }

  #evict(): void {
    const { limits, isListed } = this.#options
    for (const name of this.#sharing.keys()) {
      if (this.#sharing.size <= limits.names && this.#shared <= limits.addresses) return
      if (isListed(name)) this.#touch(name)
      else this.#forget(name)
    }
  }

  #forget(name: string): void {
    this.#find(name)?.clear()
    this.#take(name)
  }

  readonly #onChange: OnChange = (name, host, was, is) => {
    if (this.#sharing.has(name)) this.#shared += Number(was === undefined) - Number(is === undefined)
    this.#options.onChange(name, host, was, is)
  }
}
