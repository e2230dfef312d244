import t from 'tap'
import { dnsError } from '../dns/zone.js'
import {
  DAY,
  formerOf,
  hear,
  hostsOf,
  learning,
  NAME,
  OTHER,
  policyOf,
  reading,
  SERVICE,
  SETTINGS,
  told,
} from './learning.js'

t.test(
  'at start all names are looked up, and their addresses are sent to the kernel in one transaction',
  async (t) => {
    const its = learning(t)
    const policy = policyOf([NAME, OTHER])
    its.zone.set(NAME, ['198.51.100.1'], ['2001:db8::1'])
    its.zone.set(OTHER, ['198.51.100.2'])
    await its.learned.start(policy, [], SETTINGS)
    t.same(hostsOf(policy), ['198.51.100.1', '198.51.100.2', '2001:db8::1'])
    await its.clock.pass(100)
    t.equal(its.sent.length, 1)
    t.same(told(its, policy).toSorted(), ['+198.51.100.1', '+198.51.100.2', '+2001:db8::1'])
    t.same(its.counts, { successes: 2, failures: 0 })
    t.same(its.learned.known.toSorted(), [NAME, OTHER])
  },
)

t.test(
  'without resolvers the start takes three seconds, and no time when all names have saved addresses',
  async (t) => {
    const its = learning(t)
    const policy = policyOf([NAME])
    its.zone.delay = () => new Promise(() => {})
    let over = false
    const start = its.learned.start(policy, [], SETTINGS).then(() => {
      over = true
    })
    await its.clock.pass(2999)
    t.equal(over, false)
    await its.clock.pass(1)
    t.equal(over, true)
    await start
  },
)

t.test('when look-ups are switched off, no name is asked for', async (t) => {
  const its = learning(t)
  const policy = policyOf([NAME])
  await its.learned.start(policy, [SERVICE], { ...SETTINGS, resolve: false })
  await its.pass(DAY)
  t.same(its.zone.asked, [])
  hear(its, NAME, reading(['198.51.100.1']))
  t.same(hostsOf(policy), ['198.51.100.1'], 'the name is still learned from answers')
})

t.test('ten minutes without resolvers change nothing', async (t) => {
  const its = learning(t)
  const policy = policyOf([NAME])
  its.zone.set(NAME, ['198.51.100.1'], ['2001:db8::1'])
  await its.learned.start(policy, [], SETTINGS)
  its.zone.down = dnsError('ETIMEOUT')
  await its.pass(10 * 60_000)
  t.same(hostsOf(policy), ['198.51.100.1', '2001:db8::1'])
  t.same(told(its, policy), ['+198.51.100.1', '+2001:db8::1'])
})

t.test(
  'an address that is missing in later answers is a former address: it allows no new connection',
  async (t) => {
    const its = learning(t)
    const policy = policyOf([NAME])
    its.zone.set(NAME, ['198.51.100.1'])
    await its.learned.start(policy, [], SETTINGS)
    its.zone.set(NAME, ['198.51.100.2'])
    await its.pass(60 * 60_000)
    t.same([hostsOf(policy), formerOf(policy)], [['198.51.100.2'], ['198.51.100.1']])
    t.same(told(its, policy), ['+198.51.100.1', '+198.51.100.2', '-198.51.100.1'])
    const before = its.sent.length
    await its.pass(DAY)
    t.same(formerOf(policy), [])
    t.notOk(
      its.sent.slice(before).some((changes) => changes.get(policy.rules[0]!)?.removed.length),
      'the removal of a former address is not sent to the kernel',
    )
  },
)

t.test('failures of many names are logged in one line, not in one line each second', async (t) => {
  const its = learning(t)
  const names = Array.from({ length: 50 }, (_, i) => `m${i}.example.org`)
  its.zone.down = dnsError('ETIMEOUT')
  await its.learned.start(policyOf(names), [], SETTINGS)
  await its.learned.tick()
  t.equal(its.warnings.length, 1)
  t.match(
    its.warnings[0],
    /^m\d+\.example\.org and 49 other names cannot be looked up \(198\.51\.100\.53: query ETIMEOUT\)/,
  )
  for (let second = 0; second < 60; second++) {
    await its.clock.pass(1000)
    await its.learned.tick()
  }
  t.ok(its.warnings.length <= 7, `${its.warnings.length} lines were logged in a minute`)
  t.ok(its.counts.failures > 200, `${its.counts.failures} failures were counted`)
})

t.test('the line about a single failure mentions no other names, and no other line follows', async (t) => {
  const its = learning(t)
  await its.learned.start(policyOf([NAME]), [], SETTINGS)
  await its.learned.tick()
  its.zone.set(NAME, ['198.51.100.1'])
  await its.pass(60 * 60_000)
  t.match(its.warnings, [/^mirror\.example\.org cannot be looked up \(it has no address\)/])
  t.equal(its.warnings.length, 1)
})

t.test('the end leaves no timer running, and no query is sent after it', async (t) => {
  const its = learning(t)
  its.zone.set(NAME, ['198.51.100.1'])
  await its.learned.start(policyOf([NAME]), [SERVICE], SETTINGS)
  await its.pass(60_000)
  t.equal(its.clock.kept, 0, 'no timer keeps the process alive before the end either')
  await its.learned.stop()
  t.equal(its.clock.timers, 0)
  const asked = its.zone.asked.length
  await its.clock.pass(DAY)
  t.equal(its.zone.asked.length, asked)
})
