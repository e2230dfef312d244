import t from 'tap'
import { AddressBook } from '../../../src/names/address-book.js'
import { hosts, many, textOf } from '../addresses.js'
import { book, DAY, GRACE, HOUR, NAME, OTHER } from './book.js'

t.test('the addresses of an answer are current, and each is reported once', async (t) => {
  const its = book()
  its.learn(['198.51.100.1', '2001:db8::1'])
  its.learn(['2001:db8::1', '198.51.100.1', '198.51.100.1'])
  t.same(its.current().toSorted(), ['198.51.100.1', '2001:db8::1'])
  t.same(its.changes, [
    `${NAME} 198.51.100.1: undefined -> current`,
    `${NAME} 2001:db8::1: undefined -> current`,
  ])
  t.same(its.book.entries(OTHER), [])
})

t.test(
  'an address missing in later answers is current through its TTL and the grace, then a former address',
  async (t) => {
    const its = book()
    its.learn(['198.51.100.1'])
    its.pass(59_000)
    its.learn(['198.51.100.2'])
    its.pass(GRACE * 1000)
    t.same(its.current(), ['198.51.100.1', '198.51.100.2'], 'programs keep answers as well')
    its.pass(1000)
    t.same([its.current(), its.former()], [['198.51.100.2'], ['198.51.100.1']])
    t.same(its.changes.at(-1), `${NAME} 198.51.100.1: current -> former`)
  },
)

t.test('a later answer with a shorter TTL does not shorten the time of an earlier one', async (t) => {
  const its = book({ isWatched: () => false })
  its.learn(['198.51.100.1'], { ttl: 3600 })
  its.learn(['198.51.100.1'], { ttl: 5 })
  its.pass(HOUR)
  t.same(its.current(), ['198.51.100.1'], 'a program may still use the first answer')
  its.pass(GRACE * 1000)
  t.same(its.current(), [])
})

t.test('an address counts for at least a second, however short its TTL is', async (t) => {
  for (const ttl of [0, 1]) {
    const its = book({ isWatched: () => false, grace: () => 0 })
    its.learn(['198.51.100.1'], { ttl })
    its.pass(999)
    t.same(its.current(), ['198.51.100.1'], `the TTL is ${ttl}`)
    its.pass(1)
    t.same(its.current(), [], `the TTL is ${ttl}`)
  }
})

t.test('after ten minutes without a resolver, a watched name still has its addresses', async (t) => {
  const its = book()
  its.learn(['198.51.100.1', '2001:db8::1'], { ttl: 5 })
  for (let second = 0; second < 600; second++) its.pass(1000)
  t.same(its.current(), ['198.51.100.1', '2001:db8::1'])
  t.equal(its.changes.length, 2)
})

t.test('the last good answer is kept for seven days, and only the last one', async (t) => {
  const its = book()
  its.learn(['198.51.100.1'])
  its.pass(10_000)
  its.learn(['198.51.100.2'])
  its.pass(7 * DAY)
  t.same([its.current(), its.former()], [['198.51.100.2'], []])
  its.pass((60 + GRACE) * 1000)
  t.same([its.current(), its.former()], [[], ['198.51.100.2']])
  its.pass(DAY)
  t.same([its.names(), its.book.entries(NAME)], [[], []], 'no address is kept for ever')
})

t.test('an answer without an address changes nothing', async (t) => {
  const its = book()
  its.learn([])
  t.same([its.names(), its.changes], [[], []])
  its.learn(['198.51.100.1'])
  its.pass(HOUR)
  its.learn([])
  its.pass(HOUR)
  t.same(its.current(), ['198.51.100.1'])
})

t.test('answers of one family do not age the addresses of the other', async (t) => {
  const its = book()
  its.learn(['198.51.100.1', '2001:db8::1'])
  for (let minute = 0; minute < 24 * 60; minute++) {
    its.pass(60_000)
    its.learn(['198.51.100.1'])
  }
  t.same(its.current(), ['2001:db8::1', '198.51.100.1'])
  its.learn(['2001:db8::2'])
  its.pass(1000)
  t.same(its.current(), ['198.51.100.1', '2001:db8::2'], 'a new answer of that family does')
})

t.test('a name that is not watched is removed when its time is over', async (t) => {
  const its = book()
  its.learn(['198.51.100.1'], { name: OTHER })
  its.pass((60 + GRACE) * 1000)
  t.same([its.current(OTHER), its.former(OTHER)], [[], ['198.51.100.1']])
  its.pass(DAY)
  t.same(its.names(), [])
  t.equal(its.changes.at(-1), `${OTHER} 198.51.100.1: former -> undefined`)
})

t.test('a name that is no longer watched is removed in time as well', async (t) => {
  let watched = true
  const its = book({ isWatched: () => watched })
  its.learn(['198.51.100.1'])
  its.pass(HOUR)
  t.same(its.current(), ['198.51.100.1'])
  watched = false
  its.learn(['198.51.100.2'])
  its.pass(1000)
  t.same(its.current(), ['198.51.100.2'])
})

t.test('a former address that appears in an answer is current again', async (t) => {
  const its = book()
  its.learn(['198.51.100.1'])
  its.pass(60_000)
  its.learn(['198.51.100.2'], { ttl: 86_400 })
  its.pass(GRACE * 1000)
  t.same(its.former(), ['198.51.100.1'])
  its.learn(['198.51.100.1'])
  t.same([its.current(), its.former()], [['198.51.100.2', '198.51.100.1'], []])
  its.pass((60 + GRACE) * 1000 - 1)
  t.same(
    its.current(),
    ['198.51.100.2', '198.51.100.1'],
    'the address is current for the time of the new answer',
  )
})

t.test('the reported changes add up to the known addresses', async (t) => {
  const its = book()
  // An address that is known twice is reported twice.
  const known: string[] = []
  const reporting = new AddressBook({
    onChange: (name, host, was, is) => {
      const key = `${name} ${textOf(host)}`
      const before = known.indexOf(`${key} ${was}`)
      if (before < 0 !== (was === undefined) || was === is) t.fail(`${key}: ${was} -> ${is}`)
      if (was !== undefined) known.splice(before, 1)
      if (is !== undefined) known.push(`${key} ${is}`)
    },
    grace: () => GRACE,
    isUsed: () => false,
    isListed: (name) => name === NAME,
    isWatched: (name) => name === NAME,
  })
  for (let turn = 0; turn < 300; turn++) {
    its.now += 97_000
    const name = turn % 3 === 0 ? OTHER : NAME
    reporting.learn(
      name,
      { hosts: hosts(...many(1 + (turn % 30), (turn * 7) % 500)), ttl: (turn * 31) % 900 },
      its.now,
      turn % 4 > 0,
    )
    if (turn % 5 === 0) reporting.expire(its.now)
    if (turn % 100 === 99) reporting.keep((each) => each !== OTHER)
  }
  const entries = [...reporting.names].flatMap((name) =>
    reporting.entries(name).map(({ host, state }) => `${name} ${textOf(host)} ${state}`),
  )
  t.same(entries.toSorted(), known.toSorted())
  t.ok(new Set(entries).size < entries.length, 'some addresses are known twice')
  reporting.keep(() => false)
  t.same(known, [])
})

t.test('an address of two names is two entries: each is removed with its name', async (t) => {
  const its = book()
  its.learn(['198.51.100.1'])
  its.learn(['198.51.100.1'], { name: OTHER })
  its.book.keep((name) => name === NAME)
  t.same([its.current(), its.names()], [['198.51.100.1'], [NAME]])
  t.same(its.changes, [
    `${NAME} 198.51.100.1: undefined -> current`,
    `${OTHER} 198.51.100.1: undefined -> current`,
    `${OTHER} 198.51.100.1: current -> undefined`,
  ])
})

t.test('an IPv4 address and the IPv6 address of the same words are different', async (t) => {
  const its = book()
  its.learn(['198.51.100.1', 'c633:6401::'])
  t.equal(its.current().length, 2)
})

t.test('an answer with nothing new is known, an answer with another address is not', async (t) => {
  const its = book()
  const knows = (texts: readonly string[], { ttl = 60, name = NAME } = {}) =>
    its.book.knows(name, { hosts: hosts(...texts), ttl }, its.now)
  its.learn(['198.51.100.1', '198.51.100.2'])
  t.equal(knows(['198.51.100.1']), true)
  t.equal(knows(['198.51.100.1', '198.51.100.3']), false)
  t.equal(knows(['198.51.100.1'], { name: OTHER }), false)
  t.equal(knows(['198.51.100.1'], { ttl: 60 + GRACE }), true)
  t.equal(knows(['198.51.100.1'], { ttl: 61 + GRACE }), false, 'an answer that lasts longer is not known')
  its.pass(8 * DAY)
  t.equal(knows(['198.51.100.1'], { ttl: 0 }), false, 'an answer with a former address is not known')
})

t.test('the grace is read at each answer: a reload may change it', async (t) => {
  let grace = 0
  const its = book({ grace: () => grace, isWatched: () => false })
  its.learn(['198.51.100.1'])
  grace = 3600
  its.learn(['198.51.100.2'])
  its.pass(60_000)
  t.same(its.current(), ['198.51.100.2'])
})

t.test('a clock that is set back removes no address, and no address is kept for ever', async (t) => {
  const its = book()
  its.learn(['198.51.100.1'])
  its.now -= HOUR
  its.learn(['198.51.100.2'])
  its.pass(1000)
  t.same(its.current(), ['198.51.100.1', '198.51.100.2'])
  its.pass(10 * DAY)
  t.same(its.current(), [])
})
