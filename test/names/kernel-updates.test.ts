import t, { type Test } from 'tap'
import { compile, type Rule } from '../../src/core/policy/policy.js'
import type { HostChanges } from '../../src/core/ruleset/ruleset.js'
import { HostChangeQueue } from '../../src/names/kernel-updates.js'
import { host, many, textOf } from './addresses.js'
import { Clock, settled } from './clock.js'

const ruleOf = (name: string): Rule =>
  compile({ reason: 'rule', name, protocol: 'tcp', ports: [], prefixes: [], names: [], domains: [] })
const ONE = ruleOf('one')
const TWO = ruleOf('two')

/** Changes as text: `one +198.51.100.1 -198.51.100.2`. */
const textsOf = (changes: ReadonlyMap<Rule, HostChanges>) =>
  [...changes].map(([{ spec }, { added, removed }]) =>
    [
      spec.name,
      ...added.map((each) => `+${textOf(each)}`),
      ...removed.map((each) => `-${textOf(each)}`),
    ].join(' '),
  )

/** A queue of changes to a kernel that takes them, refuses them, or takes its time. */
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

/** A kernel that takes its time: each call ends what it was asked last. */
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
  t.same(its.sent, [], 'and not at once')
  await its.clock.pass(100)
  t.equal(its.sent.length, 1)
  t.same(its.sent[0], [
    [`one`, ...many(1000).map((text) => `+${text}`), '-203.0.113.1'].join(' '),
    'two +2001:db8::1',
  ])
  t.equal(its.changes.pending, false)
})

t.test('changes that come without end are not put off without end', async (t) => {
  const its = queue(t)
  for (let i = 0; i < 100; i++) {
    its.note(`+198.18.0.${i}`)
    await its.clock.pass(20)
  }
  t.ok(its.sent.length >= 10, `${its.sent.length} transactions in two seconds`)
})

t.test('what was said last of an address counts', async (t) => {
  const its = queue(t)
  its.note('+198.51.100.1')
  its.note('-198.51.100.1')
  its.note('-198.51.100.2')
  its.note('+198.51.100.2')
  await its.changes.flush()
  t.same(its.sent, [['one +198.51.100.2 -198.51.100.1']])
})

t.test('the same address in two rules is two changes; so is one of the other family', async (t) => {
  const its = queue(t)
  its.note('+198.51.100.1')
  its.note('-198.51.100.1', TWO)
  its.note('+c633:6401::')
  await its.changes.flush()
  t.same(its.sent, [['one +198.51.100.1 +c633:6401::', 'two -198.51.100.1']])
})

t.test('nothing is sent where there is nothing to tell', async (t) => {
  const its = queue(t)
  await its.changes.flush()
  its.note('+198.51.100.1')
  await its.changes.flush()
  await its.clock.pass(60_000)
  t.equal(its.sent.length, 1)
  t.equal(its.clock.timers, 0)
})

t.test('what the kernel has not taken is told again after 5 seconds, until it has', async (t) => {
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

t.test('a kernel that throws at once is one that refuses', async (t) => {
  const its = queue(t)
  its.kernel = () => {
    throw new Error('no')
  }
  its.note('+198.51.100.1')
  await its.changes.flush()
  t.same(its.errors, ['no'])
})

t.test('of what is told again, what has changed since then is newer', async (t) => {
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
})

t.test('transactions keep their order: the second waits for the first', async (t) => {
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

t.test('the second is told even where the first failed, and with what the first had', async (t) => {
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
})

t.test('a flush is over when all of before is told: a program waits for it', async (t) => {
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
  t.equal(over, false, 'though nothing more is to be told')
  ends[0]!.good()
  await settled()
  t.equal(over, true)
})

t.test('what is on its way is something that the kernel does not know yet', async (t) => {
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

t.test('what comes while the kernel is busy is told soon, even after a failure', async (t) => {
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
})

t.test('a flush is the end of the wait before it, and no timer keeps the process alive', async (t) => {
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
  t.equal(its.sent.length, 1, 'nothing is told after the end')
})
