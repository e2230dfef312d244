import type { Host } from '../core/ruleset.js'

/** What a resolver says of a name: its addresses, and for how many seconds they may be kept. */
export interface Answer {
  readonly hosts: readonly Host[]
  readonly ttl: number
}

export interface NameWatcherOptions {
  /** Asks once. Rejects, or finds no address, where it fails. */
  readonly resolve: (name: string) => Promise<Answer>
  /** The addresses of a name have changed. */
  readonly onChange: (name: string) => void
  readonly onFailure: (name: string, error: unknown) => void
  readonly onSuccess?: (name: string) => void
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** 0 to 1. */
  readonly random: () => number
}

interface Known {
  readonly host: Host
  readonly key: string
  /** Milliseconds since the epoch; the newest answer of a name never expires. */
  expires: number
}

interface Watched {
  known: Known[]
  failures: number
  timer: NodeJS.Timeout | undefined
}

/** Addresses of one name at most, the newest kept: rotating answers must not grow without end. */
const HOSTS_AT_MOST = 64
/** Seconds between two questions: an answer's TTL, but within these. */
const SHORTEST_S = 5
const LONGEST_S = 3600
/** An address that is no longer answered stays this long: programs keep answers, too. */
const GRACE_S = 300
const BACKOFF_S = [1, 2, 5, 10, 30, 60] as const
const QUESTIONS_AT_ONCE = 16

/**
 * Keeps the addresses of host names current. Each name is asked again when its answer's time is up (with some
 * jitter, so that many hosts do not ask at once). A failure changes nothing: the last good addresses stay.
 */
export class NameWatcher {
  readonly #options: NameWatcherOptions
  readonly #watched = new Map<string, Watched>()
  #asking = 0
  readonly #waiting: (() => void)[] = []

  constructor(options: NameWatcherOptions) {
    this.#options = options
  }

  /** Watches just these names from now on. Settles when each new one was asked once, well or not. */
  async watch(names: Iterable<string>): Promise<void> {
    const wanted = new Set(names)
    for (const name of this.#watched.keys()) if (!wanted.has(name)) this.#forget(name)
    const fresh = [...wanted].filter((name) => !this.#watched.has(name))
    for (const name of fresh) this.#watched.set(name, { known: [], failures: 0, timer: undefined })
    await Promise.all(fresh.map((name) => this.#ask(name)))
  }

  /** The addresses of a name now; none where it is not watched or was never answered. */
  hosts(name: string): readonly Host[] {
    return this.#watched.get(name)?.known.map(({ host }) => host) ?? []
  }

  /** All that is known, to be kept across a restart. */
  snapshot(): Record<string, readonly Host[]> {
    return Object.fromEntries([...this.#watched.keys()].map((name) => [name, this.hosts(name)]))
  }

  /** Takes over what an earlier run knew, before the first answers. */
  restore(name: string, hosts: readonly Host[]): void {
    const watched = this.#watched.get(name)
    if (watched && watched.known.length === 0) watched.known = this.#merge([], { hosts, ttl: 0 })
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
      if (this.#watched.has(name)) this.#learn(name, await this.#answer(name))
    } catch (error) {
      this.#fail(name, error)
    } finally {
      this.#asking--
      this.#waiting.shift()?.()
    }
  }

  async #answer(name: string): Promise<Answer> {
    const answer = await this.#options.resolve(name)
    if (answer.hosts.length === 0) throw new Error('it has no address')
    return answer
  }

  async #turn(): Promise<void> {
    while (this.#asking >= QUESTIONS_AT_ONCE)
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#asking++
  }

  #learn(name: string, answer: Answer): void {
    const watched = this.#watched.get(name)
    if (!watched) return
    const before = keysOf(watched.known)
    watched.known = this.#merge(watched.known, answer)
    watched.failures = 0
    this.#options.onSuccess?.(name)
    if (keysOf(watched.known) !== before) this.#options.onChange(name)
    this.#again(name, watched, Math.min(LONGEST_S, Math.max(SHORTEST_S, answer.ttl)))
  }

  #merge(known: readonly Known[], { hosts, ttl }: Answer): Known[] {
    const now = this.#options.now()
    const expires = now + (Math.max(ttl, SHORTEST_S) + GRACE_S) * 1000
    const fresh = new Map(hosts.map((host) => [keyOf(host), { host, key: keyOf(host), expires }]))
    const older = known.filter(({ key, expires }) => !fresh.has(key) && expires > now)
    return [...fresh.values(), ...older].slice(0, HOSTS_AT_MOST)
  }

  #fail(name: string, error: unknown): void {
    const watched = this.#watched.get(name)
    if (!watched) return
    const seconds = BACKOFF_S[Math.min(watched.failures++, BACKOFF_S.length - 1)]!
    this.#options.onFailure(name, error)
    this.#again(name, watched, seconds)
  }

  /** Up to a tenth earlier or later. */
  #again(name: string, watched: Watched, seconds: number): void {
    clearTimeout(watched.timer)
    const jitter = 0.9 + 0.2 * this.#options.random()
    watched.timer = setTimeout(() => this.#ask(name), seconds * jitter * 1000)
    watched.timer.unref()
  }
}

const keyOf = ({ family, words }: Host): string => `${family} ${words.join()}`

/** Answers rotate: their order says nothing. */
const keysOf = (known: readonly Known[]) =>
  known
    .map(({ key }) => key)
    .sort()
    .join()
