import t, { type Test } from 'tap'
import { AddressSet } from '../../../src/core/packet/address-set.js'
import { type Address, FAMILIES, type Family } from '../../../src/core/packet/ip.js'
import { v4, v6 } from '../policies.js'
import { seededRandom } from '../random.js'

const KEY = Uint32Array.of(0x01234567, 0x89abcdef)
const textOf = ({ family, words }: Address) => `${family} ${words.join()}`
const sorted = (hosts: Iterable<Address>) => [...hosts].map(textOf).sort()

/** Returns address number `number` of a family. The addresses differ in bits of all words. */
function address(family: Family, number: number): Address {
  const far = Math.imul(number, 0x9e3779b1) >>> 0
  const words = family === 4 ? [far, 0, 0, 0] : [0x20010db8, number & 3, far, number & 0xff]
  return { family, words: Uint32Array.from(words) }
}

t.test('an address stays in the set until each of its reasons is removed', async (t) => {
  const set = new AddressSet(KEY)
  for (const host of [v4(198, 51, 100, 2), v6(0, 2)]) {
    const isIn = () => set.has(host.family, host.words)
    t.equal(isIn(), false)
    t.equal(set.add(host), true)
    t.equal(set.add(host), false, 'the address has a second reason')
    t.equal(set.remove(host), false, 'one reason is left')
    t.equal(isIn(), true)
    t.equal(set.remove(host), true)
    t.equal(isIn(), false)
    t.equal(set.remove(host), false, 'no reason is left to remove')
    t.equal(set.add(host), true)
  }
})

t.test('addresses that differ in one word are different, and 0 is an ordinary address', async (t) => {
  const set = new AddressSet(KEY)
  const zero = { family: 6, words: new Uint32Array(4) } as const
  const near = [0, 1, 2, 3].map((i) => ({ family: 6 as const, words: new Uint32Array(4).fill(1, i, i + 1) }))
  set.add(zero)
  for (const { words } of near) t.equal(set.has(6, words), false)
  t.equal(set.has(6, zero.words), true)
  for (const host of near) t.equal(set.add(host), true)
  t.equal(set.size, 5)
})

t.test('the two families are separate', async (t) => {
  const set = new AddressSet(KEY)
  const words = Uint32Array.of(0xc6336402, 0, 0, 0)
  set.add({ family: 4, words })
  t.equal(set.has(6, words), false)
  t.equal(set.remove({ family: 6, words }), false)
  t.equal(set.has(4, words), true)
  set.add({ family: 6, words })
  t.equal(set.size, 2)
  t.same(sorted(set), sorted([4, 6].map((family) => ({ family, words }) as Address)))
})

t.test('a set has the same contents for every hash key', async (t) => {
  for (const word of [0, 1, 0x7fffffff, 0x80000000, 0xffffffff]) {
    const set = new AddressSet(Uint32Array.of(word, ~word))
    const hosts = FAMILIES.flatMap((family) => Array.from({ length: 100 }, (_, i) => address(family, i)))
    for (const host of hosts) set.add(host)
    t.same(sorted(set), sorted(hosts), `${word}`)
    t.equal(
      hosts.every((host) => set.remove(host)),
      true,
    )
  }
})

/**
 * Returns 128 addresses that share one hash for every seed of a mixer that only multiplies and shifts
 * (multiply by an odd number, then hash ^= hash >>> 15): the highest bits do not reach the slot, and a bit in
 * one word cancels the same bit in the next.
 */
function colliding(family: Family): Address[] {
  return Array.from({ length: 128 }, (_, i) => {
    if (family === 4) return { family, words: Uint32Array.of(0x00336402 | (i << 25), 0, 0, 0) }
    const words = Uint32Array.of(0x20010db8, 0, 0, 2 | ((i >> 3) << 28))
    for (const word of [0, 1, 2].filter((bit) => i & (1 << bit))) {
      words[word]! ^= 0x80000000
      words[word + 1]! ^= 0x80010000
    }
    return { family, words }
  })
}

/**
 * Returns how often a look-up reads the first word of its address: once to hash it, and once for each slot
 * that it compares.
 */
function readsOf(set: AddressSet, { family, words }: Address): number {
  let reads = 0
  const counted = new Proxy(words, {
    get(target, index) {
      if (index === '0') reads++
      return Reflect.get(target, index)
    },
  })
  set.has(family, counted)
  return reads
}

t.test('an attacker without the key cannot choose addresses that share a slot', async (t) => {
  const random = seededRandom(3)
  for (const family of FAMILIES) {
    const hosts = colliding(family)
    t.equal(new Set(hosts.map(textOf)).size, 128)
    for (let round = 0; round < 64; round++) {
      const set = new AddressSet(Uint32Array.of(random(2 ** 32), random(2 ** 32)))
      for (const host of hosts) set.add(host)
      const reads = hosts.reduce((sum, host) => sum + readsOf(set, host), 0)
      if (reads > 4 * hosts.length) t.fail(`IPv${family}, key ${round}: ${reads} reads`)
    }
  }
})

t.test('changing an added address, or one that the set returned, does not change the set', async (t) => {
  const set = new AddressSet(KEY)
  const host = v6(0, 2)
  set.add(host)
  host.words.fill(7)
  for (const { words } of set) words.fill(9)
  t.same(sorted(set), sorted([v6(0, 2)]))
})

t.test('a growing set keeps every address with all its reasons', async (t) => {
  const set = new AddressSet(KEY)
  const hosts = FAMILIES.flatMap((family) => Array.from({ length: 5000 }, (_, i) => address(family, i)))
  const reasons = (i: number) => 1 + (i % 3)
  for (const [i, host] of hosts.entries()) for (let n = reasons(i); n > 0; n--) set.add(host)
  t.equal(set.size, 10_000)
  t.same(sorted(set), sorted(hosts))
  const wrong = hosts.filter((host, i) => {
    for (let n = reasons(i); n > 1; n--) if (set.remove(host)) return true
    return !set.has(host.family, host.words) || !set.remove(host)
  })
  t.same(wrong, [])
  t.equal(set.size, 0)
  t.same([...set], [])
})

/** Does the same as the set, slowly. */
class Model {
  readonly counts = new Map<string, number>()

  add(host: Address): boolean {
    const count = this.counts.get(textOf(host)) ?? 0
    this.counts.set(textOf(host), count + 1)
    return count === 0
  }

  remove(host: Address): boolean {
    const count = this.counts.get(textOf(host)) ?? 0
    if (count === 1) this.counts.delete(textOf(host))
    if (count > 1) this.counts.set(textOf(host), count - 1)
    return count === 1
  }
}

/**
 * Compares set and model after random operations on `among` addresses; removed addresses are mostly in the
 * set.
 */
function compare(t: Test, family: Family, seed: number, operations: number, among: number, limit: number) {
  const random = seededRandom(seed)
  const set = new AddressSet(Uint32Array.of(random(2 ** 32), random(2 ** 32)))
  const model = new Model()
  const hosts = Array.from({ length: among }, (_, i) => address(family, seed * 1000 + i))
  const wrong: string[] = []
  for (let i = 0; i < operations; i++) {
    const host = hosts[random(among)]!
    const verb = random(2) === 0 && model.counts.size < limit ? 'add' : 'remove'
    if (set[verb](host) !== model[verb](host)) wrong.push(`${i}: ${verb} ${textOf(host)}`)
    if (set.size !== model.counts.size) wrong.push(`${i}: size ${set.size}`)
    const strays = hosts.filter((each) => set.has(family, each.words) !== model.counts.has(textOf(each)))
    if (strays.length > 0) wrong.push(`${i}: has ${strays.map(textOf).join('; ')}`)
  }
  t.same(wrong.slice(0, 5), [], `IPv${family}, seed ${seed}`)
  t.same(sorted(set), [...model.counts.keys()].sort())
}

t.test('after any operations the smallest set, nearly full, equals a plain map', async (t) => {
  for (const family of FAMILIES) for (let seed = 1; seed <= 40; seed++) compare(t, family, seed, 500, 12, 8)
})

t.test('after any operations a growing set equals a plain map', async (t) => {
  for (const family of FAMILIES)
    for (let seed = 1; seed <= 4; seed++) compare(t, family, seed, 2000, 150, 100)
})
