import { putLast } from '../bounded/put-last.js'
import type { Address, Family, Words } from '../packet/ip.js'

/** A name by which an address was found. */
interface ResolvedName {
  readonly name: string
  /** Milliseconds since the epoch. */
  readonly until: number
}

/** The names of one user by address, the one that was seen longest ago first. */
type NamesByAddress = Map<string, ResolvedName>

/** A name is remembered for this long (milliseconds): programs use addresses longer than the TTL allows. */
const KEPT_MS = 3_600_000

/**
 * Remembers by which name a user last got an address from this host's resolvers: for the log, never for a
 * verdict. An attacker who asks for a name of his own domain gets any address he likes, so the name counts
 * for the user who asked only.
 */
export class ResolvedNames {
  readonly #maxUsers: number
  readonly #maxAddresses: number
  /** By user, the one who asked longest ago first. */
  readonly #users = new Map<number, NamesByAddress>()

  /**
   * @param maxUsers users that are remembered
   * @param maxAddresses addresses of each user; the oldest are evicted
   */
  constructor(maxUsers: number, maxAddresses: number) {
    this.#maxUsers = maxUsers
    this.#maxAddresses = maxAddresses
  }

  /**
   * Remembers the name of addresses.
   * @param uid the user who asked for the name @param now milliseconds since the epoch
   */
  note(hosts: readonly Address[], name: string, uid: number, now: number): void {
    const names: NamesByAddress = this.#users.get(uid) ?? new Map()
    putLast(this.#users, uid, names, this.#maxUsers)
    for (const { family, words } of hosts)
      putLast(names, keyOf(family, words), { name, until: now + KEPT_MS }, this.#maxAddresses)
  }

  /** The users who asked, the last one first. */
  get askers(): number[] {
    return [...this.#users.keys()].reverse()
  }

  /**
   * Returns the name of an address for the first of these users who has one; undefined when none of them has.
   * @param askers user ids @param now milliseconds since the epoch
   */
  nameOf(family: Family, words: Words, askers: readonly number[], now: number): string | undefined {
    const key = keyOf(family, words)
    for (const uid of askers) {
      const resolved = this.#users.get(uid)?.get(key)
      if (resolved !== undefined && now < resolved.until) return resolved.name
    }
    return undefined
  }
}

const keyOf = (family: Family, words: Words) => (family === 4 ? `${words[0]}` : words.join())
