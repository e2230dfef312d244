import t from 'tap'
import { many } from '../addresses.js'
import { book, DAY, HOUR, NOW, nth, OTHER, sum } from './book.js'

t.test('addresses of an earlier run are current until the first answer', async (t) => {
  const its = book()
  its.restore(['198.51.100.9'], NOW - HOUR)
  t.same(its.current(), ['198.51.100.9'], 'a host that was off for an hour must be updated as well')
  its.pass(DAY)
  t.same(its.current(), ['198.51.100.9'])
  its.learn(['198.51.100.1'])
  its.pass(1000)
  t.same([its.current(), its.former()], [['198.51.100.1'], ['198.51.100.9']])
})

t.test('after an answer, an address of an earlier run counts for the rest of its time', async (t) => {
  const its = book()
  its.restore(['198.51.100.9'], NOW + HOUR)
  its.learn(['198.51.100.1'])
  its.pass(HOUR - 1)
  t.same(its.current(), ['198.51.100.9', '198.51.100.1'])
  its.pass(1)
  t.same(its.current(), ['198.51.100.1'])
})

t.test(
  'addresses of an earlier run for names below wildcards are removed when their time is over',
  async (t) => {
    const its = book()
    its.restore(['198.51.100.8'], NOW - 1, OTHER)
    its.restore(['198.51.100.9'], NOW + HOUR, OTHER)
    t.same(its.current(OTHER), ['198.51.100.9'])
    its.pass(HOUR)
    t.same(its.current(OTHER), [])
  },
)

t.test('addresses of an earlier run never replace an answer', async (t) => {
  const its = book()
  its.learn(['198.51.100.1'], { name: OTHER })
  its.restore(['198.51.100.1'], NOW - DAY, OTHER)
  its.pass(60_000)
  t.same(its.current(OTHER), ['198.51.100.1'])
})

t.test(
  'a saved address counts no longer than an answer would, whatever the clock was at that time',
  async (t) => {
    const its = book({ isWatched: () => false })
    its.restore(['198.51.100.9'], NOW + 10 * 365 * DAY)
    its.pass(2 * DAY)
    t.same(its.current(), [])
  },
)

t.test(
  'addresses of an earlier run for names below wildcards evict no address of trusted users',
  async (t) => {
    const its = book()
    its.learn(['198.51.100.1'], { name: OTHER })
    for (let i = 0; i < 2000; i++) its.restore(many(2, i * 2), NOW + HOUR, nth(i))
    t.same(sum(its), { names: 1 + 1024, addresses: 1 + 2048 })
    its.restore(many(100), NOW + HOUR)
    t.same(its.current(), many(64, 36), 'names of the allowlist keep their newest 64 addresses')
  },
)
