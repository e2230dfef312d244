const MINUTE_MS = 60_000

interface Snapshot<K> {
  /** Milliseconds of a monotonic clock. */
  readonly at: number
  readonly totals: ReadonlyMap<K, number>
}

/** Computes how much counters grew in the last minute. */
export class LastMinute<K> {
  /** The oldest first: one from before the last minute, then those of the last minute. */
  #snapshots: Snapshot<K>[] = []

  /** To be called about once a second. @param totals values of all counters that are not 0 */
  note(totals: Iterable<readonly [K, number]>, now: number): void {
    this.#snapshots.push({ at: now, totals: new Map(totals) })
    const isPast = ({ at }: Snapshot<K>) => now - at >= MINUTE_MS
    while (this.#snapshots.length > 1 && isPast(this.#snapshots[1]!)) this.#snapshots.shift()
  }

  /** @param total current value of the counter @returns its growth in the last minute */
  of(key: K, total: number, now: number): number {
    const [oldest] = this.#snapshots
    // Without a snapshot a minute old, or without the counter in it, the value was 0.
    const before = oldest && now - oldest.at >= MINUTE_MS ? (oldest.totals.get(key) ?? 0) : 0
    return total - before
  }
}
