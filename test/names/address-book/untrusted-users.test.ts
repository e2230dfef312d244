import t from 'tap'
import { hosts, many } from '../addresses.js'
import { book, GRACE, NAME, NOW, nth, OTHER, sum } from './book.js'

const others = { trusted: false }

t.test(
  'answers to untrusted users evict only their own addresses: 16 current and 64 former ones',
  async (t) => {
    const its = book()
    for (const name of [NAME, OTHER]) {
      for (let turn = 0; turn < 20; turn++) its.learn(many(16, turn * 16), { name, ttl: 86_400 })
      const before = [its.current(name), its.former(name)]
      for (let turn = 0; turn < 100; turn++) its.learn(many(16, 1000 + turn * 16), { ...others, name })
      t.same(its.current(name), [...many(16, 2600 - 16), ...before[0]!])
      t.same(its.former(name), [...many(64, 2600 - 16 - 64), ...before[1]!])
    }
  },
)

t.test(
  'an address of a trusted answer stays trusted, also when an untrusted answer has it before or after',
  async (t) => {
    const its = book({ isWatched: () => false })
    const flood = () => {
      for (let turn = 0; turn < 100; turn++) its.learn(many(4, turn * 4), others)
    }
    its.learn(['203.0.113.1'], others)
    its.learn(['203.0.113.1', '203.0.113.2'])
    its.learn(['203.0.113.2'], others)
    flood()
    t.same(its.current().slice(-2), ['203.0.113.1', '203.0.113.2'])
    its.pass((60 + GRACE) * 1000)
    its.learn(['203.0.113.1'], others)
    t.same(its.current(), ['203.0.113.1'], 'a former address is current again')
    flood()
    t.same(
      its.former().slice(-2),
      ['203.0.113.1', '203.0.113.2'],
      'the trusted addresses stay among the former ones',
    )
  },
)

t.test('an address that is known twice is listed once, with the longer of its times', async (t) => {
  const its = book()
  its.learn(['203.0.113.1'], { ttl: 60 })
  its.learn(['203.0.113.1'], { ...others, ttl: 600 })
  t.match(its.book.current(NAME), [{ expires: NOW + (600 + GRACE) * 1000 }])
  its.learn(['203.0.113.1'], { ttl: 6000 })
  t.match(its.book.current(NAME), [{ expires: NOW + (6000 + GRACE) * 1000 }])
  t.equal(its.book.current(NAME).length, 1)
  t.equal(its.book.knows(NAME, { hosts: hosts('203.0.113.1'), ttl: 6000 }, NOW), true)
})

t.test(
  "an untrusted user's address is known for its time, and never kept as a last good answer",
  async (t) => {
    const its = book()
    its.learn(['198.51.100.1'], others)
    t.equal(its.book.knows(NAME, { hosts: hosts('198.51.100.1'), ttl: 60 }, its.now), true)
    its.pass((60 + GRACE) * 1000)
    t.same([its.current(), its.former()], [[], ['198.51.100.1']])
  },
)

t.test('names of untrusted users have 4,096 addresses, and evict no address of others', async (t) => {
  const its = book()
  its.learn(many(64))
  its.learn(many(64), { name: OTHER })
  its.learn(many(16, 64), others)
  for (let i = 0; i < 2000; i++) its.learn(many(16, i * 16), { ...others, name: nth(i) })
  t.same(sum(its), { names: 1 + 256, addresses: 64 + 4096 })
  t.same([its.current().length, its.current(OTHER)], [80, many(64)])
  t.same(its.current(nth(2000 - 256)).length, 16, 'the newest names are kept')
  its.book.keep((name) => !name.startsWith('n'))
  t.same(sum(its), { names: 1, addresses: 64 })
})

t.test('addresses of untrusted users for one name do not count for trusted users', async (t) => {
  const its = book()
  for (let i = 0; i < 1000; i++) its.learn(many(16, i * 16), { name: nth(i) })
  for (let i = 0; i < 1000; i++)
    for (let turn = 0; turn < 5; turn++) its.learn(many(16, 20_000 + turn * 16), { ...others, name: nth(i) })
  t.same(sum(its), { names: 1000, addresses: 16_000 + 4080 })
})

t.test('untrusted users have 1,024 names, those with the newest answers', async (t) => {
  const its = book()
  for (let i = 0; i < 2000; i++) {
    its.learn(['203.0.113.2'], { ...others, name: nth(i) })
    its.learn([`203.0.113.${i % 250}`], { ...others, name: OTHER })
  }
  t.equal(sum(its).names, 1024)
  t.same([its.current(nth(2000 - 1023)).length, its.current(nth(2000 - 1024)).length], [1, 0])
})

t.test(
  'a name that a trusted user asked for stays, even when untrusted users flood other names',
  async (t) => {
    const its = book()
    its.learn(['198.51.100.1'], { ...others, name: OTHER })
    its.learn(['198.51.100.1'], { name: OTHER })
    for (let i = 0; i < 2000; i++) its.learn(['203.0.113.2'], { ...others, name: nth(i) })
    t.same(its.current(OTHER), ['198.51.100.1'])
  },
)

t.test('names of trusted users have 16,384 addresses, also names that were untrusted before', async (t) => {
  const its = book()
  its.learn(['198.51.100.1'], { ...others, name: OTHER })
  for (let i = 0; i < 300; i++)
    for (const first of [0, 64]) its.learn(many(64, i * 200 + first), { name: nth(i) })
  t.same(sum(its), { names: 1 + 128, addresses: 1 + 16_384 })
  t.same(its.current(OTHER), ['198.51.100.1'])
  const removed = its.changes.filter((text) => text.endsWith('-> undefined')).length
  t.equal(removed, 300 * 128 - 16_384, 'each removal is reported')
})

t.test('names of the allowlist do not count for the bounds; names that leave the allowlist do', async (t) => {
  const listed = new Set(Array.from({ length: 500 }, (_, i) => nth(i)))
  const its = book({ isListed: (name) => listed.has(name) })
  for (const trusted of [true, false]) for (const name of listed) its.learn(many(64), { name, trusted })
  t.equal(its.book.entries(nth(0)).length, 64)
  for (const name of listed) its.learn(many(16, 64), { ...others, name })
  t.same(sum(its), { names: 500, addresses: 500 * 80 })
  listed.clear()
  its.book.keep(() => true)
  t.same(sum(its), { names: 256, addresses: 16_384 + 4096 }, 'the names have left the allowlist')
  t.same(
    [its.current(nth(243)), its.current(nth(244)).length],
    [[], 80],
    'for trusted and untrusted users the newest names are kept',
  )
})

t.test('a name that joins the allowlist after it was learned is not removed', async (t) => {
  const listed = new Set<string>()
  const its = book({ isListed: (name) => listed.has(name) })
  for (const trusted of [true, false]) {
    its.learn(['198.51.100.1'], { name: OTHER, trusted })
    listed.add(OTHER)
    for (let i = 0; i < 17_000; i++) its.learn(['203.0.113.2'], { name: nth(i), trusted })
    t.same(its.current(OTHER), ['198.51.100.1'])
    listed.clear()
    its.book.keep(() => false)
  }
})
