import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { settled } from '../clock.js'
import { asked, questionOf } from '../dns/answers.js'
import { dnsError } from '../dns/zone.js'
import { HOUR, hear, hostsOf, learning, NAME, OTHER, policyOf, reading, SETTINGS, told } from './learning.js'

t.test('an address that two names of a rule share is removed only with the last of them', async (t) => {
  const its = learning(t)
  const policy = policyOf([NAME, OTHER])
  its.zone.set(NAME, ['198.51.100.1'])
  its.zone.set(OTHER, ['198.51.100.1'])
  await its.learned.start(policy, [], SETTINGS)
  its.zone.set(NAME, ['198.51.100.2'])
  await its.pass(HOUR)
  t.ok(hostsOf(policy).includes('198.51.100.1'))
  t.notOk(told(its, policy).includes('-198.51.100.1'))
  its.zone.set(OTHER, ['198.51.100.2'])
  await its.pass(HOUR)
  t.same(hostsOf(policy), ['198.51.100.2'])
  t.equal(told(its, policy).filter((text) => text === '-198.51.100.1').length, 1)
})

t.test('each rule has only the addresses of its own names', async (t) => {
  const its = learning(t)
  const policy = policyOf([NAME], ['*.example.org'], ['other.example.net'])
  its.zone.set(NAME, ['198.51.100.1'])
  await its.learned.start(policy, [], SETTINGS)
  hear(its, OTHER, reading(['198.51.100.2']))
  t.same(
    [0, 1, 2].map((rule) => hostsOf(policy, rule)),
    [['198.51.100.1'], ['198.51.100.1', '198.51.100.2'], []],
  )
})

t.test('names that no rule has teach nothing', async (t) => {
  const its = learning(t)
  const policy = policyOf(['*.example.org'])
  await its.learned.start(policy, [], SETTINGS)
  for (const name of ['example.org', 'evilexample.org', 'example.org.evil.example.net', '']) {
    t.equal(its.learned.isOfInterest(questionOf(asked(name))), false, name)
    hear(its, name, reading(['198.51.100.66'], { aliases: ['x.example.net'] }))
  }
  t.same([its.learned.known, hostsOf(policy), its.learned.isWayTo('x.example.net')], [[], [], false])
})

t.test('during a reload both policies are updated until one is in force', async (t) => {
  const its = learning(t)
  const [before, after] = [policyOf([NAME]), policyOf([NAME, OTHER])]
  its.zone.set(NAME, ['198.51.100.1'])
  its.zone.set(OTHER, ['198.51.100.2'])
  await its.learned.start(before, [], SETTINGS)
  const known = its.learned.follow(after, [], SETTINGS)
  t.same(hostsOf(after), ['198.51.100.1'], 'the new policy has the known addresses at once')
  await known
  t.same(hostsOf(after), ['198.51.100.1', '198.51.100.2'], 'the new policy has the new addresses soon')
  hear(its, NAME, reading(['198.51.100.3']))
  t.same(
    [before, after].map((policy) => hostsOf(policy).includes('198.51.100.3')),
    [true, true],
  )
  its.learned.settle(after)
  hear(its, NAME, reading(['198.51.100.4']))
  t.same(
    [before, after].map((policy) => hostsOf(policy).includes('198.51.100.4')),
    [false, true],
  )
})

t.test('a reload that fails leaves the old policy unchanged, and later answers still count', async (t) => {
  const its = learning(t)
  const [before, after] = [policyOf([NAME, OTHER]), policyOf(['new.example.org'])]
  its.zone.set(NAME, ['198.51.100.1'])
  its.zone.set(OTHER, ['198.51.100.2'])
  await its.learned.start(before, [], SETTINGS)
  for (let time = 0; time < 3; time++) {
    await its.learned.follow(after, [], SETTINGS)
    its.learned.follow(before, [], SETTINGS)
    its.learned.settle(before)
  }
  await settled()
  t.same(hostsOf(before), ['198.51.100.1', '198.51.100.2'])
  its.zone.down = dnsError('ETIMEOUT')
  await its.pass(HOUR)
  t.same(hostsOf(before), ['198.51.100.1', '198.51.100.2'], 'the names of the old policy are looked up again')
  its.zone.down = undefined
  its.zone.set(NAME, ['198.51.100.3'])
  await its.pass(2 * HOUR)
  t.same(hostsOf(before).toSorted(), ['198.51.100.2', '198.51.100.3'])
})

t.test('a name that a reload removes is removed from the table and from the saved state', async (t) => {
  const its = learning(t)
  const [before, after] = [policyOf([NAME, OTHER]), policyOf([OTHER])]
  its.zone.set(NAME, ['198.51.100.1'])
  its.zone.set(OTHER, ['198.51.100.2'])
  await its.learned.start(before, [], SETTINGS)
  await its.learned.follow(after, [], SETTINGS)
  its.learned.settle(after)
  t.same(its.learned.known, [OTHER])
  await its.learned.tick()
  t.same(Object.keys(JSON.parse(readFileSync(join(its.directory, 'addresses.json'), 'utf8')).names), [OTHER])
  const asked = its.zone.asked.length
  await its.pass(HOUR)
  t.notOk(its.zone.asked.slice(asked).some((text) => text.endsWith(NAME)))
})

t.test(
  'the addresses of a rule that is replaced by an equal one are loaded by the reload, not sent as changes',
  async (t) => {
    const its = learning(t)
    const [before, after] = [policyOf([NAME]), policyOf([NAME])]
    its.zone.set(NAME, ['198.51.100.1'])
    await its.learned.start(before, [], SETTINGS)
    await its.clock.pass(100)
    await its.learned.follow(after, [], SETTINGS)
    its.learned.settle(after)
    await its.clock.pass(1000)
    t.same([told(its, before), told(its, after)], [['+198.51.100.1'], []])
  },
)
