const MINUTE_MS = 60_000

interface Snapshot<K> {
  /** Milliseconds of a clock that nobody sets. */
  readonly at: number
  readonly totals: ReadonlyMap<K, number>
}

/** How much counters have grown within the last minute: "is it still going on?" */
export class LastMinute<K> {
  /** The oldest first: one from before the minute, and those of it. */
  #snapshots: Snapshot<K>[] = []

  /** Once a second or so. @param totals of all counters that are not 0 */
  note(totals: Iterable<readonly [K, number]>, now: number): void {
    this.#snapshots.push({ at: now, totals: new Map(totals) })
    const isPast = ({ at }: Snapshot<K>) => now - at >= MINUTE_MS
    while (this.#snapshots.length > 1 && isPast(this.#snapshots[1]!)) this.#snapshots.shift()
  }

  /** @param total what the counter is at now */
  of(key: K, total: number, now: number): number {
    const [oldest] = this.#snapshots
    // There were fewer counters then, or no service.
    const before = oldest && now - oldest.at >= MINUTE_MS ? (oldest.totals.get(key) ?? 0) : 0
    return total - before
  }
}
