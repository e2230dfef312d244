import type { Address, Family, Words } from '../packet/ip.js'

/** Addresses of one user by one rule; the one that was not used for the longest time is forgotten first. */
const MAX_ADDRESSES = 1024
/** Users of one rule. */
const MAX_USERS = 256
/** A use within this time of the last one changes nothing, nor one within a quarter of `keep`: milliseconds. */
const EXACT_TO_MS = 60_000

/** Times of the last use, in milliseconds since the epoch, by address. */
type Uses = Map<number | string, number>

/** One use of an address. */
export interface Use {
  readonly rule: string
  readonly uid: number
  readonly host: Address
  /** Milliseconds since the epoch. */
  readonly time: number
}

/**
 * Remembers who used which addresses by which rule. Programs keep an address longer than DNS says: a virtual machine of
 * Java, an upstream of nginx, a time service. Such an address stays allowed to its user, as long as it is used.
 */
export class UsedAddresses {
  /** How long an unused address is kept: milliseconds. */
  keep: number
  readonly #rules = new Map<string, Map<number, Uses>>()
  /** The last use by any user and rule. */
  readonly #hosts: Uses = new Map()

  /** @param keep milliseconds */
  constructor(keep: number) {
    this.keep = keep
  }

  /** Notes a use. @param now milliseconds since the epoch */
  note(rule: string, uid: number, family: Family, words: Words, now: number): void {
    const uses = this.#rules.get(rule)?.get(uid) ?? this.#addUser(rule, uid)
    const key = keyOf(family, words)
    if (uses === undefined) return
    const exactTo = Math.min(EXACT_TO_MS, this.keep / 4)
    if (now - (uses.get(key) ?? Number.NEGATIVE_INFINITY) < exactTo) return
    put(uses, key, now)
    this.#hosts.set(key, now)
    if (uses.size > MAX_ADDRESSES) uses.delete(uses.keys().next().value!)
  }

  /** @returns the uses of a new user of a rule; undefined when the rule has too many users */
  #addUser(rule: string, uid: number): Uses | undefined {
    const users = this.#rules.get(rule) ?? new Map<number, Uses>()
    if (users.size >= MAX_USERS) return undefined
    const uses: Uses = new Map()
    this.#rules.set(rule, users.set(uid, uses))
    return uses
  }

  /** Whether a user has used an address by a rule, not too long ago. @param now milliseconds since the epoch */
  has(rule: string, uid: number, family: Family, words: Words, now: number): boolean {
    const time = this.#rules.get(rule)?.get(uid)?.get(keyOf(family, words))
    return time !== undefined && now - time < this.keep
  }

  /** Whether anybody has used an address, not too long ago. @param now milliseconds since the epoch */
  isUsed({ family, words }: Address, now: number): boolean {
    const time = this.#hosts.get(keyOf(family, words))
    return time !== undefined && now - time < this.keep
  }

  /** Forgets what was not used for too long. @param now milliseconds since the epoch */
  expire(now: number): void {
    const drop = (uses: Uses) => {
      for (const [key, time] of uses) if (now - time >= this.keep) uses.delete(key)
    }
    drop(this.#hosts)
    for (const [rule, users] of this.#rules) {
      for (const [uid, uses] of users) {
        drop(uses)
        if (uses.size === 0) users.delete(uid)
      }
      if (users.size === 0) this.#rules.delete(rule)
    }
  }

  /** All uses. */
  *[Symbol.iterator](): IterableIterator<Use> {
    for (const [rule, users] of this.#rules)
      for (const [uid, uses] of users)
        for (const [key, time] of uses) yield { rule, uid, host: hostOf(key), time }
  }
}

/** Puts an entry behind all others. */
function put(uses: Uses, key: number | string, now: number): void {
  uses.delete(key)
  uses.set(key, now)
}

const keyOf = (family: Family, words: Words) => (family === 4 ? words[0]! : words.join())

const hostOf = (key: number | string): Address =>
  typeof key === 'number'
    ? { family: 4, words: Uint32Array.of(key, 0, 0, 0) }
    : { family: 6, words: Uint32Array.from(key.split(','), Number) }
