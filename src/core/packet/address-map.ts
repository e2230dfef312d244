/** Holds a value for each of many single addresses. */

import { halfSipHash } from '../bounded/siphash.js'
import { type Address, FAMILIES, type Family, type Words } from './ip.js'

const SMALLEST = 16
const WIDTH = { 4: 1, 6: 4 } as const
const NO_KEYS = new Uint32Array(0)

/** A map from addresses to values. A slot takes 24 bytes for IPv6 and 12 for IPv4; at most half of the slots are used. */
export class AddressMap<V> {
  readonly #tables: { readonly 4: Table<V>; readonly 6: Table<V> }

  /**
   * @param key 64 random bits in two words, secret: the operator of a resolver chooses the addresses that are
   *   hashed
   */
  constructor(key: Uint32Array) {
    this.#tables = { 4: new Table(WIDTH[4], key), 6: new Table(WIDTH[6], key) }
  }

  get size(): number {
    return this.#tables[4].size + this.#tables[6].size
  }

  /**
   * Returns the value of an address. Takes constant time, whatever addresses the map holds, and allocates
   * nothing.
   */
  get(family: Family, words: Words): V | undefined {
    return this.#tables[family].get(words)
  }

  set({ family, words }: Address, value: V): void {
    this.#tables[family].set(words, value)
  }

  delete({ family, words }: Address): void {
    this.#tables[family].delete(words)
  }

  *keys(): IterableIterator<Address> {
    for (const family of FAMILIES) for (const words of this.#tables[family].keys()) yield { family, words }
  }
}

/** A hash table with open addressing and linear probing. A slot without a value is free. It has no slots until it is used. */
class Table<V> {
  size = 0
  readonly #width: number
  readonly #key: Uint32Array
  #keys = NO_KEYS
  #values: (V | undefined)[] = []

  /** @param width words of an address */
  constructor(width: number, key: Uint32Array) {
    this.#width = width
    this.#key = key
  }

  get(words: Words): V | undefined {
    return this.size > 0 ? this.#values[this.#slotOf(words)] : undefined
  }

  set(words: Words, value: V): void {
    if ((this.size + 1) * 2 > this.#values.length) this.#grow()
    const slot = this.#slotOf(words)
    if (this.#values[slot] === undefined) this.size++
    this.#put(slot, words, value)
  }

  delete(words: Words): void {
    if (this.get(words) === undefined) return
    this.size--
    this.#close(this.#slotOf(words))
  }

  *keys(): IterableIterator<Words> {
    for (let slot = 0; slot < this.#values.length; slot++)
      if (this.#values[slot] !== undefined) yield this.#address(slot)
  }

  #address(slot: number): Words {
    const words = new Uint32Array(4)
    words.set(this.#words(slot))
    return words
  }

  #words(slot: number): Words {
    return this.#keys.subarray(slot * this.#width, (slot + 1) * this.#width)
  }

  #put(slot: number, words: Words, value: V): void {
    for (let i = 0; i < this.#width; i++) this.#keys[slot * this.#width + i] = words[i]!
    this.#values[slot] = value
  }

  /** Returns the slot of an address, or the free slot where it belongs. */
  #slotOf(words: Words): number {
    const mask = this.#values.length - 1
    let slot = this.#hash(words) & mask
    while (this.#values[slot] !== undefined && !this.#holds(slot, words)) slot = (slot + 1) & mask
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
    const mask = this.#values.length - 1
    let gap = free
    for (let slot = (free + 1) & mask; this.#values[slot] !== undefined; slot = (slot + 1) & mask) {
      const home = this.#hash(this.#words(slot)) & mask
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue
      this.#put(gap, this.#words(slot), this.#values[slot]!)
      gap = slot
    }
    this.#values[gap] = undefined
  }

  #grow(): void {
    const [keys, values] = [this.#keys, this.#values]
    const slots = Math.max(SMALLEST, values.length * 2)
    this.#keys = new Uint32Array(slots * this.#width)
    this.#values = new Array(slots).fill(undefined)
    for (let slot = 0; slot < values.length; slot++) {
      const value = values[slot]
      if (value === undefined) continue
      const words = keys.subarray(slot * this.#width, (slot + 1) * this.#width)
      this.#put(this.#slotOf(words), words, value)
    }
  }
}
