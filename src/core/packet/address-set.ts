/** Sets of single addresses that change all the time, as they are learned and forgotten. */
import { type Address, FAMILIES, type Family, type Words } from './ip.js'

const SMALLEST = 16
const WIDTH = { 4: 1, 6: 4 } as const

/**
 * Addresses, each with the number of reasons for which it is there: two names may share one. 20 bytes an IPv6 address, 8
 * an IPv4 one, in tables that are half full at most.
 */
export class AddressSet {
  readonly #tables: { readonly 4: Table; readonly 6: Table }

  /** @param salt any 32 bits that nobody knows who chooses the addresses */
  constructor(salt: number) {
    this.#tables = { 4: new Table(WIDTH[4], salt), 6: new Table(WIDTH[6], salt) }
  }

  /** The number of different addresses. */
  get size(): number {
    return this.#tables[4].size + this.#tables[6].size
  }

  /** One more reason. @returns whether it is the first */
  add({ family, words }: Address): boolean {
    return this.#tables[family].add(words)
  }

  /** One reason less. @returns whether it was the last */
  remove({ family, words }: Address): boolean {
    return this.#tables[family].remove(words)
  }

  /** Takes constant time and allocates nothing. */
  has(family: Family, words: Words): boolean {
    return this.#tables[family].has(words)
  }

  *[Symbol.iterator](): IterableIterator<Address> {
    for (const family of FAMILIES) for (const words of this.#tables[family].keys()) yield { family, words }
  }
}

/** Open addressing with linear probing; a count of 0 is a free slot. */
class Table {
  size = 0
  readonly #width: number
  readonly #salt: number
  #keys: Uint32Array
  #counts = new Uint32Array(SMALLEST)

  constructor(width: number, salt: number) {
    this.#width = width
    this.#salt = salt
    this.#keys = new Uint32Array(SMALLEST * width)
  }

  has(words: Words): boolean {
    return this.#counts[this.#slotOf(words)] !== 0
  }

  add(words: Words): boolean {
    const slot = this.#slotOf(words)
    if (this.#counts[slot]!++ > 0) return false
    for (let i = 0; i < this.#width; i++) this.#keys[slot * this.#width + i] = words[i]!
    this.size++
    if (this.size * 2 > this.#counts.length) this.#grow()
    return true
  }

  remove(words: Words): boolean {
    const slot = this.#slotOf(words)
    if (this.#counts[slot] === 0 || --this.#counts[slot]! > 0) return false
    this.size--
    this.#close(slot)
    return true
  }

  *keys(): IterableIterator<Words> {
    for (let slot = 0; slot < this.#counts.length; slot++) if (this.#counts[slot] !== 0) yield this.#key(slot)
  }

  #key(slot: number): Words {
    const words = new Uint32Array(4)
    words.set(this.#keys.subarray(slot * this.#width, (slot + 1) * this.#width))
    return words
  }

  /** The slot of an address, or the free one where it would go. */
  #slotOf(words: Words): number {
    const mask = this.#counts.length - 1
    let slot = this.#hash(words, 0) & mask
    while (this.#counts[slot] !== 0 && !this.#is(slot, words)) slot = (slot + 1) & mask
    return slot
  }

  #is(slot: number, words: Words): boolean {
    const at = slot * this.#width
    for (let i = 0; i < this.#width; i++) if (this.#keys[at + i] !== words[i]) return false
    return true
  }

  #hash(words: Words, at: number): number {
    let hash = this.#salt
    for (let i = 0; i < this.#width; i++) {
      hash = Math.imul(hash ^ words[at + i]!, 0x9e3779b1)
      hash ^= hash >>> 15
    }
    return hash
  }

  /** Moves up those behind a slot that has become free, as far as it is on their way. */
  #close(free: number): void {
    const mask = this.#counts.length - 1
    let gap = free
    for (let slot = (free + 1) & mask; this.#counts[slot] !== 0; slot = (slot + 1) & mask) {
      const home = this.#hash(this.#keys, slot * this.#width) & mask
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue
      this.#keys.copyWithin(gap * this.#width, slot * this.#width, (slot + 1) * this.#width)
      this.#counts[gap] = this.#counts[slot]!
      gap = slot
    }
    this.#counts[gap] = 0
  }

  #grow(): void {
    const keys = this.#keys
    const counts = this.#counts
    this.#keys = new Uint32Array(keys.length * 2)
    this.#counts = new Uint32Array(counts.length * 2)
    for (let slot = 0; slot < counts.length; slot++) {
      if (counts[slot] === 0) continue
      const words = keys.subarray(slot * this.#width, (slot + 1) * this.#width)
      const to = this.#slotOf(words)
      this.#keys.set(words, to * this.#width)
      this.#counts[to] = counts[slot]!
    }
  }
}
