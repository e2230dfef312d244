/**
 * A set of positions in a list, which gives them in ascending order. Its size is fixed, so that filling and reading it
 * allocates nothing.
 */
export class Positions {
  readonly #bits: Uint32Array
  /** The words with bits lie from `#first` to before `#end`. */
  #first: number
  #end = 0

  /** @param count length of the list: positions are below it */
  constructor(count: number) {
    this.#bits = new Uint32Array((count + 31) >>> 5)
    this.#first = this.#bits.length
  }

  add(position: number): void {
    const word = position >>> 5
    this.#bits[word]! |= 1 << (position & 31)
    if (word < this.#first) this.#first = word
    if (word >= this.#end) this.#end = word + 1
  }

  /** Returns the smallest position from `position` on, or -1. */
  from(position: number): number {
    let word = position >>> 5
    let mask = -1 << (position & 31)
    if (word < this.#first) {
      word = this.#first
      mask = -1
    }
    for (; word < this.#end; word++, mask = -1) {
      const bits = this.#bits[word]! & mask
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits & -bits)
    }
    return -1
  }

  clear(): void {
    for (let word = this.#first; word < this.#end; word++) this.#bits[word] = 0
    this.#first = this.#bits.length
    this.#end = 0
  }
}
