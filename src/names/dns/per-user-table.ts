/** A table with room for so many entries of each user, the oldest out first: nobody's flood pushes out those of others. */

const USERS_AT_MOST = 256

interface TimedValue<T> {
  readonly value: T
  /** Milliseconds since the epoch. */
  readonly expires: number
}

export class PerUserTable<T> {
  readonly #users = new Map<number, Map<string, TimedValue<T>>>()
  readonly #room: number
  readonly #lifetime: number

  /** @param room entries a user @param lifetime of an entry, in milliseconds */
  constructor(room: number, lifetime: number) {
    this.#room = room
    this.#lifetime = lifetime
  }

  get size(): number {
    let size = 0
    for (const entries of this.#users.values()) size += entries.size
    return size
  }

  /**
   * In the place of what had the key before. Nothing is kept of one user too many, but for those who are trusted.
   * @param uid or -1 where the kernel names none
   */
  put(uid: number, key: string, value: T, now: number, isTrusted = false): void {
    let entries = this.#users.get(uid)
    if (entries === undefined) {
      if (this.#users.size >= USERS_AT_MOST && !isTrusted) return
      entries = new Map()
      this.#users.set(uid, entries)
    }
    entries.delete(key)
    if (entries.size >= this.#room) entries.delete(entries.keys().next().value!)
    entries.set(key, { value, expires: now + this.#lifetime })
  }

  /** What has the key, whosever it is. */
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
        // They are in the order of their age.
        if (expires > now) break
        entries.delete(key)
      }
      if (entries.size === 0) this.#users.delete(uid)
    }
  }
}
