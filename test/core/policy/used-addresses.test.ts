import t from 'tap'
import { decide } from '../../../src/core/policy/policy.js'
import type { RuleSpec } from '../../../src/core/policy/rule.js'
import { UsedAddresses } from '../../../src/core/policy/used-addresses.js'
import { clients } from '../clients.js'
import { words } from '../packets.js'
import { policy, rule } from '../rules.js'
import { NO_USER, NO_USER_APPROVED, NOW, tcp4, WWW_DATA } from './judging.js'

const HOUR = 3_600_000
const FOUR = words('198.51.100.2')
const SIX = words('2001:db8::2')
const address = (number: number) => Uint32Array.of(number, 0, 0, 0)

t.test('an address is used by one user and one rule, until it was not used for too long', async (t) => {
  const used = new UsedAddresses(HOUR)
  used.note('api', 33, 4, FOUR, NOW)
  used.note('api', 33, 6, SIX, NOW)
  used.note('api', 33, 6, SIX, NOW + 1)
  const has = (rule: string, uid: number, now = NOW) => [
    used.has(rule, uid, 4, FOUR, now),
    used.has(rule, uid, 6, SIX, now),
  ]
  t.same(has('api', 33), [true, true])
  t.same([has('api', 34), has('other', 33)].flat(), [false, false, false, false])
  t.equal(used.has('api', 33, 4, address(7), NOW), false)
  used.note('api', 33, 4, FOUR, NOW + HOUR / 2)
  t.same(has('api', 33, NOW + HOUR), [true, false], 'a use renews it')
  t.equal(used.isUsed({ family: 4, words: FOUR }, NOW + HOUR), true)
  t.equal(used.isUsed({ family: 6, words: SIX }, NOW + HOUR), false)
  used.keep = HOUR / 4
  t.same(has('api', 33, NOW + HOUR), [false, false], 'another time counts at once')
})

t.test('all uses can be read, to be noted again after a restart', async (t) => {
  const used = new UsedAddresses(HOUR)
  used.note('api', 33, 4, FOUR, NOW)
  used.note('api', 33, 6, SIX, NOW)
  const again = new UsedAddresses(HOUR)
  for (const { rule, uid, host, time } of used) again.note(rule, uid, host.family, host.words, time)
  t.same([...again], [...used])
  t.equal(again.has('api', 33, 6, SIX, NOW), true)
})

t.test('what is remembered is bounded: addresses of a user, users of a rule, and time', async (t) => {
  const used = new UsedAddresses(HOUR)
  for (let i = 0; i < 1025; i++) used.note('api', 33, 4, address(i), NOW)
  t.equal(used.has('api', 33, 4, address(0), NOW), false, 'the oldest was forgotten')
  t.equal(used.has('api', 33, 4, address(1), NOW), true)
  for (let uid = 1000; uid < 1300; uid++) used.note('api', uid, 4, FOUR, NOW)
  t.equal(used.has('api', 1254, 4, FOUR, NOW), true)
  t.equal(used.has('api', 1255, 4, FOUR, NOW), false, 'further users have no place')
  used.note('late', 33, 4, FOUR, NOW + HOUR)
  used.expire(NOW + HOUR)
  t.same(
    [...used].map(({ rule }) => rule),
    ['late'],
  )
})

t.test('a former address stays allowed to the user who used it; for others its time is over', async (t) => {
  const used = new UsedAddresses(HOUR)
  const named = (given: Partial<RuleSpec> = {}) => {
    const made = rule({ name: 'api', prefixes: [], names: ['api.example.org'], ...given })
    made.formerAddresses.add({ family: 4, words: FOUR })
    return made
  }
  const judge = (made = named(), sender = WWW_DATA) =>
    decide(policy([made], { used }), tcp4(), sender, clients(), NOW)
  const expired = judge()
  t.match(expired, { verdict: 'block', reason: 'address-expired', remember: false })
  t.equal(expired.rule?.spec.name, 'api', 'the decision names the rule')
  used.note('api', 33, 4, FOUR, NOW)
  t.match(judge(), { verdict: 'accept', reason: 'rule' })
  t.equal(judge(named(), { ...WWW_DATA, uid: 34 }).reason, 'address-expired')
  t.equal(judge(named(), NO_USER).reason, 'address-expired')
  t.equal(judge(named(), NO_USER_APPROVED).verdict, 'accept', 'the connection is known')
  t.equal(judge(named({ users: [34] })).reason, 'not-allowlisted', 'the rule is for others now')
  t.equal(judge(named({ ports: [{ first: 1, last: 2 }] })).reason, 'not-allowlisted')
  t.equal(
    judge(rule({ name: 'api', prefixes: [] })).reason,
    'not-allowlisted',
    'the rule has no such name any more',
  )
})
