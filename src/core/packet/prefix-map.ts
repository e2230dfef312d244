/** Finds the numbers of all prefixes that an address lies in. */

import type { Positions } from '../bounded/positions.js'
import type { Family, Prefix, Words } from './ip.js'
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
    const of = (wanted: Family) => {
      const some = numbered.filter(([{ family }]) => family === wanted)
      return some.length > 0 ? new Nested(some) : NONE
    }
    this.#maps = { 4: of(4), 6: of(6) }
  }

  /** Adds the numbers of all prefixes that an address lies in to `found`. Allocates nothing. */
  find(family: Family, words: Words, found: Positions): void {
    this.#maps[family].find(words, found)
  }
}

/** The maximum number of different prefixes around an address. */
const DEEPEST = 129
/** The prefixes around the present one while nodes are made: their nodes and last addresses, the widest first. */
const open = new Int32Array(DEEPEST)
const lasts = new Uint32Array(DEEPEST * 4)

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
    let node = -1
    let depth = 0
    for (let i = 0; i < prefixes.length; i++) {
      const prefix = prefixes[i]!
      if (i > 0 && isSame(prefix, prefixes[i - 1]!)) continue
      while (depth > 0 && compare(lasts, depth * 4 - 4, prefix.words, 0) < 0) this.#close(--depth)
      this.#offsets[++node] = i
      this.#parents[node] = depth > 0 ? open[depth - 1]! : -1
      this.#start(prefix.words, 0, node)
      lastAddress(prefix, lasts, depth * 4)
      open[depth++] = node
    }
    this.#offsets[node + 1] = prefixes.length
    while (depth > 0) this.#close(--depth)
  }

  /** Starts the interval behind the open prefix at a depth, unless the prefix ends with the last address. */
  #close(depth: number): void {
    const at = depth * 4
    let i = at + 3
    while (i >= at && ++lasts[i]! > 0xffffffff) i--
    if (i >= at) this.#start(lasts, at, this.#parents[open[depth]!]!)
  }

  /** Starts an interval at the address at `from[at]`. It replaces one with the same start, which would be empty. */
  #start(from: Uint32Array, at: number, node: number): void {
    const before = this.#intervals - 1
    const isEmpty = before >= 0 && compare(this.#starts, before * 4, from, at) === 0
    const interval = isEmpty ? before : this.#intervals++
    for (let i = 0; i < 4; i++) this.#starts[interval * 4 + i] = from[at + i]!
    this.#nodes[interval] = node
  }
}

const NONE = new Nested([])
