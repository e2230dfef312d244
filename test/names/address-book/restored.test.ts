import t from 'tap'
import { many } from '../addresses.js'
import { book, DAY, HOUR, NOW, nth, OTHER, sum } from './book.js'

t.test('what an earlier run knew counts until there are answers', async (t) => {
  const its = book()
  its.restore(['198.51.100.9'], NOW - HOUR)
  t.same(its.current(), ['198.51.100.9'], 'a host that was off for an hour has to be updated as well')
  its.pass(DAY)
  t.same(its.current(), ['198.51.100.9'])
  its.learn(['198.51.100.1'])
  its.pass(1000)
  t.same([its.current(), its.former()], [['198.51.100.1'], ['198.51.100.9']])
})

t.test('with answers, it counts for as long as it would have', async (t) => {
  const its = book()
  its.restore(['198.51.100.9'], NOW + HOUR)
  its.learn(['198.51.100.1'])
  its.pass(HOUR - 1)
  t.same(its.current(), ['198.51.100.9', '198.51.100.1'])
  its.pass(1)
  t.same(its.current(), ['198.51.100.1'])
})

t.test('of names under wildcards, what an earlier run knew goes when its time is over', async (t) => {
  const its = book()
  its.restore(['198.51.100.8'], NOW - 1, OTHER)
  its.restore(['198.51.100.9'], NOW + HOUR, OTHER)
  t.same(its.current(OTHER), ['198.51.100.9'])
  its.pass(HOUR)
  t.same(its.current(OTHER), [])
})

t.test('what an earlier run knew never replaces an answer', async (t) => {
  const its = book()
  its.learn(['198.51.100.1'], { name: OTHER })
  its.restore(['198.51.100.1'], NOW - DAY, OTHER)
  its.pass(60_000)
  t.same(its.current(OTHER), ['198.51.100.1'])
})

t.test(
  'nothing that is kept counts for longer than an answer could, whatever the clock was then',
  async (t) => {
    const its = book({ isWatched: () => false })
    its.restore(['198.51.100.9'], NOW + 10 * 365 * DAY)
    its.pass(2 * DAY)
    t.same(its.current(), [])
  },
)

t.test(
  'what an earlier run knew of names under wildcards takes no room from those who are trusted',
  async (t) => {
    const its = book()
    its.learn(['198.51.100.1'], { name: OTHER })
    for (let i = 0; i < 2000; i++) its.restore(many(2, i * 2), NOW + HOUR, nth(i))
    t.same(sum(its), { names: 1 + 1024, addresses: 1 + 2048 })
    its.restore(many(100), NOW + HOUR)
    t.same(its.current(), many(64, 36), 'those of the allowlist have room enough')
  },
)
