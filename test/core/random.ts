/** Makes random numbers that repeat in every run, so that a failure can be reproduced. */

/** Returns a generator of integers from 0 to below `limit` (at most 2^32). xorshift, G. Marsaglia 2003. */
export function seededRandom(seed: number): (limit: number) => number {
  let state = seed | 1
  return (limit) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return Math.floor(((state >>> 0) / 0x100000000) * limit)
  }
}
