/**
 * Limits how much of something is used: a burst at once, and after that so much a second. What is taken
 * beyond the tokens that are there is a debt, so that the rate is kept however large a single use is.
 */
export class TokenBucket {
  readonly #burst: number
  readonly #perSecond: number
  #tokens: number
  #refilledAt: number

  /**
   * Starts full.
   * @param burst tokens that the bucket holds
   * @param perSecond tokens that are added in a second
   * @param now milliseconds of a monotonic clock, the same for all calls
   */
  constructor(burst: number, perSecond: number, now: number) {
    this.#burst = burst
    this.#perSecond = perSecond
    this.#tokens = burst
    this.#refilledAt = now
  }

  /** Returns the tokens that are there at `now`: at most the burst; 0 or less when all are used up. */
  available(now: number): number {
    const added = ((now - this.#refilledAt) * this.#perSecond) / 1000
    this.#tokens = Math.min(this.#burst, this.#tokens + added)
    this.#refilledAt = now
    return this.#tokens
  }

  /** Takes tokens, even more than are there: the difference comes off those that are added later. */
  take(amount: number): void {
    this.#tokens -= amount
  }
}
