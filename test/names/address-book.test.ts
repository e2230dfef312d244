import t from 'tap'
import { AddressBook, type AddressBookOptions } from '../../src/names/address-book.js'
import { host, hosts, many, textOf } from './addresses.js'

const NAME = 'mirror.example.org'
const OTHER = 'other.example.org'
const GRACE = 300
const NOW = 1_800_000_000_000
const HOUR = 3600 * 1000
const DAY = 24 * HOUR

/** A book that watches `NAME`, and what it has told. */
function book(options: Partial<AddressBookOptions> = {}) {
  const state = { now: NOW, changes: [] as string[], book: undefined as unknown as AddressBook }
  state.book = new AddressBook({
    onChange: (name, host, was, is) => state.changes.push(`${name} ${textOf(host)}: ${was} -> ${is}`),
    grace: () => GRACE,
    isListed: (name) => name === NAME,
    isWatched: (name) => name === NAME,
    ...options,
  })
  const standing = (name: string, wanted: string) =>
    state.book
      .entries(name)
      .filter((entry) => entry.standing === wanted)
      .map(({ host }) => textOf(host))
  return Object.assign(state, {
    learn: (texts: readonly string[], { ttl = 60, name = NAME, trusted = true } = {}) =>
      state.book.learn(name, { hosts: hosts(...texts), ttl }, state.now, trusted),
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
  // An address that is known twice is told twice.
  const known: string[] = []
  const told = new AddressBook({
    onChange: (name, host, was, is) => {
      const key = `${name} ${textOf(host)}`
      const before = known.indexOf(`${key} ${was}`)
      if (before < 0 !== (was === undefined) || was === is) t.fail(`${key}: ${was} -> ${is}`)
      if (was !== undefined) known.splice(before, 1)
      if (is !== undefined) known.push(`${key} ${is}`)
    },
    grace: () => GRACE,
    isListed: (name) => name === NAME,
    isWatched: (name) => name === NAME,
  })
  for (let turn = 0; turn < 300; turn++) {
    its.now += 97_000
    const name = turn % 3 === 0 ? OTHER : NAME
    told.learn(
      name,
      { hosts: hosts(...many(1 + (turn % 30), (turn * 7) % 500)), ttl: (turn * 31) % 900 },
      its.now,
      turn % 4 > 0,
    )
    if (turn % 5 === 0) told.expire(its.now)
    if (turn % 100 === 99) told.keep((each) => each !== OTHER)
  }
  const entries = [...told.names].flatMap((name) =>
    told.entries(name).map(({ host, standing }) => `${name} ${textOf(host)} ${standing}`),
  )
  t.same(entries.toSorted(), known.toSorted())
  t.ok(new Set(entries).size < entries.length, 'some are known twice')
  told.keep(() => false)
  t.same(known, [])
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

const others = { trusted: false }
/** One more name below a wildcard. */
const nth = (i: number) => `n${i}.example.org`

t.test(
  'those who are not trusted push out only what they have learned: 16 addresses, and 64 that were',
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

t.test('what a trusted answer has named stays so, whoever names it before or after', async (t) => {
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
  t.same(its.current(), ['203.0.113.1'], 'a former one is current again')
  flood()
  t.same(its.former().slice(-2), ['203.0.113.1', '203.0.113.2'], 'and one that was it as well')
})

t.test('an address that is known twice is told of once, for as long as it counts', async (t) => {
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
  'what others have asked for is known while somebody could use it, and is no last good answer',
  async (t) => {
    const its = book()
    its.learn(['198.51.100.1'], others)
    t.equal(its.book.knows(NAME, { hosts: hosts('198.51.100.1'), ttl: 60 }, its.now), true)
    its.pass((60 + GRACE) * 1000)
    t.same([its.current(), its.former()], [[], ['198.51.100.1']])
  },
)

/** What is known of names that are not watched. */
const sum = (its: ReturnType<typeof book>) => {
  const names = its.names().filter((name) => name !== NAME)
  return { names: names.length, addresses: names.flatMap((name) => its.book.entries(name)).length }
}

t.test('names of those who are not trusted have 4,096 addresses, and push out nobody else’s', async (t) => {
  const its = book()
  its.learn(many(64))
  its.learn(many(64), { name: OTHER })
  its.learn(many(16, 64), others)
  for (let i = 0; i < 2000; i++) its.learn(many(16, i * 16), { ...others, name: nth(i) })
  t.same(sum(its), { names: 1 + 256, addresses: 64 + 4096 })
  t.same([its.current().length, its.current(OTHER)], [80, many(64)])
  t.same(its.current(nth(2000 - 256)).length, 16, 'the newest stay')
  its.book.keep((name) => !name.startsWith('n'))
  t.same(sum(its), { names: 1, addresses: 64 })
})

t.test('what others have learned of one name is not the affair of those who are trusted', async (t) => {
  const its = book()
  for (let i = 0; i < 1000; i++) its.learn(many(16, i * 16), { name: nth(i) })
  for (let i = 0; i < 1000; i++)
    for (let turn = 0; turn < 5; turn++) its.learn(many(16, 20_000 + turn * 16), { ...others, name: nth(i) })
  t.same(sum(its), { names: 1000, addresses: 16_000 + 4080 })
})

t.test('they are 1,024 names, the last that were spoken of', async (t) => {
  const its = book()
  for (let i = 0; i < 2000; i++) {
    its.learn(['203.0.113.2'], { ...others, name: nth(i) })
    its.learn([`203.0.113.${i % 250}`], { ...others, name: OTHER })
  }
  t.equal(sum(its).names, 1024)
  t.same([its.current(nth(2000 - 1023)).length, its.current(nth(2000 - 1024)).length], [1, 0])
})

t.test('a name for which one who is trusted has asked stays, whoever asks for others', async (t) => {
  const its = book()
  its.learn(['198.51.100.1'], { ...others, name: OTHER })
  its.learn(['198.51.100.1'], { name: OTHER })
  for (let i = 0; i < 2000; i++) its.learn(['203.0.113.2'], { ...others, name: nth(i) })
  t.same(its.current(OTHER), ['198.51.100.1'])
})

t.test('names of those who are trusted have 16,384 addresses, what they were included', async (t) => {
  const its = book()
  its.learn(['198.51.100.1'], { ...others, name: OTHER })
  for (let i = 0; i < 300; i++)
    for (const first of [0, 64]) its.learn(many(64, i * 200 + first), { name: nth(i) })
  t.same(sum(its), { names: 1 + 128, addresses: 1 + 16_384 })
  t.same(its.current(OTHER), ['198.51.100.1'])
  const told = its.changes.filter((text) => text.endsWith('-> undefined')).length
  t.equal(told, 300 * 128 - 16_384, 'each that goes is told')
})

t.test('names of the allowlist need no room, and have it in time', async (t) => {
  const listed = new Set(Array.from({ length: 500 }, (_, i) => nth(i)))
  const its = book({ isListed: (name) => listed.has(name) })
  for (const trusted of [true, false]) for (const name of listed) its.learn(many(64), { name, trusted })
  t.equal(its.book.entries(nth(0)).length, 64)
  for (const name of listed) its.learn(many(16, 64), { ...others, name })
  t.same(sum(its), { names: 500, addresses: 500 * 80 })
  listed.clear()
  its.book.keep(() => true)
  t.same(sum(its), { names: 256, addresses: 16_384 + 4096 }, 'no longer')
  t.same([its.current(nth(243)), its.current(nth(244)).length], [[], 80], 'of each shelf the last stay')
})

t.test('a name that has come into the allowlist since it was learned is not forgotten', async (t) => {
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
