/** The first sum of what goes on is told after so many milliseconds, each next one after twice as long, */
export const FIRST_WINDOW = 30_000
/** but never later than this: whether it still goes on is a question at any time. */
export const LONGEST_WINDOW = 15 * 60_000

/** Blocks that are not told one by one, in the window of time at whose end their sum is. Times are milliseconds of one clock. */
export class SummaryWindow {
  blocks = 0
  #since: number
  #length = FIRST_WINDOW

  constructor(now: number) {
    this.#since = now
  }

  get end(): number {
    return this.#since + this.#length
  }

  /** Milliseconds since the window began. */
  age(now: number): number {
    return now - this.#since
  }

  /** Begins the next window. */
  next(now: number): void {
    this.blocks = 0
    this.#since = now
    this.#length = Math.min(this.#length * 2, LONGEST_WINDOW)
  }
}
