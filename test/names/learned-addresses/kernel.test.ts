import t from 'tap'
import { settled } from '../clock.js'
import {
  HOST_TIMEOUT,
  HOUR,
  hear,
  learning,
  NAME,
  OTHER,
  policyOf,
  reading,
  SETTINGS,
  told,
} from './learning.js'

t.test('when the kernel refuses addresses, that is logged, and they are sent again', async (t) => {
  const its = learning(t)
  const policy = policyOf([NAME])
  its.zone.set(NAME, ['198.51.100.1'])
  its.kernel = async () => {
    throw new Error('no')
  }
  await its.learned.start(policy, [], SETTINGS)
  await its.clock.pass(100)
  t.match(its.errors, [/^the kernel has not taken new addresses of allowed names: no$/])
  its.kernel = async () => {}
  await its.clock.pass(5000)
  t.same(told(its, policy), ['+198.51.100.1', '+198.51.100.1'])
})

t.test('an address stays in the kernel while it is current', async (t) => {
  const its = learning(t)
  const policy = policyOf([NAME])
  its.zone.set(NAME, ['198.51.100.1'])
  await its.learned.start(policy, [], SETTINGS)
  await its.clock.pass(100)
  const times = [its.clock.now()]
  for (let minute = 0; minute < 3 * 24 * 60; minute++) {
    const before = its.sent.length
    await its.pass(60_000)
    if (its.sent.length > before) times.push(its.clock.now())
  }
  times.push(its.clock.now())
  const longest = Math.max(...times.slice(1).map((time, i) => time - times[i]!))
  t.ok(
    longest <= (HOST_TIMEOUT * 1000) / 2,
    `the address is sent again after ${longest / HOUR} hours at most`,
  )
})

t.test('while the service is busy, an answer waits for the kernel', async (t) => {
  const its = learning(t)
  const policy = policyOf(['*.example.org'])
  await its.learned.start(policy, [], SETTINGS)
  t.equal(hear(its, NAME, reading(['198.51.100.1'])), undefined, 'a service that is not busy does not wait')
  await its.clock.pass(100)
  its.busy = true
  t.equal(
    hear(its, NAME, reading(['198.51.100.1'])),
    undefined,
    'an address that the kernel has does not wait',
  )
  let end = () => {}
  its.kernel = () =>
    new Promise<void>((resolve) => {
      end = resolve
    })
  const waits = [hear(its, OTHER, reading(['198.51.100.2']))]
  await settled()
  // Another program receives the same answer while the kernel is being updated.
  waits.push(hear(its, OTHER, reading(['198.51.100.2'])))
  let over = 0
  for (const wait of waits) wait?.then(() => over++)
  await settled()
  t.equal(over, 0)
  t.ok(waits.every((wait) => wait !== undefined))
  end()
  await settled()
  t.equal(over, 2)
})

t.test('an answer to an untrusted user waits for the kernel of a busy service as well', async (t) => {
  const its = learning(t)
  await its.learned.start(policyOf(['*.example.org']), [], SETTINGS)
  its.zone.set(OTHER, ['198.51.100.2'])
  its.busy = true
  its.kernel = () => new Promise(() => {})
  let over = false
  hear(its, OTHER, reading(['198.51.100.2']), false)?.then(() => {
    over = true
  })
  await its.clock.pass(0)
  t.same(its.learned.known, [OTHER])
  t.equal(over, false)
})
