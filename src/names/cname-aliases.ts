/** Remembers which names CNAME records lead to, and from which allowed names (RFC 1034, section 3.6.2). */
import { putLast } from '../core/bounded/put-last.js'

const ALIASES_AT_MOST = 4096
/** Names that lead to one alias: below a wildcard there is no end of them. */
const ORIGINS_AT_MOST = 64

export class Aliases {
  /** By alias: the names that lead to it, each with its expiry time in milliseconds since the epoch. */
  readonly #aliases = new Map<string, Map<string, number>>()

  has(name: string): boolean {
    return this.#aliases.has(name)
  }

  /** The names whose CNAME records lead to this one. */
  originsOf(name: string): Iterable<string> {
    return this.#aliases.get(name)?.keys() ?? []
  }

  /** Notes that `origin` leads to `name`. @param expires milliseconds since the epoch */
  note(name: string, origin: string, expires: number): void {
    const origins = this.#aliases.get(name) ?? new Map<string, number>()
    putLast(origins, origin, Math.max(origins.get(origin) ?? 0, expires), ORIGINS_AT_MOST)
    putLast(this.#aliases, name, origins, ALIASES_AT_MOST)
  }

  /** Forgets the aliases to which no allowed name leads any more. */
  keep(isAllowed: (name: string) => boolean): void {
    for (const [name, origins] of this.#aliases)
      if (![...origins.keys()].some(isAllowed)) this.#aliases.delete(name)
  }

  expire(now: number): void {
    for (const [name, origins] of this.#aliases) {
      for (const [origin, expires] of origins) if (expires <= now) origins.delete(origin)
      if (origins.size === 0) this.#aliases.delete(name)
    }
  }
}
