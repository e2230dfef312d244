/** Finds addresses in immutable sets of prefixes. */

import type { Family, Prefix, Words } from './ip.js'
import { compare, isSame, lastAddress, orderOf } from './prefix-order.js'

/** Intervals of addresses, both ends included, in ascending order, with a gap between any two of them. */
interface Intervals {
  /** One word per interval for IPv4, four for IPv6, most significant first. */
  readonly first: Uint32Array
  readonly last: Uint32Array
  readonly count: number
  /** The number of different prefixes that the intervals were made of. */
  readonly prefixes: number
}

/** An immutable set of IPv4 and IPv6 prefixes. */
export class PrefixSet {
  static readonly empty = PrefixSet.of([])

  /** The number of prefixes; the same prefix twice counts once. */
  readonly size: number
  /** The number of intervals of both families; overlapping and adjoining prefixes make one interval. */
  readonly intervals: number
  readonly #ipv4: Intervals
  readonly #ipv6: Intervals

  private constructor(ipv4: Intervals, ipv6: Intervals) {
    this.#ipv4 = ipv4
    this.#ipv6 = ipv6
    this.size = ipv4.prefixes + ipv6.prefixes
    this.intervals = ipv4.count + ipv6.count
  }

  /** Makes a set of prefixes, which may overlap and be in any order. The prefixes are copied. */
  static of(prefixes: Iterable<Prefix>): PrefixSet {
    const ipv4: Prefix[] = []
    const ipv6: Prefix[] = []
    for (const prefix of prefixes) {
      if (prefix.family === 4) ipv4.push(prefix)
      else ipv6.push(prefix)
    }
    return new PrefixSet(merge4(ipv4), merge6(ipv6))
  }

  /** Whether the address lies in one of the prefixes. Takes O(log intervals) and allocates nothing. */
  has(family: Family, words: Words): boolean {
    return family === 4 ? has4(this.#ipv4, words[0]!) : has6(this.#ipv6, words)
  }
}

/**
 * Finds the last interval that begins at or before the address, and checks whether it ends at or after it.
 */
function has4(intervals: Intervals, address: number): boolean {
  const first = intervals.first
  let low = 0
  let high = intervals.count
  while (low < high) {
    const middle = (low + high) >>> 1
    if (first[middle]! <= address) low = middle + 1
    else high = middle
  }
  return low > 0 && address <= intervals.last[low - 1]!
}

/** Does the same as has4 for IPv6. */
function has6(intervals: Intervals, address: Words): boolean {
  const first = intervals.first
  let low = 0
  let high = intervals.count
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compare(first, middle * 4, address, 0) <= 0) low = middle + 1
    else high = middle
  }
  return low > 0 && compare(address, 0, intervals.last, (low - 1) * 4) <= 0
}

function merge4(prefixes: readonly Prefix[]): Intervals {
  // First address and length in one number (38 bits): numbers sort several times faster than objects.
  const keys = new Float64Array(prefixes.length)
  for (let i = 0; i < prefixes.length; i++) keys[i] = prefixes[i]!.words[0]! * 64 + prefixes[i]!.length
  keys.sort()
  const first = new Uint32Array(keys.length)
  const last = new Uint32Array(keys.length)
  let count = 0
  let duplicates = 0
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!
    if (i > 0 && key === keys[i - 1]!) {
      duplicates++
      continue
    }
    const start = Math.floor(key / 64)
    const end = start + 2 ** (32 - (key % 64)) - 1
    if (count > 0 && start <= last[count - 1]! + 1) {
      last[count - 1] = Math.max(last[count - 1]!, end)
    } else {
      first[count] = start
      last[count] = end
      count++
    }
  }
  return {
    first: first.slice(0, count),
    last: last.slice(0, count),
    count,
    prefixes: keys.length - duplicates,
  }
}

function merge6(unsorted: readonly Prefix[]): Intervals {
  const prefixes = orderOf(unsorted).map((i) => unsorted[i]!)
  const first = new Uint32Array(prefixes.length * 4)
  const last = new Uint32Array(prefixes.length * 4)
  const end = new Uint32Array(4)
  let count = 0
  let duplicates = 0
  for (let i = 0; i < prefixes.length; i++) {
    const prefix = prefixes[i]!
    if (i > 0 && isSame(prefix, prefixes[i - 1]!)) {
      duplicates++
      continue
    }
    lastAddress(prefix, end)
    const before = (count - 1) * 4
    if (count === 0 || !reaches(last, before, prefix.words)) {
      copy(prefix.words, first, count * 4)
      copy(end, last, count * 4)
      count++
    } else if (compare(end, 0, last, before) > 0) {
      copy(end, last, before)
    }
  }
  return {
    first: first.slice(0, count * 4),
    last: last.slice(0, count * 4),
    count,
    prefixes: prefixes.length - duplicates,
  }
}

/**
 * Whether an interval that ends at `last` includes or adjoins `address`, which is not before the interval's
 * start.
 */
function reaches(last: Uint32Array, at: number, address: Words): boolean {
  if (compare(address, 0, last, at) <= 0) return true
  let carry = 1
  for (let i = 3; i >= 0; i--) {
    const sum = last[at + i]! + carry
    if (address[i] !== sum >>> 0) return false
    carry = sum > 0xffffffff ? 1 : 0
  }
  return true
}

/** Copies four words. `set` is slower: for four words its call costs more than the copying. */
function copy(from: Words, to: Uint32Array, at: number): void {
  for (let i = 0; i < 4; i++) to[at + i] = from[i]!
}
