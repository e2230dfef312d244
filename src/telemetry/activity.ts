/** Whoever tries again does so within minutes: a longer break ends a bout. */
const BREAK_MS = 15 * 60_000

/** Milliseconds of a clock that nobody sets. */
export interface Bout {
  /** When it began. */
  readonly since: number
  /** When the counter has grown last. */
  readonly last: number
}

/** Since when counters grow, and when they have grown last: "how long has that gone on, and is it over?" */
export class ActivityTracker<K> {
  readonly #bouts = new Map<K, Bout & { readonly total: number }>()

  /** Once a second or so. @param totals of all counters that are not 0 */
  note(totals: Iterable<readonly [K, number]>, now: number): void {
    for (const [key, total] of totals)
      if (total !== this.#bouts.get(key)?.total) this.#bouts.set(key, { ...this.of(key, total, now), total })
  }

  /** @param total what the counter is at now; it is not 0 */
  of(key: K, total: number, now: number): Bout {
    const known = this.#bouts.get(key)
    if (known === undefined) return { since: now, last: now }
    if (known.total === total) return known
    return { since: now - known.last > BREAK_MS ? now : known.since, last: now }
  }
}
