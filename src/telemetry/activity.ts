/** A longer break starts a new run of activity: a program that tries again does so within minutes. */
const BREAK_MS = 15 * 60_000

/** A run of activity, in milliseconds of a monotonic clock. */
export interface Activity {
  /** Start of the run. */
  readonly since: number
  /** The last time that the counter grew. */
  readonly last: number
}

/**
 * Keeps, for each counter, the start of the current run of activity and the last activity. A gap of 15
 * minutes starts a new run.
 */
export class ActivityTracker<K> {
  readonly #runs = new Map<K, Activity & { readonly total: number }>()

  /** To be called about once a second. @param totals values of all counters that are not 0 */
  note(totals: Iterable<readonly [K, number]>, now: number): void {
    for (const [key, total] of totals)
      if (total !== this.#runs.get(key)?.total) this.#runs.set(key, { ...this.of(key, total, now), total })
  }

  /** @param total current value of the counter, above 0 */
  of(key: K, total: number, now: number): Activity {
    const known = this.#runs.get(key)
    if (known === undefined) return { since: now, last: now }
    if (known.total === total) return known
    return { since: now - known.last > BREAK_MS ? now : known.since, last: now }
  }
}
