/** Asks for names again and again, so that their addresses are known before anybody needs them. */

export interface WatcherOptions<Answer> {
  /** Asks once. Rejects where nobody answers, or where the answer is none. */
  readonly resolve: (name: string) => Promise<Answer>
  readonly onAnswer: (name: string, answer: Answer) => void
  readonly onFailure: (name: string, error: unknown) => void
  /** Seconds for which an answer may be kept. */
  readonly ttlOf: (answer: Answer) => number
  /** 0 to 1. */
  readonly random: () => number
}

interface Watched {
  failures: number
  timer: NodeJS.Timeout | undefined
}

/** Seconds between two questions: an answer's TTL, but within these. */
const SHORTEST_S = 5
const LONGEST_S = 3600
const BACKOFF_S = [1, 2, 5, 10, 30, 60] as const
const QUESTIONS_AT_ONCE = 16

/**
 * Each name is asked for again when its answer's time is up (with some jitter, so that many hosts do not ask at once), and
 * after a failure sooner.
 */
export class NameWatcher<Answer> {
  readonly #options: WatcherOptions<Answer>
  readonly #watched = new Map<string, Watched>()
  #asking = 0
  readonly #waiting: (() => void)[] = []

  constructor(options: WatcherOptions<Answer>) {
    this.#options = options
  }

  /** Watches just these names from now on. Settles when each new one was asked for once, well or not. */
  async watch(names: Iterable<string>): Promise<void> {
    const wanted = new Set(names)
    for (const name of this.#watched.keys()) if (!wanted.has(name)) this.#forget(name)
    const fresh = [...wanted].filter((name) => !this.#watched.has(name))
    for (const name of fresh) this.#watched.set(name, { failures: 0, timer: undefined })
    await Promise.all(fresh.map((name) => this.#ask(name)))
  }

  /** Whether a name is watched. */
  has(name: string): boolean {
    return this.#watched.has(name)
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
      // Not one that was given up while it waited for its turn.
      if (this.#watched.has(name)) this.#learn(name, await this.#options.resolve(name))
    } catch (error) {
      this.#fail(name, error)
    } finally {
      this.#asking--
      this.#waiting.shift()?.()
    }
  }

  async #turn(): Promise<void> {
    while (this.#asking >= QUESTIONS_AT_ONCE)
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
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

  /** Up to a tenth earlier or later. */
  #again(name: string, watched: Watched, seconds: number): void {
    clearTimeout(watched.timer)
    const jitter = 0.9 + 0.2 * this.#options.random()
    watched.timer = setTimeout(() => this.#ask(name), seconds * jitter * 1000)
    watched.timer.unref()
  }
}
