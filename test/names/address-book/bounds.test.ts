import t from 'tap'
import { many } from '../addresses.js'
import { book, DAY, NAME, OTHER } from './book.js'

t.test('rotating answers are bounded: the newest 64 addresses stay, and 256 that were', async (t) => {
  const its = book()
  for (let turn = 0; turn < 200; turn++) its.learn(many(16, turn * 16), { ttl: 86_400 })
  t.same(its.current(), many(64, 3200 - 64))
  t.same(its.former(), many(256, 3200 - 64 - 256))
  t.equal(its.book.entries(NAME).length, 64 + 256)
})

t.test('an answer that counts twice the bound leaves its last 64', async (t) => {
  const its = book()
  its.learn(many(128))
  t.same(its.current(), many(64, 64))
})

t.test('an address that is answered again and again outlives a flood of others', async (t) => {
  const its = book()
  for (let turn = 0; turn < 500; turn++) {
    its.learn(many(4, turn * 4))
    its.learn(['203.0.113.1'])
  }
  t.ok(its.current().includes('203.0.113.1'))
  t.equal(its.changes.filter((text) => text.includes('203.0.113.1')).length, 1)
})

t.test('former addresses are forgotten after a day, those of a flood too', async (t) => {
  const its = book()
  for (let turn = 0; turn < 50; turn++) its.learn(many(16, turn * 16), { ttl: 3600 })
  its.pass(DAY - 1)
  t.equal(its.former().length, 256)
  its.pass(1)
  t.same(its.former(), [])
  t.same(its.current(), many(64, 50 * 16 - 64).slice(-64))
})

t.test(
  'names are bounded: the one that was spoken of longest ago goes, unless it stands in the allowlist',
  async (t) => {
    const its = book()
    its.learn(['203.0.113.1'])
    for (let i = 0; i < 20_000; i++) its.learn(['203.0.113.2'], { name: `n${i}.example.org` })
    t.equal(its.names().length, 1 + 16_384)
    t.same(its.current(), ['203.0.113.1'])
    t.same(its.current('n19999.example.org'), ['203.0.113.2'])
    t.same(its.current('n0.example.org'), [])
    const told = its.changes.length
    t.equal(told, 1 + 20_000 + (20_000 - 16_384), 'and each that goes is told')
  },
)

t.test(
  'where all names stand in the allowlist, one more leaves nothing behind that nobody knows of',
  async (t) => {
    const its = book({ isListed: (name) => name !== OTHER })
    for (let i = 0; i < 16_384; i++) its.learn(['203.0.113.2'], { name: `n${i}.example.org` })
    its.changes.length = 0
    its.learn(['198.51.100.1'], { name: OTHER })
    its.pass(2 * DAY)
    const balance = its.changes.filter((text) => text.startsWith(OTHER)).map((text) => text.split(': ')[1])
    t.same(balance.slice(0, 1), balance.length > 0 ? ['undefined -> current'] : [])
    t.equal(balance.at(-1) ?? 'former -> undefined', 'former -> undefined')
  },
)
