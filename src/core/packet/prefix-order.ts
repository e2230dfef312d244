/** Orders prefixes by address and length, and finds where they end. */

import type { Prefix, Words } from './ip.js'

/**
 * Returns the positions of prefixes of one family, sorted by first address, then by length. The 136 bits of both are
 * compared as three exact numbers, prepared once: that takes less than half the time of comparing words.
 */
export function orderOf(prefixes: readonly Prefix[]): number[] {
  const high = new Float64Array(prefixes.length)
  const middle = new Float64Array(prefixes.length)
  const low = new Float64Array(prefixes.length)
  for (let i = 0; i < prefixes.length; i++) {
    const { words, length } = prefixes[i]!
    high[i] = words[0]! * 0x10000 + (words[1]! >>> 16)
    middle[i] = (words[1]! & 0xffff) * 0x100000000 + words[2]!
    low[i] = words[3]! * 0x100 + length
  }
  const order = Array.from(prefixes.keys())
  return order.sort((a, b) => high[a]! - high[b]! || middle[a]! - middle[b]! || low[a]! - low[b]!)
}

/** Whether two prefixes of one family are the same. */
export const isSame = (a: Prefix, b: Prefix): boolean =>
  a.length === b.length && compare(a.words, 0, b.words, 0) === 0

/** Writes the last address of a prefix to `target[at]`, as four words. */
export function lastAddress(prefix: Prefix, target: Uint32Array, at = 0): void {
  for (let i = 0; i < 4; i++) {
    const networkBits = Math.max(0, prefix.length - 32 * i)
    // A shift by 32 would shift by 0.
    target[at + i] = networkBits >= 32 ? prefix.words[i]! : prefix.words[i]! | (0xffffffff >>> networkBits)
  }
}

/** Compares the four words at `a[i]` and `b[j]`. @returns a number below, equal to or above 0 */
export function compare(a: Words, i: number, b: Words, j: number): number {
  return a[i]! - b[j]! || a[i + 1]! - b[j + 1]! || a[i + 2]! - b[j + 2]! || a[i + 3]! - b[j + 3]!
}
