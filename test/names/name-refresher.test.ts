import t, { type Test } from 'tap'
import { NameRefresher } from '../../src/names/name-refresher.js'
import { Clock, settled } from './clock.js'

const NAME = 'mirror.example.org'
const OTHER = 'other.example.org'

interface Answer {
  readonly said: string
  readonly ttl: number
}
const answer = (ttl = 60, said = 'yes'): Answer => ({ said, ttl })
const noResolver = async (): Promise<Answer> => {
  throw new Error('no answer')
}

/** Makes a watcher whose resolver answers with `reply`, without jitter unless the test wants some. */
function watching(t: Test) {
  const clock = Clock.install(t)
  const state = {
    clock,
    reply: async (_name: string): Promise<Answer> => answer(),
    onAnswer: (name: string, { said }: Answer): void => void state.answers.push(`${name}: ${said}`),
    random: 0.5,
    asked: [] as string[],
    answers: [] as string[],
    failures: [] as string[],
    names: undefined as unknown as NameRefresher<Answer>,
  }
  state.names = new NameRefresher({
    resolve: (name) => {
      state.asked.push(name)
      return state.reply(name)
    },
    onAnswer: (name, answer) => state.onAnswer(name, answer),
    onFailure: (name, error) => state.failures.push(`${name}: ${(error as Error).message}`),
    ttlOf: ({ ttl }) => ttl,
    random: () => state.random,
  })
  t.teardown(() => state.names.stop())
  return state
}

t.test('a watched name is looked up at once, and the answer is reported', async (t) => {
  const its = watching(t)
  await its.names.watch([NAME])
  t.same(its.answers, [`${NAME}: yes`])
  t.same([its.names.has(NAME), its.names.has(OTHER)], [true, false])
})

t.test(
  'a name counts as watched before its first look-up: its known addresses must stay until then',
  async (t) => {
    const its = watching(t)
    const done = its.names.watch([NAME])
    t.equal(its.names.has(NAME), true)
    await done
  },
)

t.test('a name is looked up again after its TTL, within a lower and an upper limit', async (t) => {
  const its = watching(t)
  for (const [ttl, seconds] of [
    [60, 60],
    [0, 5],
    [4, 5],
    [86_400, 3600],
    [0xffffffff, 3600],
  ] as const) {
    its.reply = async () => answer(ttl)
    await its.names.watch([])
    await its.names.watch([NAME])
    t.equal(its.clock.next, seconds * 1000, `the TTL is ${ttl}`)
  }
})

t.test(
  'look-ups are spread by up to a tenth of the time, so that many hosts do not ask at once',
  async (t) => {
    const its = watching(t)
    for (const [random, ms] of [
      [0, 54_000],
      [1, 66_000],
    ] as const) {
      its.random = random
      await its.names.watch([])
      await its.names.watch([NAME])
      t.equal(Math.round(its.clock.next!), ms)
    }
  },
)

t.test('every answer is reported, also an unchanged one', async (t) => {
  const its = watching(t)
  await its.names.watch([NAME])
  its.reply = async () => answer(60, 'again')
  await its.clock.pass(120_000)
  t.same(its.answers, [`${NAME}: yes`, `${NAME}: again`, `${NAME}: again`])
})

t.test('a resolver that throws is treated like one that rejects', async (t) => {
  const its = watching(t)
  its.reply = () => {
    throw new Error('no resolver')
  }
  await its.names.watch([NAME])
  t.same(its.failures, [`${NAME}: no resolver`])
  t.equal(its.clock.timers, 1)
})

t.test('an answer that cannot be used is a failure: the name is looked up again', async (t) => {
  const its = watching(t)
  its.onAnswer = () => {
    throw new Error('no use')
  }
  await its.names.watch([NAME])
  t.same(its.failures, [`${NAME}: no use`])
  t.equal(its.clock.timers, 1)
})

t.test(
  'a failed look-up is repeated after 1, 2, 5, 10, 30 and then each 60 seconds, until it succeeds',
  async (t) => {
    const its = watching(t)
    its.reply = noResolver
    await its.names.watch([NAME])
    const waits: number[] = []
    for (let i = 0; i < 8; i++) {
      waits.push(its.clock.next! / 1000)
      await its.clock.pass(its.clock.next!)
    }
    t.same(waits, [1, 2, 5, 10, 30, 60, 60, 60])
    its.reply = async () => answer(600)
    await its.clock.pass(60_000)
    t.equal(its.clock.next, 600_000)
    its.reply = noResolver
    await its.clock.pass(600_000)
    t.equal(its.clock.next, 1000, 'a success resets the waits')
  },
)

t.test('a failing look-up is repeated without end', async (t) => {
  const its = watching(t)
  await its.names.watch([NAME])
  its.reply = noResolver
  await its.clock.pass(24 * 3600 * 1000)
  t.ok(its.failures.length > 1000)
  t.equal(its.clock.timers, 1)
})

/** Simulates a resolver that answers when the test lets it. */
function slow(its: { reply: (name: string) => Promise<Answer> }) {
  const pending: ((good: boolean) => void)[] = []
  const counts = { open: 0, most: 0 }
  its.reply = () => {
    counts.most = Math.max(counts.most, ++counts.open)
    return new Promise((resolve, reject) =>
      pending.push((good) => {
        counts.open--
        if (good) resolve(answer())
        else reject(new Error('no answer'))
      }),
    )
  }
  return { pending, counts }
}

t.test('at most 16 look-ups run at once, and all names are looked up', async (t) => {
  const its = watching(t)
  const { pending, counts } = slow(its)
  const names = Array.from({ length: 50 }, (_, i) => `m${i}.example.org`)
  const done = its.names.watch(names)
  await settled()
  t.equal(counts.open, 16)
  while (pending.length > 0) {
    // A failure must free its place as well.
    pending.shift()!(pending.length % 2 === 0)
    await settled()
  }
  await done
  t.equal(counts.most, 16)
  t.same(its.asked.toSorted(), names.toSorted())
})

t.test('a name that is no longer wanted is removed, with its timer', async (t) => {
  const its = watching(t)
  await its.names.watch([NAME, OTHER])
  await its.names.watch([OTHER])
  t.equal(its.names.has(NAME), false)
  t.equal(its.clock.timers, 1)
  await its.clock.pass(61_000)
  t.same(its.asked, [NAME, OTHER, OTHER])
})

t.test('a name that stays wanted is not looked up again', async (t) => {
  const its = watching(t)
  await its.names.watch([NAME])
  await its.names.watch([NAME, NAME])
  t.equal(its.asked.length, 1)
})

t.test('an answer for a name that is no longer wanted is ignored', async (t) => {
  const its = watching(t)
  const { pending } = slow(its)
  const done = its.names.watch([NAME])
  await settled()
  its.names.stop()
  pending[0]!(true)
  await done
  t.same([its.answers, its.clock.timers], [[], 0])
})

t.test('a failure for a name that is no longer wanted is not reported', async (t) => {
  const its = watching(t)
  const { pending } = slow(its)
  const done = its.names.watch([NAME])
  await settled()
  its.names.stop()
  pending[0]!(false)
  await done
  t.same([its.failures, its.clock.timers], [[], 0])
})

t.test('a name that is dropped while it waits for its turn is never looked up', async (t) => {
  const its = watching(t)
  const { pending } = slow(its)
  const done = its.names.watch(Array.from({ length: 20 }, (_, i) => `m${i}.example.org`))
  await settled()
  its.names.stop()
  for (const each of pending) each(true)
  await done
  t.equal(its.asked.length, 16)
})

t.test('a name that is dropped and wanted again during its look-up has one timer', async (t) => {
  const its = watching(t)
  const { pending } = slow(its)
  const all = [its.names.watch([NAME])]
  await settled()
  all.push(its.names.watch([]), its.names.watch([NAME]))
  await settled()
  for (const each of pending) each(true)
  await Promise.all(all)
  t.equal(its.clock.timers, 1)
  its.names.stop()
  t.equal(its.clock.timers, 0)
})

t.test('stop leaves no timer running, and no timer ever keeps the process alive', async (t) => {
  const its = watching(t)
  await its.names.watch([NAME, OTHER])
  t.equal(its.clock.timers, 2)
  t.equal(its.clock.kept, 0)
  its.names.stop()
  t.equal(its.clock.timers, 0)
})

t.test('names are counted by the result of their last look-up', async (t) => {
  const its = watching(t)
  its.reply = async (name) => (name === OTHER ? noResolver() : answer())
  await its.names.watch([NAME, OTHER])
  t.same(its.names.counts, { good: 1, failing: 1 })
  its.reply = async () => answer()
  await its.clock.pass(1200)
  t.same(its.names.counts, { good: 2, failing: 0 })
  await its.names.watch([])
  t.same(its.names.counts, { good: 0, failing: 0 })
})
