import t from 'tap'
import type { Family, Prefix, Words } from '../../../src/core/packet/ip.js'
import { PrefixSet } from '../../../src/core/packet/prefix-set.js'
import { words } from '../packets.js'
import { seededRandom } from '../random.js'

function prefix(text: string): Prefix {
  const [address, length] = text.split('/') as [string, string]
  return { family: address.includes(':') ? 6 : 4, words: words(address), length: Number(length) }
}

function setOf(...texts: string[]): PrefixSet {
  return PrefixSet.of(texts.map(prefix))
}

function has(set: PrefixSet, address: string): boolean {
  return set.has(address.includes(':') ? 6 : 4, words(address))
}

t.test('the empty set contains no address', async (t) => {
  for (const address of ['0.0.0.0', '255.255.255.255', '::', '2001:db8::1']) {
    t.notOk(has(PrefixSet.empty, address))
  }
  t.match(PrefixSet.empty, { size: 0, intervals: 0 })
})

t.test('a prefix contains its first and last address and neither neighbour', async (t) => {
  const cases = [
    ['192.0.2.0/24', '192.0.2.0', '192.0.2.255', '192.0.1.255', '192.0.3.0'],
    ['198.51.100.7/32', '198.51.100.7', '198.51.100.7', '198.51.100.6', '198.51.100.8'],
    ['198.18.0.0/15', '198.18.0.0', '198.19.255.255', '198.17.255.255', '198.20.0.0'],
    ['203.0.113.128/25', '203.0.113.128', '203.0.113.255', '203.0.113.127', '203.0.114.0'],
    [
      '2001:db8::/32',
      '2001:db8::',
      '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff',
      '2001:db7:ffff::',
      '2001:db9::',
    ],
    ['2001:db8::7/128', '2001:db8::7', '2001:db8::7', '2001:db8::6', '2001:db8::8'],
    ['2001:db8::/64', '2001:db8::', '2001:db8::ffff:ffff:ffff:ffff', '2001:db7:ffff::', '2001:db8:0:1::'],
    ['2001:db8:0:8000::/49', '2001:db8:0:8000::', '2001:db8:0:ffff::ff', '2001:db8:0:7fff::', '2001:db8:1::'],
    [
      '2001:db8::8000:0/97',
      '2001:db8::8000:0',
      '2001:db8::ffff:ffff',
      '2001:db8::7fff:ffff',
      '2001:db8:0:0:0:1::',
    ],
  ] as const
  for (const [text, first, last, before, behind] of cases) {
    const set = setOf(text)
    t.same(
      [first, last, before, behind].map((address) => has(set, address)),
      [true, true, false, false],
      text,
    )
  }
})

t.test('0.0.0.0/0 contains all of IPv4 and nothing of IPv6, ::/0 the reverse', async (t) => {
  const all4 = setOf('0.0.0.0/0')
  const all6 = setOf('::/0')
  for (const address of ['0.0.0.0', '192.0.2.1', '255.255.255.255']) {
    t.ok(has(all4, address))
    t.notOk(has(all6, address))
  }
  for (const address of ['::', '2001:db8::1', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff']) {
    t.ok(has(all6, address))
    t.notOk(has(all4, address))
  }
})

t.test('an IPv6 address whose first word looks like an allowed IPv4 address is not allowed', async (t) => {
  t.notOk(setOf('192.0.2.1/32').has(6, words('192.0.2.1')))
  t.notOk(setOf('c000:201::/128').has(4, words('c000:201::')))
})

t.test('the last address of each family can be in a set, as the end of an interval', async (t) => {
  const set = setOf('255.255.255.255/32', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128')
  t.ok(has(set, '255.255.255.255'))
  t.notOk(has(set, '255.255.255.254'))
  t.notOk(has(set, '0.0.0.0'))
  t.ok(has(set, 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'))
  t.notOk(has(set, 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe'))
  t.notOk(has(set, '::'))
})

t.test(
  'overlapping and adjoining prefixes become one interval; prefixes with a gap of one address stay two',
  async (t) => {
    const intervals = (...texts: string[]) => setOf(...texts).intervals
    t.equal(intervals('192.0.2.0/25', '192.0.2.128/25'), 1)
    t.equal(intervals('192.0.2.64/26', '192.0.2.0/24', '192.0.2.1/32'), 1)
    t.equal(intervals('192.0.2.0/32', '192.0.2.2/32'), 2)
    t.equal(intervals('192.0.2.0/24', '192.0.2.7/32', '192.0.4.0/24'), 2)
    t.equal(intervals('2001:db8::/33', '2001:db8:8000::/33'), 1)
    t.equal(intervals('2001:db8::/64', '2001:db8:0:1::/64'), 1)
    t.equal(intervals('2001:db8::ffff:ffff/128', '2001:db8:0:0:0:1::/96'), 1)
    t.equal(intervals('2001:db8::ffff:fffe/128', '2001:db8::ffff:ffff/128'), 1)
    t.equal(intervals('2001:db8::/127', '2001:db8::1/128'), 1)
    t.equal(intervals('2001:db8::/128', '2001:db8::2/128'), 2)
    t.equal(intervals('2001:db8:1::/48', '2001:db8::/32', '2001:db8:2::5/128', '2001:dba::/32'), 2)
    t.equal(intervals('::/0', 'ffff::/16', '::/128'), 1)
    t.equal(intervals('192.0.2.0/24', '2001:db8::/32'), 2)
  },
)

t.test('the size counts every prefix once, even when it is given several times', async (t) => {
  const texts = [
    '192.0.2.0/24',
    '192.0.2.0/25',
    '192.0.2.0/24',
    '2001:db8::/32',
    '2001:db8::/33',
    '2001:db8::/32',
  ]
  t.match(setOf(...texts), { size: 4, intervals: 2 })
  t.equal(setOf(...new Array<string>(5).fill('2001:db8::/32')).size, 1)
  t.equal(setOf('2001:db8::/32', '2001:db8::/33', '2001:db8::/34').size, 3)
})

t.test('a set stays the same when a prefix that it was built from changes', async (t) => {
  const changing = [prefix('192.0.2.0/24'), prefix('2001:db8::/32')]
  const set = PrefixSet.of(changing)
  for (const { words } of changing) words.fill(0)
  t.ok(has(set, '192.0.2.1'))
  t.ok(has(set, '2001:db8::1'))
})

/** Returns a prefix near few others, so that they nest and adjoin; bits beyond the length are 0. */
function randomPrefix(family: Family, random: (limit: number) => number): Prefix {
  const bits = family === 4 ? 32 : 128
  const length = random(8) === 0 ? random(bits + 1) : bits - random(12)
  return { family, words: masked(randomAddress(family, random), length), length }
}

/** Returns random words in which only some bits vary, at the end and around the borders between words. */
function randomAddress(family: Family, random: (limit: number) => number): Words {
  const address = words(family === 4 ? '198.51.100.0' : '2001:db8::')
  const last = family === 4 ? 0 : 3
  address[last]! ^= random(1024)
  if (random(4) === 0) address[0]! ^= 0x80000000
  if (random(4) === 0) address[last] = 0xffffffff - random(4)
  if (family === 6 && random(3) === 0) address[2] = 0xffffffff
  if (family === 6 && random(3) === 0) address[1]! ^= 1 << random(32)
  return address
}

function masked(address: Words, length: number): Words {
  return address.map((word, i) => {
    const bits = Math.min(32, Math.max(0, length - 32 * i))
    return bits === 0 ? 0 : (word & (0xffffffff << (32 - bits))) >>> 0
  })
}

/** Decides in the slow way: masks the address and compares. */
function naive(prefixes: readonly Prefix[], family: Family, address: Words): boolean {
  return prefixes.some(
    (p) => p.family === family && masked(address, p.length).every((w, i) => w === p.words[i]),
  )
}

t.test('a set finds the same addresses as a comparison with every prefix', async (t) => {
  const random = seededRandom(4711)
  const wrong: string[] = []
  for (let round = 0; round < 300; round++) {
    const prefixes: Prefix[] = []
    for (let i = random(40); i >= 0; i--) prefixes.push(randomPrefix(random(2) === 0 ? 4 : 6, random))
    const set = PrefixSet.of(prefixes)
    for (let i = 0; i < 100; i++) {
      const family = random(2) === 0 ? 4 : 6
      const address = randomAddress(family, random)
      if (set.has(family, address) !== naive(prefixes, family, address)) {
        wrong.push(`round ${round}: ${family} ${address.join(' ')}`)
      }
    }
  }
  t.same(wrong, [])
})
