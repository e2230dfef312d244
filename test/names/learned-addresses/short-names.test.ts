import t from 'tap'
import {
  hear,
  hearAs,
  hostsOf,
  learning,
  policyFor,
  policyOf,
  reading,
  SETTINGS,
  WWW_DATA,
} from './learning.js'

const SHORT = 'backend'
const WHOLE = 'backend.corp.example.org'
const SEARCHING = { ...SETTINGS, search: { domains: ['lan.example.org', 'corp.example.org'], ndots: 1 } }

t.test(
  'a short name is looked up as programs complete it, and its addresses are those of the rule',
  async (t) => {
    const its = learning(t)
    its.zone.set(WHOLE, ['198.51.100.1'])
    const policy = policyOf([SHORT])
    await its.learned.start(policy, [], SEARCHING)
    t.same(hostsOf(policy), ['198.51.100.1'])
  },
)

t.test('the answer to a program for the completed name counts for the short one', async (t) => {
  const its = learning(t)
  const policy = policyOf([SHORT])
  await its.learned.start(policy, [], { ...SEARCHING, resolve: false })
  t.ok(its.learned.isOfInterest({ id: 1, name: WHOLE, type: 1 }))
  t.notOk(its.learned.isOfInterest({ id: 1, name: 'other.corp.example.org', type: 1 }))
  hear(its, WHOLE, reading(['198.51.100.1']))
  hear(its, 'backend.evil.example.net', reading(['203.0.113.66']))
  hear(its, 'x.backend.corp.example.org', reading(['203.0.113.67']))
  t.same(hostsOf(policy), ['198.51.100.1'])
})

t.test('an answer to an untrusted user is confirmed by the completed name', async (t) => {
  const its = learning(t)
  its.zone.set(WHOLE, ['198.51.100.1'])
  const policy = policyFor({ list: [SHORT], users: [33] })
  await its.learned.start(policy, [], { ...SEARCHING, resolve: false })
  await hearAs(its, WWW_DATA, WHOLE, reading(['203.0.113.66']))
  t.same(hostsOf(policy), ['198.51.100.1'])
})

t.test('a short name without an address says why', async (t) => {
  const its = learning(t)
  await its.learned.start(policyOf([SHORT]), [], SETTINGS)
  await its.pass(1000)
  t.match(its.warnings, [
    /^backend cannot be looked up \(it has no address, and no search domain of resolv\.conf completes it\)/,
  ])
  const other = learning(t)
  await other.learned.start(policyOf([SHORT]), [], SEARCHING)
  await other.pass(1000)
  t.match(other.warnings, [
    /it has no address, nor has backend\.lan\.example\.org, backend\.corp\.example\.org/,
  ])
})
