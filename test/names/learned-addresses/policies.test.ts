import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { settled } from '../clock.js'
import { asked, questionOf } from '../dns/answers.js'
import { dnsError } from '../dns/zone.js'
import { HOUR, hear, hostsOf, learning, NAME, OTHER, policyOf, reading, SETTINGS, told } from './learning.js'

t.test('an address that two names of a rule share goes only with the last', async (t) => {
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

t.test('each rule has the addresses of its own names', async (t) => {
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

t.test('a reload: both policies are served until one is in force', async (t) => {
  const its = learning(t)
  const [before, after] = [policyOf([NAME]), policyOf([NAME, OTHER])]
  its.zone.set(NAME, ['198.51.100.1'])
  its.zone.set(OTHER, ['198.51.100.2'])
  await its.learned.start(before, [], SETTINGS)
  const known = its.learned.follow(after, [], SETTINGS)
  t.same(hostsOf(after), ['198.51.100.1'], 'what is known, at once')
  await known
  t.same(hostsOf(after), ['198.51.100.1', '198.51.100.2'], 'and what is new, soon')
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

t.test(
  'a reload that fails leaves the old policy as it was, and what comes later is counted right',
  async (t) => {
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
    t.same(hostsOf(before), ['198.51.100.1', '198.51.100.2'], 'its names are looked up again')
    its.zone.down = undefined
    its.zone.set(NAME, ['198.51.100.3'])
    await its.pass(2 * HOUR)
    t.same(hostsOf(before).toSorted(), ['198.51.100.2', '198.51.100.3'])
  },
)

t.test('a name that a reload takes away is forgotten, here and in what is kept', async (t) => {
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
  'a rule that is replaced by an equal one is told to the kernel by the reload, not by changes',
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
