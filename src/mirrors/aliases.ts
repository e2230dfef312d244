/** Names that others are aliases of: what a CNAME leads to (RFC 1034, section 3.6.2). */

interface Alias {
  /** The names that have led here. */
  readonly origins: Set<string>
  /** Milliseconds since the epoch. */
  expires: number
}

const ALIASES_AT_MOST = 4096

export class Aliases {
  readonly #aliases = new Map<string, Alias>()

  has(name: string): boolean {
    return this.#aliases.has(name)
  }

  /** The names that lead to this one. */
  originsOf(name: string): Iterable<string> {
    return this.#aliases.get(name)?.origins ?? []
  }

  /** `origin` leads to `name`, until then at least. */
  note(name: string, origin: string, expires: number): void {
    const known = this.#aliases.get(name) ?? { origins: new Set(), expires: 0 }
    known.origins.add(origin)
    known.expires = Math.max(known.expires, expires)
    // The last that was spoken of is the last to go.
    this.#aliases.delete(name)
    this.#aliases.set(name, known)
    if (this.#aliases.size > ALIASES_AT_MOST) this.#aliases.delete(this.#aliases.keys().next().value!)
  }

  /** Forgets those to which no allowed name leads any more. */
  keep(isAllowed: (name: string) => boolean): void {
    for (const [name, { origins }] of this.#aliases)
      if (![...origins].some(isAllowed)) this.#aliases.delete(name)
  }

  expire(now: number): void {
    for (const [name, { expires }] of this.#aliases) if (expires <= now) this.#aliases.delete(name)
  }
}
