/** Names with their addresses, as many as there is room for. */
import type { Address } from '../core/packet/ip.js'
import type { SavedAddress } from './addresses-file.js'
import { type CachedAddress, CachedName, type Standing } from './cached-name.js'

/** An entry has come, has changed its standing, or has gone: `was` or `is` is undefined then. */
export type OnChange = (
  name: string,
  host: Address,
  was: Standing | undefined,
  is: Standing | undefined,
) => void

export interface CacheLimits {
  /** Addresses of one name. */
  readonly current: number
  readonly former: number
  /** Of all names that are only below wildcards: whoever asks chooses those. */
  readonly names: number
  readonly addresses: number
  /** Milliseconds for which the last good answer of a name that is watched stands in for a resolver that does not answer. */
  readonly serveStale: number
}

export interface NameCacheOptions {
  readonly room: CacheLimits
  readonly onChange: OnChange
  /** Whether a name stands in the allowlist itself, and not only below a wildcard. */
  readonly isListed: (name: string) => boolean
  readonly isWatched: (name: string) => boolean
}

export class NameCache {
  readonly #options: NameCacheOptions
  readonly #listed = new Map<string, CachedName>()
  /** Names that have to share their room. The last that was spoken of is the last to go. */
  readonly #sharing = new Map<string, CachedName>()
  /** Addresses of those. */
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

  /** Whether an address is current, until then at least. */
  knows(name: string, host: Address, until: number): boolean {
    return this.#find(name)?.knows(host, until) ?? false
  }

  /** Takes an answer. @param until when its time is over */
  learn(name: string, hosts: readonly Address[], until: number, now: number): void {
    if (hosts.length === 0) return
    this.#turnTo(name).learn(hosts, until, now)
    this.#makeRoom()
  }

  /** Takes over what an earlier run knew. @param latest when the time of all of it is over */
  restore(name: string, known: readonly SavedAddress[], latest: number, now: number): void {
    const page = this.#turnTo(name)
    page.restore(known, latest)
    this.#expire(name, page, now)
    this.#makeRoom()
  }

  /** Forgets names that nobody allows any more, and puts the others where they belong now. */
  keep(isAllowed: (name: string) => boolean): void {
    for (const name of this.names) {
      if (!isAllowed(name)) this.#forget(name)
      else if (this.#listed.has(name) !== this.#options.isListed(name)) this.#turnTo(name)
    }
    this.#makeRoom()
  }

  /** Lets go what counts no longer. */
  expire(now: number): void {
    for (const pages of [this.#listed, this.#sharing])
      for (const [name, page] of pages) if (page.due <= now) this.#expire(name, page, now)
  }

  #find(name: string): CachedName | undefined {
    return this.#listed.get(name) ?? this.#sharing.get(name)
  }

  /** Puts the page of a name, or a new one, behind all others. */
  #turnTo(name: string): CachedName {
    const page = this.#take(name) ?? this.#newPage(name)
    if (this.#options.isListed(name)) this.#listed.set(name, page)
    else {
      this.#sharing.set(name, page)
      this.#shared += page.size
    }
    return page
  }

  #newPage(name: string): CachedName {
    return new CachedName(this.#options.room, (host, was, is) => this.#onChange(name, host, was, is))
  }

  #take(name: string): CachedName | undefined {
    const page = this.#find(name)
    if (this.#sharing.delete(name)) this.#shared -= page!.size
    else this.#listed.delete(name)
    return page
  }

  #expire(name: string, page: CachedName, now: number): void {
    page.expire(now, this.#options.isWatched(name) ? this.#options.room.serveStale : 0)
    if (page.size === 0) this.#take(name)
  }

  #makeRoom(): void {
    const { room, isListed } = this.#options
    for (const name of this.#sharing.keys()) {
      if (this.#sharing.size <= room.names && this.#shared <= room.addresses) return
      if (isListed(name)) this.#turnTo(name)
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
