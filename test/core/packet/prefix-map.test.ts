import t from 'tap'
import { Positions } from '../../../src/core/bounded/positions.js'
import { FAMILIES, type Family, type Prefix, type Words } from '../../../src/core/packet/ip.js'
import { type NumberedPrefix, PrefixMap } from '../../../src/core/packet/prefix-map.js'
import { PrefixSet } from '../../../src/core/packet/prefix-set.js'
import { words } from '../packets.js'
import { seededRandom } from '../random.js'
import { prefix } from '../rules.js'

/** Returns the numbers that a map finds for an address. */
function numbersIn(map: PrefixMap, family: Family, address: Words, count = 64): number[] {
  const found = new Positions(count)
  map.find(family, address, found)
  return Array.from({ length: count }, (_, i) => i).filter((i) => found.from(i) === i)
}

const mapOf = (...texts: string[]) => new PrefixMap(texts.map((text, i): NumberedPrefix => [prefix(text), i]))
const at = (map: PrefixMap, address: string) => numbersIn(map, address.includes(':') ? 6 : 4, words(address))

t.test('an address finds all prefixes that it lies in, and no others', async (t) => {
  const map = mapOf(
    '198.51.0.0/16',
    '198.51.100.0/24',
    '198.51.100.7/32',
    '198.51.101.0/24',
    '203.0.113.0/24',
  )
  t.same(at(map, '198.51.100.7'), [0, 1, 2])
  t.same(at(map, '198.51.100.8'), [0, 1])
  t.same(at(map, '198.51.101.0'), [0, 3])
  t.same(at(map, '198.51.102.0'), [0])
  t.same(at(map, '198.50.255.255'), [])
  t.same(at(map, '198.52.0.0'), [])
  t.same(at(map, '203.0.113.255'), [4])
  t.same(at(map, '0.0.0.0'), [])
  t.same(at(map, '2001:db8::1'), [])
})

t.test('one prefix may have several numbers, and several prefixes one number', async (t) => {
  const [wide, narrow] = [prefix('2001:db8::/32'), prefix('2001:db8::1/128')]
  const map = new PrefixMap([
    [narrow, 3],
    [wide, 1],
    [narrow, 1],
    [wide, 0],
  ])
  t.same(at(map, '2001:db8::1'), [0, 1, 3])
  t.same(at(map, '2001:db8::2'), [0, 1])
  t.same(at(map, '2001:db9::'), [])
})

t.test('prefixes that end with the last address of their family, or at the same address, nest', async (t) => {
  const map = mapOf(
    '0.0.0.0/0',
    '255.255.255.255/32',
    '255.255.0.0/16',
    '10.0.0.0/8',
    '10.255.0.0/16',
    '11.0.0.0/8',
  )
  t.same(at(map, '255.255.255.255'), [0, 1, 2])
  t.same(at(map, '255.255.255.254'), [0, 2])
  t.same(at(map, '10.255.255.255'), [0, 3, 4])
  t.same(at(map, '11.0.0.0'), [0, 5])
  t.same(at(map, '12.0.0.0'), [0])
  const six = mapOf('::/0', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128')
  t.same(at(six, 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'), [0, 1])
  t.same(at(six, 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe'), [0])
})

/** Returns a prefix whose bits are few, so that many prefixes nest, adjoin or are the same. */
function randomPrefix(family: Family, random: (limit: number) => number): Prefix {
  const length = random((family === 4 ? 32 : 128) + 1)
  const full = randomAddress(family, random)
  const mask = (i: number) => {
    const bits = Math.min(32, Math.max(0, length - 32 * i))
    return bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0
  }
  return { family, length, words: full.map((word, i) => (word & mask(i)) >>> 0) }
}

function randomAddress(family: Family, random: (limit: number) => number): Words {
  const word = () => [0, 0xffffffff, 0x80000000, 0xc6336400 + random(4)][random(4)]!
  return Uint32Array.from([0, 1, 2, 3], (i) => (family === 4 && i > 0 ? 0 : word()))
}

t.test('a map of random prefixes finds what a set of each of them does', async (t) => {
  const random = seededRandom(11)
  for (let round = 0; round < 400; round++) {
    const numbered = Array.from({ length: random(24) }, (_, i): NumberedPrefix => {
      return [randomPrefix(FAMILIES[random(2)]!, random), random(2) === 0 ? i : random(8)]
    })
    const map = new PrefixMap(numbered)
    const sets = numbered.map(([each, number]) => [PrefixSet.of([each]), number] as const)
    for (const family of FAMILIES) {
      for (let n = 0; n < 24; n++) {
        const address = randomAddress(family, random)
        const found = numbersIn(map, family, address).join()
        const wanted = new Set(sets.flatMap(([set, number]) => (set.has(family, address) ? [number] : [])))
        if (found !== [...wanted].sort((a, b) => a - b).join()) t.fail(`round ${round}: ${found}`)
      }
    }
  }
})
