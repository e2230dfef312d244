/** Finds the numbers of all prefixes that an address lies in. */

import type { Positions } from '../bounded/positions.js'
import { FAMILIES, type Family, type Prefix, type Words } from './ip.js'
import { compare, isSame, lastAddress, orderOf } from './prefix-order.js'

/** A prefix with a number, of which prefixes may share one, and one prefix may have several. */
export type NumberedPrefix = readonly [prefix: Prefix, number: number]

/**
 * An immutable map from prefixes to numbers. Memory grows with the number of prefixes, however they nest; a look-up
 * takes O(log prefixes), and one step for each prefix around the address.
 */
export class PrefixMap {
  readonly #maps: { readonly 4: Nested; readonly 6: Nested }

  /** @param numbered may overlap and be in any order; it is copied */
  constructor(numbered: readonly NumberedPrefix[]) {
    const [four, six] = FAMILIES.map((of) => new Nested(numbered.filter(([{ family }]) => family === of)))
    this.#maps = { 4: four!, 6: six! }
  }

  /** Adds the numbers of all prefixes that an address lies in to `found`. Allocates nothing. */
  find(family: Family, words: Words, found: Positions): void {
    this.#maps[family].find(words, found)
  }
}

/** A prefix that is open while the sweep of `nest` is inside of it. */
interface Open {
  readonly node: number
  readonly last: Uint32Array
}

/**
 * The prefixes of one family. Each different prefix is a node, which knows the next wider one around it. The starts cut
 * the addresses into intervals, of which each knows the narrowest prefix around it.
 */
class Nested {
  /** Four words each, ascending. */
  readonly #starts: Uint32Array
  /** The node of each interval; -1: none. */
  readonly #nodes: Int32Array
  #intervals = 0
  /** The next wider node of each node; -1: none. */
  readonly #parents: Int32Array
  /** The numbers of a node begin at its offset, and end where those of the next one begin. */
  readonly #offsets: Uint32Array
  readonly #numbers: Uint32Array

  constructor(numbered: readonly NumberedPrefix[]) {
    const count = numbered.length
    this.#starts = new Uint32Array(count * 8)
    this.#nodes = new Int32Array(count * 2)
    this.#parents = new Int32Array(count)
    this.#offsets = new Uint32Array(count + 1)
    const order = orderOf(numbered.map(([prefix]) => prefix))
    this.#numbers = Uint32Array.from(order, (i) => numbered[i]![1])
    this.#nest(order.map((i) => numbered[i]![0]))
  }

  find(words: Words, found: Positions): void {
    for (let node = this.#nodeOf(words); node >= 0; node = this.#parents[node]!) {
      const end = this.#offsets[node + 1]!
      for (let i = this.#offsets[node]!; i < end; i++) found.add(this.#numbers[i]!)
    }
  }

  /** Returns the narrowest prefix around an address, or -1: that of the last interval that starts at or before it. */
  #nodeOf(words: Words): number {
    let low = 0
    let high = this.#intervals
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compare(this.#starts, middle * 4, words, 0) <= 0) low = middle + 1
      else high = middle
    }
    return low > 0 ? this.#nodes[low - 1]! : -1
  }

  /** Makes the nodes and intervals. @param prefixes sorted */
  #nest(prefixes: readonly Prefix[]): void {
    const open: Open[] = []
    let node = -1
    for (let i = 0; i < prefixes.length; i++) {
      const prefix = prefixes[i]!
      if (i > 0 && isSame(prefix, prefixes[i - 1]!)) continue
      while (open.length > 0 && compare(open.at(-1)!.last, 0, prefix.words, 0) < 0) this.#close(open.pop()!)
      this.#offsets[++node] = i
      this.#parents[node] = open.at(-1)?.node ?? -1
      this.#start(prefix.words, node)
      const last = new Uint32Array(4)
      lastAddress(prefix, last)
      open.push({ node, last })
    }
    this.#offsets[node + 1] = prefixes.length
    while (open.length > 0) this.#close(open.pop()!)
  }

  /** Starts the interval behind a prefix, unless the prefix ends with the last address. */
  #close({ node, last }: Open): void {
    let i = 3
    while (i >= 0 && ++last[i]! > 0xffffffff) i--
    if (i >= 0) this.#start(last, this.#parents[node]!)
  }

  /** Starts an interval. It replaces one with the same start, which would be empty. */
  #start(words: Words, node: number): void {
    const before = this.#intervals - 1
    const isEmpty = before >= 0 && compare(this.#starts, before * 4, words, 0) === 0
    const at = isEmpty ? before : this.#intervals++
    this.#starts.set(words, at * 4)
    this.#nodes[at] = node
  }
}
