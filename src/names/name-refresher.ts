/** Looks names up again and again, so that their addresses are known before a program needs them. */

export interface RefresherOptions<Answer> {
  /** Looks a name up once. Rejects when no resolver answers, or the answer is an error. */
  readonly resolve: (name: string) => Promise<Answer>
  readonly onAnswer: (name: string, answer: Answer) => void
  readonly onFailure: (name: string, error: unknown) => void
  /** Seconds for which an answer may be kept. */
  readonly ttlOf: (answer: Answer) => number
  /** Returns 0 to 1. */
  readonly random: () => number
}

/** Numbers of names whose last look-up was good, and of those where it failed. */
export interface LookupCounts {
  readonly good: number
  readonly failing: number
}

interface Watched {
  failures: number
  timer: NodeJS.Timeout | undefined
}

/** Seconds between two look-ups of a name: the answer's TTL within these limits. */
const SHORTEST_S = 5
const LONGEST_S = 3600
const BACKOFF_S = [1, 2, 5, 10, 30, 60] as const
const LOOKUPS_AT_ONCE = 16

/**
 * Looks each name up again when its answer expires (with some jitter, so that many hosts do not ask at once),
 * and sooner after a failure.
 */
export class NameRefresher<Answer> {
  readonly #options: RefresherOptions<Answer>
  readonly #watched = new Map<string, Watched>()
  #asking = 0
  readonly #waiting: (() => void)[] = []

  constructor(options: RefresherOptions<Answer>) {
    this.#options = options
  }

  /** Refreshes just these names from now on. Settles when each new name was looked up once, well or not. */
  async watch(names: Iterable<string>): Promise<void> {
    const wanted = new Set(names)
    for (const name of this.#watched.keys()) if (!wanted.has(name)) this.#forget(name)
    const fresh = [...wanted].filter((name) => !this.#watched.has(name))
    for (const name of fresh) this.#watched.set(name, { failures: 0, timer: undefined })
    await Promise.all(fresh.map((name) => this.#ask(name)))
  }

  /** Whether a name is refreshed. */
  has(name: string): boolean {
    return this.#watched.has(name)
  }

  /** Counts the names by the result of their last look-up; one whose first is under way is good. */
  get counts(): LookupCounts {
    let failing = 0
    for (const { failures } of this.#watched.values()) if (failures > 0) failing++
    return { good: this.#watched.size - failing, failing }
  }

  stop(): void {
    for (const name of [...this.#watched.keys()]) this.#forget(name)
  }

  #forget(name: string): void {
    clearTimeout(this.#watched.get(name)?.timer)
    this.#watched.delete(name)
  }

  async #ask(name: string): Promise<void> {
    await this.#turn()
    try {
      // The name may have been given up while it waited for its turn.
      if (this.#watched.has(name)) this.#learn(name, await this.#options.resolve(name))
    } catch (error) {
      this.#fail(name, error)
    } finally {
      this.#asking--
      this.#waiting.shift()?.()
    }
  }

  async #turn(): Promise<void> {
    while (this.#asking >= LOOKUPS_AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#asking++
  }

  #learn(name: string, answer: Answer): void {
    const watched = this.#watched.get(name)
    if (!watched) return
    watched.failures = 0
    this.#again(name, watched, Math.min(LONGEST_S, Math.max(SHORTEST_S, this.#options.ttlOf(answer))))
    this.#options.onAnswer(name, answer)
  }

  #fail(name: string, error: unknown): void {
    const watched = this.#watched.get(name)
    if (!watched) return
    const seconds = BACKOFF_S[Math.min(watched.failures++, BACKOFF_S.length - 1)]!
    this.#again(name, watched, seconds)
    this.#options.onFailure(name, error)
  }

  /** Schedules the next look-up, up to a tenth earlier or later. */
  #again(name: string, watched: Watched, seconds: number): void {
    clearTimeout(watched.timer)
    const jitter = 0.9 + 0.2 * this.#options.random()
    watched.timer = setTimeout(() => this.#ask(name), seconds * jitter * 1000)
    watched.timer.unref()
  }
}
