import t from 'tap'
import type { AnswerContent } from '../../../src/names/dns/answer-reader.js'
import { settled } from '../clock.js'
import { asked, questionOf, SRV } from '../dns/answers.js'
import {
  DAY,
  HOUR,
  type Learning,
  learning,
  NAME,
  policyOf,
  ROOT,
  restarted,
  SERVICE,
  SETTINGS,
  WWW_DATA,
} from './learning.js'

const service = (its: Learning, targets: AnswerContent['targets'], trusted = true) =>
  its.learned.learn(
    questionOf(asked(SERVICE, SRV)),
    { hosts: [], targets, aliases: [], ttl: 60 },
    trusted ? ROOT : WWW_DATA,
  )
const ONE = { name: 'a.example.org', port: 80 }
const TWO = { name: 'b.example.org', port: 8080 }

t.test('services are looked up, and a new target makes a new policy', async (t) => {
  const its = learning(t)
  its.zone.set(NAME, ['198.51.100.1'])
  its.zone.setService(SERVICE, [['a.example.org', 80]])
  await its.learned.start(policyOf([NAME]), [SERVICE], SETTINGS)
  await settled()
  t.same([its.learned.targets(SERVICE), its.targets], [[ONE], 1])
  await its.pass(HOUR)
  t.equal(its.targets, 1, 'the same target is reported only once')
  t.equal(its.learned.isWayTo(SERVICE), true)
  t.equal(its.learned.isOfInterest(questionOf(asked(SERVICE, SRV))), true)
})

t.test('a program that receives a target waits until packets are judged by it', async (t) => {
  let end = () => {}
  const its = learning(t, {
    onTargets: () =>
      new Promise<void>((resolve) => {
        end = resolve
      }),
  })
  await its.learned.start(policyOf([NAME]), [SERVICE], SETTINGS)
  let over = false
  service(its, [ONE])?.then(() => {
    over = true
  })
  await settled()
  t.equal(over, false)
  end()
  await settled()
  t.equal(over, true)
  t.equal(service(its, [ONE]), undefined, 'for a known target no answer waits')
})

t.test('targets are learned neither from untrusted users nor for services that no rule needs', async (t) => {
  const its = learning(t)
  await its.learned.start(policyOf([NAME]), [SERVICE], SETTINGS)
  t.equal(service(its, [ONE], false), undefined)
  its.learned.learn(
    questionOf(asked(`_ftp._tcp.${NAME}`, SRV)),
    { hosts: [], targets: [TWO], aliases: [], ttl: 60 },
    ROOT,
  )
  t.same([its.learned.targets(SERVICE), its.learned.targets(`_ftp._tcp.${NAME}`), its.targets], [[], [], 0])
})

t.test('a target that is missing in later answers makes a new policy as well', async (t) => {
  const its = learning(t)
  its.zone.setService(SERVICE, [['a.example.org', 80]])
  await its.learned.start(policyOf([NAME]), [SERVICE], SETTINGS)
  its.zone.setService(SERVICE, [['b.example.org', 8080]])
  await its.pass(HOUR)
  t.same([its.learned.targets(SERVICE), its.targets], [[TWO], 3])
})

t.test('targets are known after a restart, without resolvers', async (t) => {
  const its = learning(t)
  its.zone.setService(SERVICE, [['a.example.org', 80]])
  await its.learned.start(policyOf([NAME]), [SERVICE], SETTINGS)
  await its.learned.tick()
  const next = await restarted(t, its, policyOf([NAME]), DAY, [SERVICE])
  await next.pass(DAY)
  t.same(next.learned.targets(SERVICE), [ONE])
})

t.test('a host without such a service causes no failure', async (t) => {
  const its = learning(t)
  its.zone.set(NAME, ['198.51.100.1'])
  await its.learned.start(policyOf([NAME]), [SERVICE], SETTINGS)
  await its.pass(HOUR)
  t.same([its.warnings, its.counts.failures, its.targets], [[], 0, 0])
})
