import t from 'tap'
import type { Asker } from '../../../src/names/confirmations.js'
import { many } from '../addresses.js'
import {
  DAY,
  formerOf,
  HOUR,
  hear,
  hearAs,
  hostsOf,
  type Learning,
  learning,
  NAME,
  OTHER,
  policyOf,
  reading,
  SETTINGS,
  told,
} from './learning.js'

/** Asks for many names as an untrusted user, once each; the resolver has the same kind of answer for all. */
async function flood(its: Learning, names: readonly string[], texts: (i: number) => string[]) {
  for (const [i, name] of names.entries()) {
    its.zone.set(name, texts(i))
    await hear(its, name, reading(texts(i)), false)
  }
}

t.test('untrusted users evict no address that trusted users have learned', async (t) => {
  const its = learning(t)
  const policy = policyOf(['*.example.org'], [NAME])
  its.zone.set(NAME, many(64, 5000))
  await its.learned.start(policy, [], SETTINGS)
  hear(its, OTHER, reading(many(64, 6000)))
  const before = hostsOf(policy)
  const turns = Array.from({ length: 60 })
  await flood(its, turns.fill(NAME) as string[], (i) => many(16, i * 16))
  await flood(its, turns.fill(OTHER) as string[], (i) => many(16, i * 16))
  const names = Array.from({ length: 1500 }, (_, i) => `n${i}.example.org`)
  await flood(its, names, (i) => many(16, 1000 + i))
  const after = new Set(hostsOf(policy))
  t.ok(before.length === 128 && before.every((text) => after.has(text)))
  t.ok(its.learned.known.length <= 2 + 256, `${its.learned.known.length} names are known`)
})

t.test(
  "answers to the service's own look-ups evict no address that trusted users have learned",
  async (t) => {
    const its = learning(t, { ownUid: 990 })
    await its.learned.start(policyOf(['*.example.org'], [NAME]), [], SETTINGS)
    const own: Asker = { uid: 990, trusted: true, isForgeable: false }
    hear(its, OTHER, reading(['198.51.100.1']))
    for (let i = 0; i < 17_000; i++) hearAs(its, own, `n${i}.example.org`, reading(many(1, i)))
    t.ok(its.learned.known.length <= 1 + 1024, `${its.learned.known.length} names are known`)
    t.equal(its.learned.current(OTHER).length, 1)
    hearAs(its, own, OTHER, reading([], { aliases: ['cdn.example.net'] }))
    t.equal(its.learned.isWayTo('cdn.example.net'), true, 'the alias was learned')
    for (let turn = 0; turn < 4; turn++) hearAs(its, own, NAME, reading(many(16, turn * 16)))
    t.equal(its.learned.current(NAME).length, 64, 'a watched name is asked for by the service')
  },
)

t.test(
  'when the service runs as root, answers for a name that it is looking up do not count as trusted',
  async (t) => {
    const its = learning(t, { ownUid: 0 })
    await its.learned.start(policyOf(['*.example.org']), [], SETTINGS)
    its.zone.delay = () => new Promise(() => {})
    hear(its, NAME, reading(['198.51.100.1']), false)
    for (const name of [NAME, OTHER])
      for (let turn = 0; turn < 4; turn++) hear(its, name, reading(many(16, turn * 16)))
    t.same([its.learned.current(NAME).length, its.learned.current(OTHER).length], [16, 64])
  },
)

t.test(
  'an address that trusted and untrusted users have learned is removed with the last of them',
  async (t) => {
    const its = learning(t)
    const [before, after] = [policyOf(['*.example.org']), policyOf(['*.example.org'])]
    await its.learned.start(before, [], SETTINGS)
    its.zone.set(NAME, ['198.51.100.1'])
    its.zone.ttl = 3600
    hear(its, NAME, reading(['198.51.100.1']))
    await hear(its, NAME, reading(['198.51.100.1'], { ttl: 3600 }), false)
    t.equal(its.learned.entries(NAME).length, 2)
    t.equal(its.learned.current(NAME).length, 1, 'status has the address once')
    await its.learned.follow(after, [], SETTINGS)
    its.learned.settle(after)
    await its.pass((60 + SETTINGS.grace) * 1000)
    t.same([hostsOf(after), formerOf(after)], [['198.51.100.1'], ['198.51.100.1']])
    t.notOk(told(its, after).includes('-198.51.100.1'))
    await its.pass(HOUR)
    t.same([hostsOf(after), formerOf(after)], [[], ['198.51.100.1']])
    t.equal(told(its, after).filter((text) => text === '-198.51.100.1').length, 1)
    await its.pass(2 * DAY)
    t.same(formerOf(after), [])
  },
)

t.test('a repeated answer renews the time of its address', async (t) => {
  for (const trusted of [true, false]) {
    const its = learning(t)
    const policy = policyOf(['*.example.org'])
    await its.learned.start(policy, [], SETTINGS)
    its.zone.set(NAME, ['198.51.100.1'])
    its.zone.ttl = 3600
    await hear(its, NAME, reading(['198.51.100.1'], { ttl: 3600 }), trusted)
    await its.pass(3500 * 1000)
    await hear(its, NAME, reading(['198.51.100.1'], { ttl: 3600 }), trusted)
    await its.pass(3500 * 1000)
    t.same(hostsOf(policy), ['198.51.100.1'], trusted ? 'trusted' : 'not trusted')
  }
})

t.test(
  'a flood of names below a wildcard is bounded, and evicts no address of the names of the allowlist',
  async (t) => {
    const its = learning(t)
    const policy = policyOf([NAME], ['*.example.org'])
    its.zone.set(NAME, ['198.51.100.1'])
    await its.learned.start(policy, [], SETTINGS)
    for (let i = 0; i < 20_000; i++) hear(its, `n${i}.example.org`, reading(many(1, i), { ttl: 86_400 }))
    t.equal(its.learned.known.length, 1 + 16_384)
    t.equal(policy.rules[1]!.addresses.size, 1 + 16_384)
    t.same(hostsOf(policy), ['198.51.100.1'])
  },
)

t.test('names of the allowlist keep all addresses, whether the service looks them up or not', async (t) => {
  const its = learning(t)
  const names = Array.from({ length: 300 }, (_, i) => `n${i}.example.org`)
  const policy = policyOf(names)
  await its.learned.start(policy, [], { ...SETTINGS, resolve: false })
  for (const [i, name] of names.entries())
    hear(
      its,
      name,
      reading(Array.from({ length: 64 }, (_, a) => `198.18.${i % 250}.${a + Math.floor(i / 250) * 64}`)),
    )
  t.equal(its.learned.current(names[0]!).length, 64, 'there are 19,200 addresses')
})
