/** Holds the addresses of one name, and when each expires. */
import type { Address, Family } from '../core/packet/ip.js'
import type { SavedAddress } from './addresses-file.js'

/**
 * - `current`: new connections to the address may begin
 * - `former`: answers no longer name the address; connections that exist go on
 */
export type AddressState = 'current' | 'former'

export interface CachedAddress {
  readonly host: Address
  /** Milliseconds since the epoch: the address counts until then, whatever later answers name. */
  readonly expires: number
  /** When an answer named the address last: milliseconds since the epoch. 0 for one of an earlier run. */
  readonly seen: number
  readonly state: AddressState
}

/**
 * Called when an address is added (`was` is undefined), changes its state, or is dropped (`is` is undefined).
 */
export type OnAddressChange = (
  host: Address,
  was: AddressState | undefined,
  is: AddressState | undefined,
) => void

export interface CachedNameOptions {
  readonly onChange: OnAddressChange
  /** Whether somebody has used an address lately. */
  readonly isUsed: (host: Address, now: number) => boolean
}

const FORMER_MS = 24 * 3600 * 1000
/** With addresses in use, there may be so many times more former ones. */
const USED_FACTOR = 4

/** @returns the key of an address in a Map */
export const keyOf = ({ family, words }: Address): string => `${family} ${words.join()}`

export class CachedName {
  /** Nothing expires before this time: milliseconds since the epoch. */
  due = Number.POSITIVE_INFINITY
  readonly #limits: Readonly<Record<AddressState, number>>
  readonly #onChange: OnAddressChange
  readonly #isUsed: CachedNameOptions['isUsed']
  /** By key, in each state the oldest first. */
  readonly #entries = { current: new Map<string, CachedAddress>(), former: new Map<string, CachedAddress>() }
  /** When an answer last had addresses of each family: milliseconds since the epoch. */
  readonly #answered: Record<Family, number> = { 4: 0, 6: 0 }

  /**
   * @param limits number of addresses to keep in each state, the newest: rotating answers must not grow
   * without end
   */
  constructor(limits: Readonly<Record<AddressState, number>>, { onChange, isUsed }: CachedNameOptions) {
    this.#limits = limits
    this.#onChange = onChange
    this.#isUsed = isUsed
  }

  get size(): number {
    return this.#entries.current.size + this.#entries.former.size
  }

  entries(): CachedAddress[] {
    return [...this.#entries.former.values(), ...this.#entries.current.values()]
  }

  /** Whether an address is current at least until that time. */
  knows(host: Address, until: number): boolean {
    const expires = this.#entries.current.get(keyOf(host))?.expires
    return expires !== undefined && expires >= until
  }

  /** Takes an answer. @param until when it expires */
  learn(hosts: readonly Address[], until: number, now: number): void {
    for (const host of hosts) {
      this.#answered[host.family] = now
      const key = keyOf(host)
      // A program may have cached an earlier answer with a longer TTL.
      const before = this.#entries.current.get(key)?.expires ?? 0
      this.#put(key, { host, expires: Math.max(before, until), seen: now, state: 'current' })
    }
    this.#bound(now)
    // Older addresses were kept only until this answer.
    this.due = now
  }

  /** Takes over saved addresses that no answer has named yet. @param latest when all of them have expired */
  restore(known: readonly SavedAddress[], latest: number, now: number): void {
    for (const { host, expires, state = 'current' } of known) {
      const key = keyOf(host)
      const until = state === 'current' ? Math.min(expires, latest) : now + FORMER_MS
      if (this.#stateOf(key) === undefined) this.#put(key, { host, expires: until, seen: 0, state })
    }
    this.#bound(now)
  }

  /**
   * Drops what has expired. @param serveStale milliseconds for which the last answer is used beyond its time
   */
  expire(now: number, serveStale: number): void {
    this.due = Number.POSITIVE_INFINITY
    const { current, former } = this.#entries
    for (const [key, entry] of former) {
      if (this.#isValid(entry.expires, now)) continue
      if (this.#isUsed(entry.host, now)) this.#retire(key, entry, now)
      else this.#drop(key, entry)
    }
    for (const [key, entry] of current) {
      const isNewest = entry.seen >= this.#answered[entry.host.family]
      if (!this.#isValid(entry.expires + (isNewest ? serveStale : 0), now)) this.#retire(key, entry, now)
    }
    this.#bound(now)
  }

  clear(): void {
    for (const entries of Object.values(this.#entries))
      for (const [key, entry] of entries) this.#drop(key, entry)
  }

  #stateOf(key: string): AddressState | undefined {
    const { current, former } = this.#entries
    return current.has(key) ? 'current' : former.has(key) ? 'former' : undefined
  }

  #isValid(until: number, now: number): boolean {
    if (until > now) this.due = Math.min(this.due, until)
    return until > now
  }

  /** Puts an address behind all others. */
  #put(key: string, entry: CachedAddress): void {
    const { host, state, expires } = entry
    const was = this.#stateOf(key)
    if (was !== undefined) this.#entries[was].delete(key)
    this.#entries[state].set(key, entry)
    this.due = Math.min(this.due, expires)
    if (was !== state) this.#onChange(host, was, state)
  }

  #bound(now: number): void {
    const { current, former } = this.#entries
    const { current: mostCurrent, former: mostFormer } = this.#limits
    for (const [key, entry] of oldest(current, mostCurrent)) this.#retire(key, entry, entry.seen)
    // Addresses in use are dropped last.
    for (const [key, entry] of oldest(former, mostFormer))
      if (former.size > USED_FACTOR * mostFormer || !this.#isUsed(entry.host, now)) this.#drop(key, entry)
  }

  #retire(key: string, entry: CachedAddress, now: number): void {
    this.#put(key, { ...entry, state: 'former', expires: now + FORMER_MS })
  }

  #drop(key: string, { host, state }: CachedAddress): void {
    this.#entries[state].delete(key)
    this.#onChange(host, state, undefined)
  }
}

/** The oldest entries beyond `most`. The caller removes each before it takes the next. */
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
