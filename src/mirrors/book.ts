/** The addresses of names: learned from answers, kept as long as they count, forgotten when they do not. */
import type { Family, Host } from '../core/types.js'
import { HOSTS_AT_MOST, TTL_AT_MOST } from './message.js'

/**
 * - `current`: connections to it may begin
 * - `former`: it is answered no more; connections from before go on
 */
export type Standing = 'current' | 'former'

export interface Entry {
  readonly host: Host
  /** Milliseconds since the epoch: until then it counts, whatever later answers say. */
  readonly expires: number
  /** When an answer has named it last. */
  readonly seen: number
  readonly standing: Standing
}

/** An entry has come, has changed its standing, or has gone: `was` or `is` is undefined then. */
export type OnChange = (name: string, host: Host, was: Standing | undefined, is: Standing | undefined) => void

export interface BookOptions {
  readonly onChange: OnChange
  /** Seconds that an address outlives its TTL: programs keep answers, too. */
  readonly grace: () => number
  /** Whether a name is asked for again and again: then the newest answer stays until there is a newer one. */
  readonly isWatched: (name: string) => boolean
}

/** What an answer says of a name. */
export interface Learned {
  readonly hosts: readonly Host[]
  /** Seconds. */
  readonly ttl: number
}

interface Page {
  entries: Map<string, Entry>
  /** When each family was answered last. */
  readonly answered: Record<Family, number>
  /** No entry changes before: milliseconds since the epoch. */
  due: number
}

/** Names under wildcards are chosen by whoever asks. */
const NAMES_AT_MOST = 16_384
const FORMER_AT_MOST = 256
/** Seconds. */
const TTL_AT_LEAST = 1
const FORMER_MS = 24 * 3600 * 1000
/** For so long the last good answer stands in for a resolver that does not answer. */
const LAST_GOOD_MS = 7 * 24 * 3600 * 1000

export class AddressBook {
  readonly #options: BookOptions
  readonly #pages = new Map<string, Page>()

  constructor(options: BookOptions) {
    this.#options = options
  }

  get names(): IterableIterator<string> {
    return this.#pages.keys()
  }

  /** All that is known of a name, the oldest first. */
  entries(name: string): Entry[] {
    return [...(this.#pages.get(name)?.entries.values() ?? [])]
  }

  /** Those of them to which connections may begin. */
  current(name: string): Entry[] {
    return this.entries(name).filter(({ standing }) => standing === 'current')
  }

  /** Whether an answer says nothing new: all of it is current, for as long as the answer may be kept. */
  knows(name: string, { hosts, ttl }: Learned, now: number): boolean {
    const entries = this.#pages.get(name)?.entries
    return hosts.every((host) => {
      const entry = entries?.get(keyOf(host))
      return entry?.standing === 'current' && entry.expires >= now + ttl * 1000
    })
  }

  /** Takes an answer. One without an address says nothing: the last good one stays. @param now milliseconds since the epoch */
  learn(name: string, { hosts, ttl }: Learned, now: number): void {
    if (hosts.length === 0) return
    const page = this.#page(name)
    if (page === undefined) return
    const until = now + (Math.max(ttl, TTL_AT_LEAST) + this.#options.grace()) * 1000
    for (const host of hosts) {
      page.answered[host.family] = now
      // Some program may hold an earlier answer, which was for longer.
      const before = page.entries.get(keyOf(host))
      const expires = before?.standing === 'current' ? Math.max(before.expires, until) : until
      this.#put(name, page, { host, expires, seen: now, standing: 'current' })
    }
    this.#bound(name, page)
    // Older ones may have waited for this answer.
    page.due = now
  }

  /** Takes over what an earlier run knew: it counts until the first answers, and no longer than it would have. */
  restore(name: string, known: readonly Pick<Entry, 'host' | 'expires'>[], now: number): void {
    const page = this.#page(name)
    if (page === undefined) return
    const latest = now + (TTL_AT_MOST + this.#options.grace()) * 1000
    for (const { host, expires: written } of known) {
      const expires = Math.min(written, latest)
      if (!page.entries.has(keyOf(host)))
        this.#put(name, page, { host, expires, seen: 0, standing: 'current' })
    }
    this.#bound(name, page)
    this.#expirePage(name, page, now)
  }

  /** Forgets names that nobody allows any more. */
  keep(isAllowed: (name: string) => boolean): void {
    for (const name of [...this.#pages.keys()]) if (!isAllowed(name)) this.#forget(name)
  }

  /** Lets go what counts no longer. */
  expire(now: number): void {
    for (const [name, page] of this.#pages) if (page.due <= now) this.#expirePage(name, page, now)
  }

  /** undefined: there is no room for one more. */
  #page(name: string): Page | undefined {
    if (!this.#pages.has(name) && this.#pages.size >= NAMES_AT_MOST && !this.#makeRoom(name)) return undefined
    const page = this.#pages.get(name) ?? {
      entries: new Map(),
      answered: { 4: 0, 6: 0 },
      due: Number.POSITIVE_INFINITY,
    }
    // The last that was spoken of is the last to go.
    this.#pages.delete(name)
    this.#pages.set(name, page)
    return page
  }

  /** Names that are in the allowlist themselves stay, and come, always. */
  #makeRoom(wanted: string): boolean {
    for (const name of this.#pages.keys()) {
      if (this.#options.isWatched(name)) continue
      this.#forget(name)
      return true
    }
    return this.#options.isWatched(wanted)
  }

  #forget(name: string): void {
    const page = this.#pages.get(name)!
    for (const entry of page.entries.values())
      this.#options.onChange(name, entry.host, entry.standing, undefined)
    this.#pages.delete(name)
  }

  /** Puts an entry behind all others. */
  #put(name: string, page: Page, entry: Entry): void {
    const key = keyOf(entry.host)
    const before = page.entries.get(key)
    page.entries.delete(key)
    page.entries.set(key, entry)
    page.due = Math.min(page.due, entry.expires)
    if (before?.standing !== entry.standing)
      this.#options.onChange(name, entry.host, before?.standing, entry.standing)
  }

  /** No more than so many of each standing, the newest kept: rotating answers must not grow without end. */
  #bound(name: string, page: Page): void {
    const current = [...page.entries.values()].filter(({ standing }) => standing === 'current')
    for (const entry of current.slice(0, -HOSTS_AT_MOST)) this.#retire(name, page, entry, entry.seen)
    const former = [...page.entries.values()].filter(({ standing }) => standing === 'former')
    for (const entry of former.slice(0, -FORMER_AT_MOST)) this.#drop(name, page, entry)
  }

  #expirePage(name: string, page: Page, now: number): void {
    page.due = Number.POSITIVE_INFINITY
    for (const entry of [...page.entries.values()]) {
      const until = entry.standing === 'former' ? entry.expires : this.#until(name, page, entry)
      if (until > now) page.due = Math.min(page.due, until)
      else if (entry.standing === 'former') this.#drop(name, page, entry)
      else this.#retire(name, page, entry, now)
    }
    if (page.entries.size === 0) this.#pages.delete(name)
  }

  /** Until when a current entry stays so, as far as is known. */
  #until(name: string, page: Page, { host, seen, expires }: Entry): number {
    const isNewest = seen >= page.answered[host.family]
    return isNewest && this.#options.isWatched(name) ? expires + LAST_GOOD_MS : expires
  }

  #retire(name: string, page: Page, entry: Entry, now: number): void {
    this.#put(name, page, { ...entry, standing: 'former', expires: now + FORMER_MS })
  }

  #drop(name: string, page: Page, entry: Entry): void {
    page.entries.delete(keyOf(entry.host))
    this.#options.onChange(name, entry.host, entry.standing, undefined)
  }
}

const keyOf = ({ family, words }: Host): string => `${family} ${words.join()}`
