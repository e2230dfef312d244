/** Holds single addresses that are learned and forgotten all the time. */

import { halfSipHash } from '../bounded/siphash.js'
import { type Address, FAMILIES, type Family, type Words } from './ip.js'

const SMALLEST = 16
const WIDTH = { 4: 1, 6: 4 } as const

/**
 * A set of addresses that counts how many reasons each has to be in it: two names may share an address. A
 * slot takes 20 bytes for IPv6 and 8 for IPv4; at most half of the slots are used.
 */
export class AddressSet {
  readonly #tables: { readonly 4: Table; readonly 6: Table }

  /**
   * @param key 64 random bits in two words, secret: the operator of a resolver chooses the addresses that are
   *   hashed
   */
  constructor(key: Uint32Array) {
    this.#tables = { 4: new Table(WIDTH[4], key), 6: new Table(WIDTH[6], key) }
  }

  /** The number of different addresses. */
  get size(): number {
    return this.#tables[4].size + this.#tables[6].size
  }

  /** Adds a reason for an address. @returns whether it is the first one */
  add({ family, words }: Address): boolean {
    return this.#tables[family].add(words)
  }

  /** Takes a reason away. @returns whether it was the last one; false when the address is not in the set */
  remove({ family, words }: Address): boolean {
    return this.#tables[family].remove(words)
  }

  /**
   * Whether an address has a reason. Takes constant time, whatever addresses the set holds, and allocates
   * nothing.
   */
  has(family: Family, words: Words): boolean {
    return this.#tables[family].has(words)
  }

  *[Symbol.iterator](): IterableIterator<Address> {
    for (const family of FAMILIES) for (const words of this.#tables[family].keys()) yield { family, words }
  }
}

/** A hash table with open addressing and linear probing. A slot whose count is 0 is free. */
class Table {
  size = 0
  readonly #width: number
  readonly #key: Uint32Array
  #keys: Uint32Array
  #counts = new Uint32Array(SMALLEST)

  /** @param width words of an address */
  constructor(width: number, key: Uint32Array) {
    this.#width = width
    this.#key = key
    this.#keys = new Uint32Array(SMALLEST * width)
  }

  has(words: Words): boolean {
    return this.size > 0 && this.#counts[this.#slotOf(words)] !== 0
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
    for (let slot = 0; slot < this.#counts.length; slot++)
      if (this.#counts[slot] !== 0) yield this.#address(slot)
  }

  #address(slot: number): Words {
    const words = new Uint32Array(4)
    words.set(this.#words(slot))
    return words
  }

  #words(slot: number): Words {
    return this.#keys.subarray(slot * this.#width, (slot + 1) * this.#width)
  }

  /** Returns the slot of an address, or the free slot where it belongs. */
  #slotOf(words: Words): number {
    const mask = this.#counts.length - 1
    let slot = this.#hash(words) & mask
    while (this.#counts[slot] !== 0 && !this.#holds(slot, words)) slot = (slot + 1) & mask
    return slot
  }

  #holds(slot: number, words: Words): boolean {
    const at = slot * this.#width
    for (let i = 0; i < this.#width; i++) if (this.#keys[at + i] !== words[i]) return false
    return true
  }

  #hash(words: Words): number {
    return halfSipHash(this.#key, words, this.#width, this.#width)
  }

  /**
   * Closes the gap that a removed address leaves: moves back the addresses that were probed past its slot.
   */
  #close(free: number): void {
    const mask = this.#counts.length - 1
    let gap = free
    for (let slot = (free + 1) & mask; this.#counts[slot] !== 0; slot = (slot + 1) & mask) {
      const home = this.#hash(this.#words(slot)) & mask
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
