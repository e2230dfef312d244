import type { Family, Host, Words } from './types.js'

interface Seen {
  readonly name: string
  /** Milliseconds since the epoch. */
  readonly until: number
}

/** Programs keep addresses longer than they may. */
const KEPT_MS = 3_600_000

/**
 * By which name this host last got an address from its resolvers: for the log, never for a verdict. Whoever asks for a name of
 * his own gets any address he likes.
 */
export class SeenNames {
  readonly #capacity: number
  /** The one that was seen longest ago first. */
  readonly #seen = new Map<string, Seen>()

  /** @param capacity addresses that are remembered at most: those seen longest ago are forgotten */
  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** @param now milliseconds since the epoch */
  note(hosts: readonly Host[], name: string, now: number): void {
    for (const { family, words } of hosts) {
      const key = keyOf(family, words)
      this.#seen.delete(key)
      this.#seen.set(key, { name, until: now + KEPT_MS })
    }
    for (const key of this.#seen.keys()) {
      if (this.#seen.size <= this.#capacity) break
      this.#seen.delete(key)
    }
  }

  /** The name of an address; undefined where nobody has asked for one lately that leads there. */
  nameOf(family: Family, words: Words, now: number): string | undefined {
    const seen = this.#seen.get(keyOf(family, words))
    return seen !== undefined && now < seen.until ? seen.name : undefined
  }
}

const keyOf = (family: Family, words: Words) => (family === 4 ? `${words[0]}` : words.join())
