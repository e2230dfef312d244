import t, { type Test } from 'tap'
import { compile } from '../../src/core/policy/policy.js'
import type { Rule } from '../../src/core/policy/rule.js'
import type { HostChanges } from '../../src/core/ruleset/ruleset.js'
import { HostChangeQueue } from '../../src/names/kernel-updates.js'
import { host, many, textOf } from './addresses.js'
import { Clock, settled } from './clock.js'

const ruleOf = (name: string): Rule =>
  compile({ reason: 'rule', name, protocol: 'tcp', ports: [], prefixes: [], names: [], domains: [] })
const ONE = ruleOf('one')
const TWO = ruleOf('two')

/** Formats changes as text: `one +198.51.100.1 -198.51.100.2`. */
const textsOf = (changes: ReadonlyMap<Rule, HostChanges>) =>
  [...changes].map(([{ spec }, { added, removed }]) =>
    [
      spec.name,
      ...added.map((each) => `+${textOf(each)}`),
      ...removed.map((each) => `-${textOf(each)}`),
    ].join(' '),
  )

/** Makes a queue of changes to a kernel that accepts them, refuses them, or is slow. */
function queue(t: Test) {
  const state = {
    clock: Clock.install(t),
    sent: [] as string[][],
    errors: [] as string[],
    kernel: async (): Promise<void> => {},
    changes: undefined as unknown as HostChangeQueue,
    note: (text: string, rule = ONE) => state.changes.note(rule, host(text.slice(1)), text.startsWith('+')),
  }
  state.changes = new HostChangeQueue(
    (changes) => {
      state.sent.push(textsOf(changes))
      return state.kernel()
    },
    (error) => state.errors.push(error.message),
  )
  t.teardown(() => state.changes.stop())
  return state
}

const refuse = async () => {
  throw new Error('no')
}

/** Simulates a slow kernel: each call ends its oldest request. */
function slow() {
  const ends: { readonly good: () => void; readonly bad: () => void }[] = []
  const kernel = () =>
    new Promise<void>((resolve, reject) => {
      ends.push({ good: resolve, bad: () => reject(new Error('no')) })
    })
  return { ends, kernel }
}

t.test('a burst of changes is one transaction', async (t) => {
  const its = queue(t)
  for (const text of many(1000)) its.note(`+${text}`)
  its.note('-203.0.113.1')
  its.note('+2001:db8::1', TWO)
  t.equal(its.changes.pending, true)
  t.same(its.sent, [], 'the transaction is not sent at once')
  await its.clock.pass(100)
  t.equal(its.sent.length, 1)
  t.same(its.sent[0], [
    [`one`, ...many(1000).map((text) => `+${text}`), '-203.0.113.1'].join(' '),
    'two +2001:db8::1',
  ])
  t.equal(its.changes.pending, false)
})

t.test('endless changes do not delay a transaction for ever', async (t) => {
  const its = queue(t)
  for (let i = 0; i < 100; i++) {
    its.note(`+198.18.0.${i}`)
    await its.clock.pass(20)
  }
  t.ok(its.sent.length >= 10, `${its.sent.length} transactions were sent in two seconds`)
})

t.test('the last change of an address counts', async (t) => {
  const its = queue(t)
  its.note('+198.51.100.1')
  its.note('-198.51.100.1')
  its.note('-198.51.100.2')
  its.note('+198.51.100.2')
  await its.changes.flush()
  t.same(its.sent, [['one +198.51.100.2 -198.51.100.1']])
})

t.test('changes of one address in two rules are separate, and so are changes of two families', async (t) => {
  const its = queue(t)
  its.note('+198.51.100.1')
  its.note('-198.51.100.1', TWO)
  its.note('+c633:6401::')
  await its.changes.flush()
  t.same(its.sent, [['one +198.51.100.1 +c633:6401::', 'two -198.51.100.1']])
})

t.test('without a change nothing is sent', async (t) => {
  const its = queue(t)
  await its.changes.flush()
  its.note('+198.51.100.1')
  await its.changes.flush()
  await its.clock.pass(60_000)
  t.equal(its.sent.length, 1)
  t.equal(its.clock.timers, 0)
})

t.test('changes that the kernel refused are sent again every 5 seconds until it accepts them', async (t) => {
  const its = queue(t)
  its.kernel = refuse
  its.note('+198.51.100.1')
  await its.clock.pass(100)
  t.same([its.sent.length, its.errors, its.changes.pending], [1, ['no'], true])
  await its.clock.pass(4999)
  t.equal(its.sent.length, 1)
  await its.clock.pass(1)
  t.equal(its.sent.length, 2)
  its.kernel = async () => {}
  await its.clock.pass(5000)
  await its.clock.pass(60_000)
  t.same(its.sent, [['one +198.51.100.1'], ['one +198.51.100.1'], ['one +198.51.100.1']])
  t.same([its.errors.length, its.changes.pending], [2, false])
})

t.test('a kernel that throws is treated like one that refuses', async (t) => {
  const its = queue(t)
  its.kernel = () => {
    throw new Error('no')
  }
  its.note('+198.51.100.1')
  await its.changes.flush()
  t.same(its.errors, ['no'])
})

t.test(
  'when changes are sent again, a later change of the same address replaces the earlier one',
  async (t) => {
    const its = queue(t)
    const { ends, kernel } = slow()
    its.kernel = kernel
    its.note('+198.51.100.1')
    its.note('+198.51.100.2')
    its.note('+198.51.100.3', TWO)
    const flushed = its.changes.flush()
    await settled()
    its.note('-198.51.100.1')
    its.note('+198.51.100.4')
    ends[0]!.bad()
    await flushed
    its.kernel = async () => {}
    await its.changes.flush()
    t.same(
      its.sent[1]!.map((text) => text.split(' ').toSorted().join(' ')),
      ['+198.51.100.2 +198.51.100.4 -198.51.100.1 one', '+198.51.100.3 two'],
    )
  },
)

t.test('transactions keep their order: the second one waits for the first', async (t) => {
  const its = queue(t)
  const { ends, kernel } = slow()
  its.kernel = kernel
  its.note('+198.51.100.1')
  const first = its.changes.flush()
  await settled()
  its.note('-198.51.100.1')
  const second = its.changes.flush()
  await settled()
  t.same(its.sent, [['one +198.51.100.1']])
  ends[0]!.good()
  await first
  await settled()
  t.same(its.sent, [['one +198.51.100.1'], ['one -198.51.100.1']])
  ends[1]!.good()
  await second
})

t.test(
  'the second transaction is sent even when the first failed, with the changes of the first',
  async (t) => {
    const its = queue(t)
    const { ends, kernel } = slow()
    its.kernel = kernel
    its.note('+198.51.100.1')
    const first = its.changes.flush()
    await settled()
    its.note('+198.51.100.2')
    const second = its.changes.flush()
    ends[0]!.bad()
    await first
    await settled()
    t.same(its.sent[1]![0]!.split(' ').toSorted(), ['+198.51.100.1', '+198.51.100.2', 'one'])
    ends[1]!.good()
    await second
  },
)

t.test('a flush ends when all earlier changes are sent: a program waits for it', async (t) => {
  const its = queue(t)
  const { ends, kernel } = slow()
  its.kernel = kernel
  its.note('+198.51.100.1')
  its.changes.flush()
  await settled()
  let over = false
  its.changes.flush().then(() => {
    over = true
  })
  await settled()
  t.equal(over, false, 'no further change is waiting')
  ends[0]!.good()
  await settled()
  t.equal(over, true)
})

t.test('a change that is being sent counts as unknown to the kernel', async (t) => {
  const its = queue(t)
  const { ends, kernel } = slow()
  its.kernel = kernel
  its.note('+198.51.100.1')
  const flushed = its.changes.flush()
  await settled()
  t.equal(its.changes.pending, true)
  ends[0]!.good()
  await flushed
  t.equal(its.changes.pending, false)
})

t.test(
  'a change that arrives while the kernel is busy is sent soon after, even after a failure',
  async (t) => {
    const its = queue(t)
    const { ends, kernel } = slow()
    its.kernel = kernel
    its.note('+198.51.100.1')
    its.changes.flush()
    await settled()
    its.note('+198.51.100.2')
    ends[0]!.bad()
    await its.clock.pass(100)
    t.equal(its.sent.length, 2)
  },
)

t.test('a flush ends the wait before it, and no timer keeps the process alive', async (t) => {
  const its = queue(t)
  its.note('+198.51.100.1')
  t.equal(its.clock.timers, 1)
  t.equal(its.clock.kept, 0)
  await its.changes.flush()
  t.equal(its.clock.timers, 0)
  its.note('+198.51.100.1')
  its.changes.stop()
  t.equal(its.clock.timers, 0)
  await its.clock.pass(60_000)
  t.equal(its.sent.length, 1, 'nothing is sent after the end')
})
