/**
 * A table with a limit for each user, whose oldest entry is evicted first: no user can evict entries of
 * others.
 */

const USERS_AT_MOST = 256

interface TimedValue<T> {
  readonly value: T
  /** Milliseconds since the epoch. */
  readonly expires: number
}

export class PerUserTable<T> {
  readonly #users = new Map<number, Map<string, TimedValue<T>>>()
  readonly #maxPerUser: number
  readonly #lifetime: number

  /** @param maxPerUser entries of one user @param lifetime of an entry: milliseconds */
  constructor(maxPerUser: number, lifetime: number) {
    this.#maxPerUser = maxPerUser
    this.#lifetime = lifetime
  }

  get size(): number {
    let size = 0
    for (const entries of this.#users.values()) size += entries.size
    return size
  }

  /**
   * Puts an entry, which replaces one of the same user and key. Nothing is kept for an untrusted user beyond
   * the limit of users. @param uid user id, or -1 when the kernel names none
   */
  put(uid: number, key: string, value: T, now: number, isTrusted = false): void {
    let entries = this.#users.get(uid)
    if (entries === undefined) {
      if (this.#users.size >= USERS_AT_MOST && !isTrusted) return
      entries = new Map()
      this.#users.set(uid, entries)
    }
    entries.delete(key)
    if (entries.size >= this.#maxPerUser) entries.delete(entries.keys().next().value!)
    entries.set(key, { value, expires: now + this.#lifetime })
  }

  /** Returns the value of a key, of any user. */
  get(key: string, now: number): T | undefined {
    for (const entries of this.#users.values()) {
      const entry = entries.get(key)
      if (entry !== undefined && entry.expires > now) return entry.value
    }
    return undefined
  }

  delete(key: string): void {
    for (const entries of this.#users.values()) entries.delete(key)
  }

  /** Forgets what is too old. */
  expire(now: number): void {
    for (const [uid, entries] of this.#users) {
      for (const [key, { expires }] of entries) {
        // Entries are in the order of their age.
        if (expires > now) break
        entries.delete(key)
      }
      if (entries.size === 0) this.#users.delete(uid)
    }
  }
}
