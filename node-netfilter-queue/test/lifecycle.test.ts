import t, { type Test } from 'tap'
import { inNamespace, type Outcome } from './helper.js'

t.jobs = 4

async function clean(t: Test, scenario: string, options: { code?: number; node?: string[] } = {}) {
  const outcome = await inNamespace(scenario, options.node)
  t.match(
    outcome,
    { code: options.code ?? 0, signal: null, stderr: '' },
    `${scenario} ends with the expected exit code`,
  )
  return outcome.report
}

type Case = [promise: string, scenario: string, expected: unknown, code?: number]

const cases: Case[] = [
  ['closing in the handler ends the queue at once', 'closeInHandler', { seen: 3, closed: true, arrived: 0 }],
  ['a second close does nothing', 'closeTwice', { seen: 3, closed: true }],
  ['a queue without packets closes', 'closeBeforeAnyPacket', null],
  ['an exit without close is clean', 'exitWithoutClose', null],
  ['process.exit() in the handler is the exit code', 'exitInHandler', undefined, 7],
  ['an unreferenced queue lets the process end', 'unreferenced', null],
]
for (const [promise, scenario, expected, code = 0] of cases)
  t.test(promise, async (t) => {
    t.match((await clean(t, scenario, { code })) ?? null, expected ?? null)
  })

t.test('when onBatch closes the queue, the verdicts of the batch have been sent before', async (t) => {
  const { arrived, packets } = await clean(t, 'closeInOnBatch')
  t.ok(packets > 0)
  t.equal(arrived, packets)
})

const allBut = (...missing: number[]) =>
  Array.from({ length: 10 }, (_, i) => i).filter((i) => !missing.includes(i))

t.test('when the handler throws, onError decides that packet and no other', async (t) => {
  t.match(await clean(t, 'throwInHandler'), { arrived: allBut(5), uncaught: [] })
  t.match(await clean(t, 'throwInHandlerAccepted'), { arrived: allBut(), uncaught: [] })
})

t.test('a handler that returns no verdict is treated like a handler that throws', async (t) => {
  t.match(await clean(t, 'noVerdict'), { arrived: allBut(5), uncaught: [] })
})

t.test(
  'when onError throws, only that packet is dropped, and the process gets an uncaught exception',
  async (t) => {
    t.match(await clean(t, 'throwInOnError'), { arrived: allBut(5), uncaught: ['from onError'] })
  },
)

t.test(
  'when onBatch throws, the verdicts have been sent, and the process gets an uncaught exception',
  async (t) => {
    const { arrived, uncaught } = await clean(t, 'throwInOnBatch')
    t.same(arrived, allBut())
    t.ok(uncaught.length > 0 && uncaught.every((message: string) => message === 'from onBatch'))
  },
)

t.test('without a listener an uncaught exception ends the process as usual', async (t) => {
  const outcome: Outcome = await inNamespace('dieInOnBatch')
  t.match(outcome, { code: 1, signal: null, stderr: /Error: from onBatch/ })
})

t.test(
  'memory that was transferred to another thread is not written to: the queue closes and reports it',
  async (t) => {
    t.same(await clean(t, 'slabTransferred'), { uncaught: ['EFAULT'], arrived: [0] })
  },
)

t.test('a queue in a worker ends with the worker, while packets flow', async (t) => {
  t.same(await clean(t, 'workerCloses'), [0, 0, 0], 'the worker closes the queue')
  t.same(await clean(t, 'workerTerminated'), Array(5).fill(1), 'the worker is terminated')
  t.same(await clean(t, 'workerExits'), Array(3).fill(7), 'the handler calls process.exit()')
  t.same(await clean(t, 'workerThrows'), Array(3).fill(1), 'the handler throws an uncaught exception')
})

t.test('a queue number can be bound again right after close, and no descriptor is left open', async (t) => {
  const { before, after } = await clean(t, 'reopen')
  t.equal(after, before)
})

t.test('two queues in one process work side by side', async (t) => {
  t.same(await clean(t, 'twoQueues'), { five: 50, six: 50 })
})

t.test('opening and closing 200 queues leaves no memory in use', async (t) => {
  const { before, after } = await clean(t, 'memory', { node: ['--expose-gc'] })
  t.ok(
    after.heapUsed < before.heapUsed + 1_000_000,
    `the heap grew from ${before.heapUsed} to ${after.heapUsed}`,
  )
  t.ok(
    after.external < before.external + 1_000_000,
    `external memory grew from ${before.external} to ${after.external}`,
  )
  t.equal(after.descriptors, before.descriptors, 'no descriptor is left open')
})

t.test(
  'a queue without a reference in the program keeps working, even after a garbage collection',
  async (t) => {
    t.same(await clean(t, 'dropped', { node: ['--expose-gc'] }), { judged: 200 })
  },
)
