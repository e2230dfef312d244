/** What is known of one name: its addresses, and when that changes. */
import type { Address, Family } from '../core/packet/ip.js'
import type { SavedAddress } from './addresses-file.js'

/**
 * - `current`: connections to it may begin
 * - `former`: it is answered no more; connections from before go on
 */
export type Standing = 'current' | 'former'

export interface CachedAddress {
  readonly host: Address
  /** Milliseconds since the epoch: until then it counts, whatever later answers say. */
  readonly expires: number
  /** When an answer has named it last. */
  readonly seen: number
  readonly standing: Standing
}

/** An entry has come, has changed its standing, or has gone: `was` or `is` is undefined then. */
export type OnEntry = (host: Address, was: Standing | undefined, is: Standing | undefined) => void

const FORMER_MS = 24 * 3600 * 1000

/** @returns what stands for an address in a Map */
export const keyOf = ({ family, words }: Address): string => `${family} ${words.join()}`

export class CachedName {
  /** No entry changes before: milliseconds since the epoch. */
  due = Number.POSITIVE_INFINITY
  readonly #room: Readonly<Record<Standing, number>>
  readonly #onEntry: OnEntry
  /** Each with the oldest first. */
  readonly #entries = { current: new Map<string, CachedAddress>(), former: new Map<string, CachedAddress>() }
  /** When each family was answered last. */
  readonly #answered: Record<Family, number> = { 4: 0, 6: 0 }

  /** @param room so many of each standing are kept, the newest: rotating answers must not grow without end */
  constructor(room: Readonly<Record<Standing, number>>, onEntry: OnEntry) {
    this.#room = room
    this.#onEntry = onEntry
  }

  get size(): number {
    return this.#entries.current.size + this.#entries.former.size
  }

  entries(): CachedAddress[] {
    return [...this.#entries.former.values(), ...this.#entries.current.values()]
  }

  /** Whether an address is current, until then at least. */
  knows(host: Address, until: number): boolean {
    const expires = this.#entries.current.get(keyOf(host))?.expires
    return expires !== undefined && expires >= until
  }

  /** Takes an answer. @param until when its time is over */
  learn(hosts: readonly Address[], until: number, now: number): void {
    for (const host of hosts) {
      this.#answered[host.family] = now
      const key = keyOf(host)
      // Some program may hold an earlier answer, which was for longer.
      const before = this.#entries.current.get(key)?.expires ?? 0
      this.#put(key, { host, expires: Math.max(before, until), seen: now, standing: 'current' })
    }
    this.#bound()
    // Older ones may have waited for this answer.
    this.due = now
  }

  /** Takes over what no answer has named yet. @param latest when the time of all of it is over */
  restore(known: readonly SavedAddress[], latest: number): void {
    for (const { host, expires } of known) {
      const key = keyOf(host)
      if (this.#standing(key) === undefined)
        this.#put(key, { host, expires: Math.min(expires, latest), seen: 0, standing: 'current' })
    }
    this.#bound()
  }

  /** Lets go what counts no longer. @param lastGood milliseconds for which the last answer stands in for the next */
  expire(now: number, lastGood: number): void {
    this.due = Number.POSITIVE_INFINITY
    const { current, former } = this.#entries
    for (const [key, entry] of former) if (!this.#stays(entry.expires, now)) this.#drop(key, entry)
    for (const [key, entry] of current) {
      const isNewest = entry.seen >= this.#answered[entry.host.family]
      if (!this.#stays(entry.expires + (isNewest ? lastGood : 0), now)) this.#retire(key, entry, now)
    }
    this.#bound()
  }

  clear(): void {
    for (const entries of Object.values(this.#entries))
      for (const [key, entry] of entries) this.#drop(key, entry)
  }

  #standing(key: string): Standing | undefined {
    const { current, former } = this.#entries
    return current.has(key) ? 'current' : former.has(key) ? 'former' : undefined
  }

  #stays(until: number, now: number): boolean {
    if (until > now) this.due = Math.min(this.due, until)
    return until > now
  }

  /** Puts an entry behind all others. */
  #put(key: string, entry: CachedAddress): void {
    const { host, standing, expires } = entry
    const was = this.#standing(key)
    if (was !== undefined) this.#entries[was].delete(key)
    this.#entries[standing].set(key, entry)
    this.due = Math.min(this.due, expires)
    if (was !== standing) this.#onEntry(host, was, standing)
  }

  #bound(): void {
    const { current, former } = this.#entries
    for (const [key, entry] of oldest(current, this.#room.current)) this.#retire(key, entry, entry.seen)
    for (const [key, entry] of oldest(former, this.#room.former)) this.#drop(key, entry)
  }

  #retire(key: string, entry: CachedAddress, now: number): void {
    this.#put(key, { ...entry, standing: 'former', expires: now + FORMER_MS })
  }

  #drop(key: string, { host, standing }: CachedAddress): void {
    this.#entries[standing].delete(key)
    this.#onEntry(host, standing, undefined)
  }
}

/** Those that are too many: whoever takes them out is given the next. */
function* oldest(
  entries: Map<string, CachedAddress>,
  most: number,
): IterableIterator<[string, CachedAddress]> {
  if (entries.size <= most) return
  for (const each of entries) {
    yield each
    if (entries.size <= most) return
  }
}
