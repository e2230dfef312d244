/** So many at once, and then so many a second. */
export class Tokens {
  readonly #burst: number
  readonly #perSecond: number
  #left: number

  constructor(burst: number, perSecond: number) {
    this.#burst = burst
    this.#perSecond = perSecond
    this.#left = burst
  }

  get any(): boolean {
    return this.#left >= 1
  }

  get full(): boolean {
    return this.#left === this.#burst
  }

  /** Takes one, even where there is none: then it is taken from those to come. */
  take(): void {
    this.#left--
  }

  refill(ms: number): void {
    this.#left = Math.min(this.#burst, this.#left + (ms * this.#perSecond) / 1000)
  }
}
