/**
 * Collects failed look-ups into one line for the log: a resolver that is down fails for all names at once.
 */

const PAUSE_MS = 10_000

export class LookupFailures {
  readonly #reasons = new Map<string, string>()
  #notBefore = 0

  note(name: string, reason: string): void {
    this.#reasons.set(name, reason)
  }

  /**
   * Returns a line about the failures since the last line, at most once in 10 seconds; undefined when there
   * are none.
   * @param now milliseconds since the epoch
   */
  line(now: number): string | undefined {
    if (this.#reasons.size === 0 || now < this.#notBefore) return undefined
    const [[name, reason] = ['', '']] = this.#reasons
    const others = this.#reasons.size === 1 ? '' : ` and ${this.#reasons.size - 1} other names`
    this.#reasons.clear()
    this.#notBefore = now + PAUSE_MS
    return `${name}${others} cannot be looked up (${reason}); the addresses known of them stay allowed`
  }
}
