import t from 'tap'
import { textOf } from '../addresses.js'
import { asked, questionOf } from '../dns/answers.js'
import { hear, hostsOf, learning, NAME, policyOf, reading, SETTINGS } from './learning.js'

t.test('an answer for an alias counts for the name that leads to it', async (t) => {
  const its = learning(t)
  const policy = policyOf(['*.example.org'])
  await its.learned.start(policy, [], SETTINGS)
  t.equal(its.learned.isWayTo('cdn.example.net'), false)
  hear(its, NAME, reading([], { aliases: ['cdn.example.net', 'edge.example.net'] }))
  t.same([its.learned.isWayTo('cdn.example.net'), its.learned.isWayTo('edge.example.net')], [true, true])
  t.equal(its.learned.isOfInterest(questionOf(asked('edge.example.net'))), true)
  hear(its, 'edge.example.net', reading(['198.51.100.1'], { aliases: ['far.example.net'] }))
  hear(its, 'far.example.net', reading(['198.51.100.2']))
  t.same(hostsOf(policy), ['198.51.100.1', '198.51.100.2'])
  t.same(its.learned.known, [NAME])
})

t.test('an alias lasts as long as its answer, and a day at most', async (t) => {
  const its = learning(t)
  await its.learned.start(policyOf(['*.example.org']), [], SETTINGS)
  hear(its, NAME, reading(['198.51.100.1'], { aliases: ['cdn.example.net'] }))
  await its.pass((60 + SETTINGS.grace) * 1000 - 1000)
  t.equal(its.learned.isWayTo('cdn.example.net'), true)
  await its.pass(1000)
  t.equal(its.learned.isWayTo('cdn.example.net'), false)
  hear(its, 'cdn.example.net', reading(['198.51.100.66']))
  t.notOk(its.learned.entries(NAME).some(({ host }) => textOf(host) === '198.51.100.66'))
})

t.test('an alias of a name that a reload removes is removed as well', async (t) => {
  const its = learning(t)
  await its.learned.start(policyOf(['*.example.org']), [], SETTINGS)
  hear(its, NAME, reading(['198.51.100.1'], { aliases: ['cdn.example.net'] }))
  const after = policyOf(['*.example.com'])
  await its.learned.follow(after, [], SETTINGS)
  its.learned.settle(after)
  t.equal(its.learned.isWayTo('cdn.example.net'), false)
})

t.test('aliases are bounded, and the oldest are evicted', async (t) => {
  const its = learning(t)
  await its.learned.start(policyOf(['*.example.org']), [], SETTINGS)
  for (let i = 0; i < 5000; i++)
    hear(its, NAME, reading(['198.51.100.1'], { aliases: [`a${i}.example.net`] }))
  const known = Array.from({ length: 5000 }, (_, i) => its.learned.isWayTo(`a${i}.example.net`))
  t.equal(known.filter(Boolean).length, 4096)
  t.same([known[0], known[4999]], [false, true])
})

t.test(
  'an alias that is an allowed name itself is learned for both names, for trusted and untrusted users',
  async (t) => {
    for (const trusted of [true, false]) {
      const its = learning(t)
      const policy = policyOf([NAME], ['*.example.net'])
      its.zone.set(NAME, ['198.51.100.1'])
      await its.learned.start(policy, [], SETTINGS)
      hear(its, NAME, reading(['198.51.100.1'], { aliases: ['cdn.example.net'] }))
      its.zone.set(NAME, ['198.51.100.2'])
      its.zone.set('cdn.example.net', ['198.51.100.2'])
      await hear(its, 'cdn.example.net', reading(['198.51.100.2']), trusted)
      t.ok(
        hostsOf(policy, 0).includes('198.51.100.2'),
        'the address counts for the name that leads to the alias',
      )
      t.same(
        hostsOf(policy, 1),
        ['198.51.100.2'],
        `the address counts for the alias, ${trusted ? '' : 'not '}trusted`,
      )
    }
  },
)
