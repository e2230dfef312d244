/** Units that are counted at a time, and those that a summary names. */
const COUNTED = 16
const NAMED = 3

/**
 * Counts the blocks of each unit, for a summary that names those with the most. It is bounded: when there
 * are more units than it counts, all counts go down by one, and a unit without any is forgotten (Misra and
 * Gries). So a unit with a large part of all blocks stays.
 */
export class UnitCounts {
  readonly #counts = new Map<string, number>()

  add(unit: string): void {
    const count = this.#counts.get(unit)
    if (count !== undefined || this.#counts.size < COUNTED) this.#counts.set(unit, (count ?? 0) + 1)
    else this.#decrement()
  }

  /** The units with the most blocks, for a summary; none when no unit is known. */
  get summary(): { readonly units?: readonly string[] } {
    if (this.#counts.size === 0) return {}
    const sorted = [...this.#counts].sort(([, a], [, b]) => b - a)
    return { units: sorted.slice(0, NAMED).map(([unit]) => unit) }
  }

  #decrement(): void {
    for (const [unit, count] of this.#counts)
      if (count === 1) this.#counts.delete(unit)
      else this.#counts.set(unit, count - 1)
  }
}
