import { putLast } from '../bounded/put-last.js'
import type { Address, Family, Words } from '../packet/ip.js'

interface Seen {
  readonly name: string
  /** Milliseconds since the epoch. */
  readonly until: number
}

/** By address; the one that was seen longest ago first. */
type Names = Map<string, Seen>

/** Programs keep addresses longer than they may. */
const KEPT_MS = 3_600_000

/**
 * By which name a user last got an address from this host's resolvers: for the log, never for a verdict. Whoever asks for a name of
 * his own gets any address he likes: so it is the name of that address for himself, and for nobody else.
 */
export class ResolvedNames {
  readonly #users: number
  readonly #addresses: number
  /** Who has asked longest ago stands first. */
  readonly #seen = new Map<number, Names>()

  /** @param users who are remembered at most @param addresses of each: those seen longest ago are forgotten */
  constructor(users: number, addresses: number) {
    this.#users = users
    this.#addresses = addresses
  }

  /** @param uid who has asked @param now milliseconds since the epoch */
  note(hosts: readonly Address[], name: string, uid: number, now: number): void {
    const names: Names = this.#seen.get(uid) ?? new Map()
    putLast(this.#seen, uid, names, this.#users)
    for (const { family, words } of hosts)
      putLast(names, keyOf(family, words), { name, until: now + KEPT_MS }, this.#addresses)
  }

  /** Who has asked lately. */
  get askers(): number[] {
    return [...this.#seen.keys()].reverse()
  }

  /** The name of an address for the first of these users who has one; undefined where none has asked for one lately that leads there. */
  nameOf(family: Family, words: Words, askers: readonly number[], now: number): string | undefined {
    const key = keyOf(family, words)
    for (const uid of askers) {
      const seen = this.#seen.get(uid)?.get(key)
      if (seen !== undefined && now < seen.until) return seen.name
    }
    return undefined
  }
}

const keyOf = (family: Family, words: Words) => (family === 4 ? `${words[0]}` : words.join())
