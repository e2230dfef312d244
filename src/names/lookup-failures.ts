/** Look-ups that have failed, for the operator: a resolver that is down fails for all names at once, and that is one line. */

const PAUSE_MS = 10_000

export class Failures {
  readonly #reasons = new Map<string, string>()
  #notBefore = 0

  note(name: string, reason: string): void {
    this.#reasons.set(name, reason)
  }

  /** A line on those since the last one, if there are any, and if that was long enough ago. @param now milliseconds since the epoch */
  line(now: number): string | undefined {
    if (this.#reasons.size === 0 || now < this.#notBefore) return undefined
    const [[name, reason] = ['', '']] = this.#reasons
    const others = this.#reasons.size === 1 ? '' : ` and ${this.#reasons.size - 1} other names`
    this.#reasons.clear()
    this.#notBefore = now + PAUSE_MS
    return `${name}${others} cannot be looked up (${reason}); the addresses known of them stay allowed`
  }
}
