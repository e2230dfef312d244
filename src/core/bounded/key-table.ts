import { halfSipHash } from './siphash.js'

/**
 * Finds the number of a key of a few words. Keys are numbered from 0 in the order in which they were added;
 * there is a maximum number of them. A look-up allocates nothing.
 */
export class KeyTable {
  /** The key that `find` and `add` work on: the caller fills it in. */
  readonly key: Uint32Array
  readonly #words: number
  readonly #seed: Uint32Array
  readonly #keys: Uint32Array
  readonly #hashes: Int32Array
  /** The number of a key plus one, by hash; 0 is a free slot. At most a quarter of the slots is used. */
  readonly #slots: Int32Array
  #size = 0
  /** The hash of the key that `find` last looked for, and its slot, or the free slot where it belongs. */
  #hash = 0
  #slot = 0

  /**
   * @param capacity maximum number of keys @param words length of a key
   * @param seed 64 random bits in two words, secret: an attacker chooses what is hashed
   */
  constructor(capacity: number, words: number, seed: Uint32Array) {
    this.key = new Uint32Array(words)
    this.#words = words
    this.#seed = seed
    this.#keys = new Uint32Array(capacity * words)
    this.#hashes = new Int32Array(capacity)
    this.#slots = new Int32Array(2 ** Math.ceil(Math.log2(capacity * 4)))
  }

  /**
   * Looks up the key.
   * @param used how many words of the key may differ from 0: fewer words are hashed faster @returns its
   *   number, or -1
   */
  find(used = this.#words): number {
    const mask = this.#slots.length - 1
    this.#hash = halfSipHash(this.#seed, this.key, used, used)
    let slot = this.#hash & mask
    while (this.#slots[slot] !== 0 && !this.#matches(this.#slots[slot]! - 1)) slot = (slot + 1) & mask
    this.#slot = slot
    return this.#slots[slot]! - 1
  }

  /** Adds the key. `find` must have returned -1 for it just before, and the table must not be full. */
  add(): void {
    this.#keys.set(this.key, this.#size * this.#words)
    this.#hashes[this.#size] = this.#hash
    this.#slots[this.#slot] = ++this.#size
  }

  /** Removes the keys for which `isKept` returns false, and renumbers the others in the same order. */
  keep(isKept: (index: number) => boolean): void {
    const words = this.#words
    let size = 0
    for (let i = 0; i < this.#size; i++) {
      if (!isKept(i)) continue
      this.#keys.copyWithin(size * words, i * words, (i + 1) * words)
      this.#hashes[size++] = this.#hashes[i]!
    }
    this.#size = size
    this.#rebuild()
  }

  #rebuild(): void {
    const mask = this.#slots.length - 1
    this.#slots.fill(0)
    for (let i = 0; i < this.#size; i++) {
      let slot = this.#hashes[i]! & mask
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask
      this.#slots[slot] = i + 1
    }
  }

  #matches(index: number): boolean {
    const at = index * this.#words
    for (let i = 0; i < this.#words; i++) if (this.#keys[at + i] !== this.key[i]) return false
    return true
  }
}
