import t from 'tap'
import { many, textOf } from '../addresses.js'
import { book, DAY, HOUR, NAME, OTHER } from './book.js'

t.test('rotating answers are bounded: the newest 64 addresses are current, and 256 are former', async (t) => {
  const its = book()
  for (let turn = 0; turn < 200; turn++) its.learn(many(16, turn * 16), { ttl: 86_400 })
  t.same(its.current(), many(64, 3200 - 64))
  t.same(its.former(), many(256, 3200 - 64 - 256))
  t.equal(its.book.entries(NAME).length, 64 + 256)
})

t.test('of an answer with twice the bound, the last 64 addresses are kept', async (t) => {
  const its = book()
  its.learn(many(128))
  t.same(its.current(), many(64, 64))
})

t.test('an address that appears in every answer outlives a flood of others', async (t) => {
  const its = book()
  for (let turn = 0; turn < 500; turn++) {
    its.learn(many(4, turn * 4))
    its.learn(['203.0.113.1'])
  }
  t.ok(its.current().includes('203.0.113.1'))
  t.equal(its.changes.filter((text) => text.includes('203.0.113.1')).length, 1)
})

t.test('former addresses are removed after a day, also those of a flood', async (t) => {
  const its = book()
  for (let turn = 0; turn < 50; turn++) its.learn(many(16, turn * 16), { ttl: 3600 })
  its.pass(DAY - 1)
  t.equal(its.former().length, 256)
  its.pass(1)
  t.same(its.former(), [])
  t.same(its.current(), many(64, 50 * 16 - 64).slice(-64))
})

t.test(
  'names are bounded: the name with the oldest answer is removed, unless it is in the allowlist',
  async (t) => {
    const its = book()
    its.learn(['203.0.113.1'])
    for (let i = 0; i < 20_000; i++) its.learn(['203.0.113.2'], { name: `n${i}.example.org` })
    t.equal(its.names().length, 1 + 16_384)
    t.same(its.current(), ['203.0.113.1'])
    t.same(its.current('n19999.example.org'), ['203.0.113.2'])
    t.same(its.current('n0.example.org'), [])
    const reported = its.changes.length
    t.equal(reported, 1 + 20_000 + (20_000 - 16_384), 'each removal is reported')
  },
)

t.test(
  'when the allowlist fills all places, one more name leaves no address without a reported removal',
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

t.test(
  'a former address in use is kept as long as it is used, and a flood of others does not evict it',
  async (t) => {
    let isUsed = true
    const its = book({ isUsed: (used) => isUsed && textOf(used) === '198.51.100.1' })
    its.learn(['198.51.100.1'])
    for (let i = 0; i < 1000; i++) its.learn([`203.0.${i >> 8}.${i & 255}`])
    its.pass(HOUR)
    t.ok(its.former().includes('198.51.100.1'))
    for (let day = 0; day < 5; day++) its.pass(DAY)
    t.same(its.former(), ['198.51.100.1'], 'others are dropped after a day')
    t.same(
      its.book
        .toKeep(NAME, its.now)
        .map(({ host, state }) => `${textOf(host)} ${state}`)
        .at(-1),
      '198.51.100.1 former',
    )
    isUsed = false
    its.pass(2 * DAY)
    t.notOk(its.former().includes('198.51.100.1'))
  },
)
