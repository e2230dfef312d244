/**
 * Time that may be spent on something: so much a second, and saved up for one second at most. What takes longer than is left
 * makes debts, so that the whole stays within its bounds, however long a single thing takes.
 */
export class TimeBudget {
  readonly #perSecond: number
  #left: number
  #last: number

  /** @param perSecond milliseconds that may be spent in a second @param now milliseconds of a monotonic clock */
  constructor(perSecond: number, now: number) {
    this.#perSecond = perSecond
    this.#left = perSecond
    this.#last = now
  }

  /** Whether there is any left. */
  has(now: number): boolean {
    this.#left = Math.min(this.#perSecond, this.#left + ((now - this.#last) * this.#perSecond) / 1000)
    this.#last = now
    return this.#left > 0
  }

  /** @param ms that were spent */
  spend(ms: number): void {
    this.#left -= ms
  }
}
