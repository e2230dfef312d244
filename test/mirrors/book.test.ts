import t from 'tap'
import { AddressBook, type BookOptions } from '../../src/mirrors/book.js'
import { host, hosts, many, textOf } from './hosts.js'

const NAME = 'mirror.example.org'
const OTHER = 'other.example.org'
const GRACE = 300
const NOW = 1_800_000_000_000
const HOUR = 3600 * 1000
const DAY = 24 * HOUR

/** A book that watches `NAME`, and what it has told. */
function book(options: Partial<BookOptions> = {}) {
  const state = { now: NOW, changes: [] as string[], book: undefined as unknown as AddressBook }
  state.book = new AddressBook({
    onChange: (name, host, was, is) => state.changes.push(`${name} ${textOf(host)}: ${was} -> ${is}`),
    grace: () => GRACE,
    isWatched: (name) => name === NAME,
    ...options,
  })
  const standing = (name: string, wanted: string) =>
    state.book
      .entries(name)
      .filter((entry) => entry.standing === wanted)
      .map(({ host }) => textOf(host))
  return Object.assign(state, {
    learn: (texts: readonly string[], { ttl = 60, name = NAME } = {}) =>
      state.book.learn(name, { hosts: hosts(...texts), ttl }, state.now),
    restore: (texts: readonly string[], expires: number, name = NAME) =>
      state.book.restore(
        name,
        texts.map((text) => ({ host: host(text), expires })),
        state.now,
      ),
    /** Lets time pass; the book looks at it each minute, and at the end. */
    pass: (ms: number) => {
      for (let at = 0; at < ms; at += 60_000) state.book.expire(state.now + at)
      state.now += ms
      state.book.expire(state.now)
    },
    current: (name = NAME) => standing(name, 'current'),
    former: (name = NAME) => standing(name, 'former'),
    names: () => [...state.book.names],
  })
}

t.test('what an answer names is current, and told once', async (t) => {
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
  'an address that is answered no more stays through its TTL and the grace; then it is a former one',
  async (t) => {
    const its = book()
    its.learn(['198.51.100.1'])
    its.pass(59_000)
    its.learn(['198.51.100.2'])
    its.pass(GRACE * 1000)
    t.same(its.current(), ['198.51.100.1', '198.51.100.2'], 'programs keep answers, too')
    its.pass(1000)
    t.same([its.current(), its.former()], [['198.51.100.2'], ['198.51.100.1']])
    t.same(its.changes.at(-1), `${NAME} 198.51.100.1: current -> former`)
  },
)

t.test('a shorter time in a later answer does not take back what was promised', async (t) => {
  const its = book({ isWatched: () => false })
  its.learn(['198.51.100.1'], { ttl: 3600 })
  its.learn(['198.51.100.1'], { ttl: 5 })
  its.pass(HOUR)
  t.same(its.current(), ['198.51.100.1'], 'a program may have the first answer')
  its.pass(GRACE * 1000)
  t.same(its.current(), [])
})

t.test('no time is too short to be used', async (t) => {
  for (const ttl of [0, 1]) {
    const its = book({ isWatched: () => false, grace: () => 0 })
    its.learn(['198.51.100.1'], { ttl })
    its.pass(999)
    t.same(its.current(), ['198.51.100.1'], `TTL ${ttl}`)
    its.pass(1)
    t.same(its.current(), [], `TTL ${ttl}`)
  }
})

t.test('ten minutes without a resolver take nothing away from a name that is watched', async (t) => {
  const its = book()
  its.learn(['198.51.100.1', '2001:db8::1'], { ttl: 5 })
  for (let second = 0; second < 600; second++) its.pass(1000)
  t.same(its.current(), ['198.51.100.1', '2001:db8::1'])
  t.equal(its.changes.length, 2)
})

t.test('the last good answer stays for seven days, but only the last one', async (t) => {
  const its = book()
  its.learn(['198.51.100.1'])
  its.pass(10_000)
  its.learn(['198.51.100.2'])
  its.pass(7 * DAY)
  t.same([its.current(), its.former()], [['198.51.100.2'], []])
  its.pass((60 + GRACE) * 1000)
  t.same([its.current(), its.former()], [[], ['198.51.100.2']])
  its.pass(DAY)
  t.same([its.names(), its.book.entries(NAME)], [[], []], 'nothing is kept for ever')
})

t.test('an answer without an address says nothing', async (t) => {
  const its = book()
  its.learn([])
  t.same([its.names(), its.changes], [[], []])
  its.learn(['198.51.100.1'])
  its.pass(HOUR)
  its.learn([])
  its.pass(HOUR)
  t.same(its.current(), ['198.51.100.1'])
})

t.test('one family that is answered does not age the other out', async (t) => {
  const its = book()
  its.learn(['198.51.100.1', '2001:db8::1'])
  for (let minute = 0; minute < 24 * 60; minute++) {
    its.pass(60_000)
    its.learn(['198.51.100.1'])
  }
  t.same(its.current(), ['2001:db8::1', '198.51.100.1'])
  its.learn(['2001:db8::2'])
  its.pass(1000)
  t.same(its.current(), ['198.51.100.1', '2001:db8::2'], 'but a new answer does')
})

t.test('a name that nobody asks for by itself goes when its time is over', async (t) => {
  const its = book()
  its.learn(['198.51.100.1'], { name: OTHER })
  its.pass((60 + GRACE) * 1000)
  t.same([its.current(OTHER), its.former(OTHER)], [[], ['198.51.100.1']])
  its.pass(DAY)
  t.same(its.names(), [])
  t.equal(its.changes.at(-1), `${OTHER} 198.51.100.1: former -> undefined`)
})

t.test('a name that is no longer watched goes as well', async (t) => {
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

t.test('a former address that is answered again is current again', async (t) => {
  const its = book()
  its.learn(['198.51.100.1'])
  its.pass(60_000)
  its.learn(['198.51.100.2'], { ttl: 86_400 })
  its.pass(GRACE * 1000)
  t.same(its.former(), ['198.51.100.1'])
  its.learn(['198.51.100.1'])
  t.same([its.current(), its.former()], [['198.51.100.2', '198.51.100.1'], []])
  its.pass((60 + GRACE) * 1000 - 1)
  t.same(its.current(), ['198.51.100.2', '198.51.100.1'], 'for the time of the new answer')
})

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

t.test('what was told adds up to what is known', async (t) => {
  const its = book()
  const known = new Map<string, string>()
  const told = new AddressBook({
    onChange: (name, host, was, is) => {
      const key = `${name} ${textOf(host)}`
      if (known.get(key) !== was || was === is) t.fail(`${key}: ${was} -> ${is}`)
      if (is === undefined) known.delete(key)
      else known.set(key, is)
    },
    grace: () => GRACE,
    isWatched: (name) => name === NAME,
  })
  for (let turn = 0; turn < 300; turn++) {
    its.now += 97_000
    const name = turn % 3 === 0 ? OTHER : NAME
    told.learn(
      name,
      { hosts: hosts(...many(1 + (turn % 30), (turn * 7) % 500)), ttl: (turn * 31) % 900 },
      its.now,
    )
    if (turn % 5 === 0) told.expire(its.now)
    if (turn % 100 === 99) told.keep((each) => each !== OTHER)
  }
  const entries = [...told.names].flatMap((name) =>
    told.entries(name).map(({ host, standing }) => `${name} ${textOf(host)} ${standing}`),
  )
  t.same(entries.toSorted(), [...known].map(([key, standing]) => `${key} ${standing}`).toSorted())
  told.keep(() => false)
  t.equal(known.size, 0)
})

t.test('an address of two names is two entries: it goes with each of them', async (t) => {
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

t.test('an IPv4 address is not the IPv6 address of the same words', async (t) => {
  const its = book()
  its.learn(['198.51.100.1', 'c633:6401::'])
  t.equal(its.current().length, 2)
})

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

t.test('an answer that says nothing new is known, one that names something else is not', async (t) => {
  const its = book()
  const knows = (texts: readonly string[], { ttl = 60, name = NAME } = {}) =>
    its.book.knows(name, { hosts: hosts(...texts), ttl }, its.now)
  its.learn(['198.51.100.1', '198.51.100.2'])
  t.equal(knows(['198.51.100.1']), true)
  t.equal(knows(['198.51.100.1', '198.51.100.3']), false)
  t.equal(knows(['198.51.100.1'], { name: OTHER }), false)
  t.equal(knows(['198.51.100.1'], { ttl: 60 + GRACE }), true)
  t.equal(knows(['198.51.100.1'], { ttl: 61 + GRACE }), false, 'nor one that may be kept for longer')
  its.pass(8 * DAY)
  t.equal(knows(['198.51.100.1'], { ttl: 0 }), false, 'a former address is not known')
})

t.test('names are bounded: the one that was spoken of longest ago goes, unless it is watched', async (t) => {
  const its = book()
  its.learn(['203.0.113.1'])
  for (let i = 0; i < 20_000; i++) its.learn(['203.0.113.2'], { name: `n${i}.example.org` })
  t.equal(its.names().length, 16_384)
  t.same(its.current(), ['203.0.113.1'])
  t.same(its.current('n19999.example.org'), ['203.0.113.2'])
  t.same(its.current('n0.example.org'), [])
  const told = its.changes.length
  t.equal(told, 1 + 20_000 + (20_001 - 16_384), 'and each that goes is told')
})

t.test('where all names are watched, one more leaves nothing behind that nobody knows of', async (t) => {
  const its = book({ isWatched: (name) => name !== OTHER })
  for (let i = 0; i < 16_384; i++) its.learn(['203.0.113.2'], { name: `n${i}.example.org` })
  its.changes.length = 0
  its.learn(['198.51.100.1'], { name: OTHER })
  its.pass(2 * DAY)
  const balance = its.changes.filter((text) => text.startsWith(OTHER)).map((text) => text.split(': ')[1])
  t.same(balance.slice(0, 1), balance.length > 0 ? ['undefined -> current'] : [])
  t.equal(balance.at(-1) ?? 'former -> undefined', 'former -> undefined')
})

t.test('the grace is what it is when an answer comes: a reload may change it', async (t) => {
  let grace = 0
  const its = book({ grace: () => grace, isWatched: () => false })
  its.learn(['198.51.100.1'])
  grace = 3600
  its.learn(['198.51.100.2'])
  its.pass(60_000)
  t.same(its.current(), ['198.51.100.2'])
})

t.test('a clock that is set back throws nothing away, and nothing is kept for ever', async (t) => {
  const its = book()
  its.learn(['198.51.100.1'])
  its.now -= HOUR
  its.learn(['198.51.100.2'])
  its.pass(1000)
  t.same(its.current(), ['198.51.100.1', '198.51.100.2'])
  its.pass(10 * DAY)
  t.same(its.current(), [])
})
