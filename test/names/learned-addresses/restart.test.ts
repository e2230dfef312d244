import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { UsedAddresses } from '../../../src/core/policy/used-addresses.js'
import { host } from '../addresses.js'
import {
  DAY,
  formerOf,
  HOUR,
  hear,
  hostsOf,
  learning,
  NAME,
  OTHER,
  policyOf,
  reading,
  restarted,
  SETTINGS,
  told,
} from './learning.js'

t.test('saved addresses count after a restart without resolvers, an hour or a day later', async (t) => {
  for (const later of [0, HOUR, DAY, 6 * DAY]) {
    const its = learning(t)
    its.zone.set(NAME, ['198.51.100.1'], ['2001:db8::1'])
    await its.learned.start(policyOf([NAME]), [], SETTINGS)
    await its.learned.tick()
    const policy = policyOf([NAME])
    const next = await restarted(t, its, policy, later)
    await next.pass(10 * 60_000)
    t.same(hostsOf(policy), ['198.51.100.1', '2001:db8::1'], `${later / HOUR} hours have passed`)
  }
})

t.test('an address that has been the same for a month counts after a restart as well', async (t) => {
  const its = learning(t)
  its.zone.set(NAME, ['198.51.100.1'])
  its.zone.ttl = 3600
  await its.learned.start(policyOf([NAME]), [], SETTINGS)
  await its.pass(30 * DAY)
  const policy = policyOf([NAME])
  await restarted(t, its, policy, HOUR)
  t.same(hostsOf(policy), ['198.51.100.1'])
})

t.test('saved addresses count after a power failure as well', async (t) => {
  const its = learning(t)
  its.zone.set(NAME, ['198.51.100.1'])
  its.zone.ttl = 3600
  await its.learned.start(policyOf([NAME]), [], SETTINGS)
  await its.pass(30 * DAY)
  const file = join(its.directory, 'addresses.json')
  const kept = readFileSync(file)
  await its.learned.stop()
  writeFileSync(file, kept)
  const policy = policyOf([NAME])
  await restarted(t, its, policy, HOUR)
  t.same(hostsOf(policy), ['198.51.100.1'])
})

t.test('answers replace the addresses from before a restart', async (t) => {
  const its = learning(t)
  its.zone.set(NAME, ['198.51.100.1'])
  await its.learned.start(policyOf([NAME]), [], SETTINGS)
  const policy = policyOf([NAME])
  const next = await restarted(t, its, policy, HOUR)
  next.zone.down = undefined
  next.zone.set(NAME, ['198.51.100.2'])
  await next.pass(5 * 60_000)
  t.same(hostsOf(policy), ['198.51.100.2'])
})

t.test('of the saved names, only those that are still allowed are loaded', async (t) => {
  const its = learning(t)
  its.zone.set(NAME, ['198.51.100.1'])
  await its.learned.start(policyOf([NAME]), [], SETTINGS)
  const policy = policyOf([OTHER])
  const next = await restarted(t, its, policy)
  t.same([hostsOf(policy), next.learned.known], [[], []])
})

t.test('addresses of names below wildcards are saved for as long as their answers last', async (t) => {
  const its = learning(t)
  await its.learned.start(policyOf(['*.example.org']), [], SETTINGS)
  hear(its, NAME, reading(['198.51.100.1'], { ttl: 3600 }))
  await its.learned.tick()
  for (const [later, expected] of [
    [HOUR / 2, ['198.51.100.1']],
    [2 * HOUR, []],
  ] as const) {
    const policy = policyOf(['*.example.org'])
    await restarted(t, its, policy, later)
    t.same(hostsOf(policy), expected)
  }
})

t.test('a folder that cannot be written is logged, and the service continues', async (t) => {
  const directory = t.testdir()
  mkdirSync(join(directory, 'addresses.json.new'))
  const its = learning(t, { directory })
  its.zone.set(NAME, ['198.51.100.1'])
  await its.learned.start(policyOf([NAME]), [], SETTINGS)
  await its.learned.tick()
  t.match(its.errors, [
    /addresses\.json cannot be written: .*EISDIR.*a restart loses the latest addresses of names$/,
  ])
  await its.learned.stop()
})

t.test('addresses that were learned since the last write are saved at the end', async (t) => {
  const its = learning(t)
  await its.learned.start(policyOf(['*.example.org']), [], SETTINGS)
  hear(its, NAME, reading(['198.51.100.1']))
  await its.learned.stop()
  const { names } = JSON.parse(readFileSync(join(its.directory, 'addresses.json'), 'utf8'))
  t.match(names, { [NAME]: [{ address: '198.51.100.1' }] })
  t.equal(host(names[NAME][0].address).family, 4)
})

t.test('a former address in use stays in the kernel, and outlives a restart', async (t) => {
  const used = new UsedAddresses(DAY)
  const its = learning(t, { used })
  const policy = policyOf([NAME])
  its.zone.set(NAME, ['198.51.100.1', '198.51.100.2'])
  await its.learned.start(policy, [], SETTINGS)
  used.note('r', 33, 4, host('198.51.100.1').words, its.clock.now())
  its.zone.set(NAME, ['198.51.100.3'])
  await its.pass(HOUR)
  t.same(formerOf(policy), ['198.51.100.1', '198.51.100.2'])
  const sent = told(its, policy)
  t.ok(sent.includes('-198.51.100.2'), 'an address that nobody uses is removed')
  t.notOk(sent.includes('-198.51.100.1'))
  await its.pass(12 * HOUR)
  t.ok(told(its, policy).lastIndexOf('+198.51.100.1') > sent.length, 'the kernel’s timeout is renewed')

  const again = policyOf([NAME])
  const usedAgain = new UsedAddresses(DAY)
  await restarted(t, its, again, HOUR, [], { used: usedAgain })
  t.same(formerOf(again), ['198.51.100.1'])
  t.equal(usedAgain.has('r', 33, 4, host('198.51.100.1').words, its.clock.now()), true)
})
