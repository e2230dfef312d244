import t, { type Test } from 'tap'
import { addressText } from '../../src/core/text.js'
import { type Answer, NameWatcher } from '../../src/mirrors/names.js'
import { words } from '../core/packets.js'
import { Clock, settled } from './clock.js'

const NAME = 'mirror.example.org'
const GRACE = 300

const answer = (addresses: readonly string[], ttl = 60): Answer => ({
  ttl,
  hosts: addresses.map((text) => ({ family: text.includes(':') ? 6 : 4, words: words(text) })),
})

/** A watcher whose resolver says what the test puts into `reply`, without jitter unless the test wants some. */
function watching(t: Test) {
  const clock = Clock.install(t)
  const state = {
    clock,
    reply: async (_name: string): Promise<Answer> => answer(['198.51.100.1']),
    random: 0.5,
    asked: [] as string[],
    changes: [] as string[],
    failures: [] as string[],
    successes: 0,
    names: undefined as unknown as NameWatcher,
    hosts: (name = NAME) => state.names.hosts(name).map(({ family, words }) => addressText(family, words)),
  }
  state.names = new NameWatcher({
    resolve: (name) => {
      state.asked.push(name)
      return state.reply(name)
    },
    onChange: (name) => state.changes.push(`${name}: ${state.hosts(name).join(' ')}`),
    onFailure: (name, error) => state.failures.push(`${name}: ${(error as Error).message}`),
    onSuccess: () => state.successes++,
    now: clock.now,
    random: () => state.random,
  })
  t.teardown(() => state.names.stop())
  return state
}

t.test('a watched name is asked at once, and its addresses are told', async (t) => {
  const its = watching(t)
  its.reply = async () => answer(['198.51.100.1', '2001:db8::1'])
  await its.names.watch([NAME])
  t.same(its.hosts(), ['198.51.100.1', '2001:db8::1'])
  t.same(its.changes, [`${NAME}: 198.51.100.1 2001:db8::1`])
  t.equal(its.successes, 1)
  t.same(its.names.hosts('other.example.org'), [])
})

t.test('a name is asked again when its TTL is over, but neither all the time nor never', async (t) => {
  const its = watching(t)
  for (const [ttl, seconds] of [
    [60, 60],
    [0, 5],
    [4, 5],
    [86400, 3600],
  ] as const) {
    its.reply = async () => answer(['198.51.100.1'], ttl)
    await its.names.watch([])
    await its.names.watch([NAME])
    t.equal(its.clock.next, seconds * 1000, `TTL ${ttl}`)
  }
})

t.test('questions are spread by up to a tenth, so that many hosts do not ask at once', async (t) => {
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
})

t.test('a change of addresses is told; the old ones stay through their TTL and the grace', async (t) => {
  const its = watching(t)
  await its.names.watch([NAME])
  its.reply = async () => answer(['198.51.100.2'])
  await its.clock.pass(60_000)
  t.same(its.hosts(), ['198.51.100.2', '198.51.100.1'])
  await its.clock.pass((GRACE - 1) * 1000)
  t.same(its.hosts(), ['198.51.100.2', '198.51.100.1'], 'programs keep answers, too')
  await its.clock.pass(61_000)
  t.same(its.hosts(), ['198.51.100.2'])
  t.same(its.changes, [
    `${NAME}: 198.51.100.1`,
    `${NAME}: 198.51.100.2 198.51.100.1`,
    `${NAME}: 198.51.100.2`,
  ])
})

t.test('another order of the same addresses is no change', async (t) => {
  const its = watching(t)
  its.reply = async () => answer(['198.51.100.1', '198.51.100.2', '2001:db8::1'])
  await its.names.watch([NAME])
  its.reply = async () => answer(['2001:db8::1', '198.51.100.2', '198.51.100.1'])
  await its.clock.pass(61_000)
  t.equal(its.asked.length, 2)
  t.equal(its.changes.length, 1)
})

t.test('an address that is answered twice is known once', async (t) => {
  const its = watching(t)
  its.reply = async () => answer(['198.51.100.1', '198.51.100.1'])
  await its.names.watch([NAME])
  t.same(its.hosts(), ['198.51.100.1'])
})

t.test('a failure changes nothing: the last good addresses stay, however long it lasts', async (t) => {
  const its = watching(t)
  await its.names.watch([NAME])
  its.reply = async () => {
    throw new Error('no answer')
  }
  await its.clock.pass(7 * 24 * 3600 * 1000)
  t.same(its.hosts(), ['198.51.100.1'])
  t.equal(its.changes.length, 1)
  t.ok(its.failures.length > 100)
  t.equal(its.failures[0], `${NAME}: no answer`)
})

t.test('an answer without an address is a failure: it does not replace the last good ones', async (t) => {
  const its = watching(t)
  await its.names.watch([NAME])
  its.reply = async () => answer([])
  await its.clock.pass(60_000)
  t.same(its.hosts(), ['198.51.100.1'])
  t.same(its.failures, [`${NAME}: it has no address`])
})

t.test('a resolver that throws at once is a failure like any other', async (t) => {
  const its = watching(t)
  its.reply = () => {
    throw new Error('no resolver')
  }
  await its.names.watch([NAME])
  t.same(its.failures, [`${NAME}: no resolver`])
  t.equal(its.clock.timers, 1)
})

t.test(
  'failures are tried again after 1, 2, 5, 10, 30 and then each 60 seconds, until it works',
  async (t) => {
    const its = watching(t)
    its.reply = async () => {
      throw new Error('no answer')
    }
    await its.names.watch([NAME])
    const waits: number[] = []
    for (let i = 0; i < 8; i++) {
      waits.push(its.clock.next! / 1000)
      await its.clock.pass(its.clock.next!)
    }
    t.same(waits, [1, 2, 5, 10, 30, 60, 60, 60])
    its.reply = async () => answer(['198.51.100.1'], 600)
    await its.clock.pass(60_000)
    t.equal(its.clock.next, 600_000)
    its.reply = async () => {
      throw new Error('no answer')
    }
    await its.clock.pass(600_000)
    t.equal(its.clock.next, 1000, 'a success starts the waits over')
  },
)

t.test('rotating answers are bounded: the newest 64 addresses of a name stay', async (t) => {
  const its = watching(t)
  let turn = 0
  its.reply = async () => {
    turn++
    return answer(
      Array.from({ length: 16 }, (_, i) => `198.18.${turn}.${i}`),
      5,
    )
  }
  await its.names.watch([NAME])
  await its.clock.pass(200_000)
  t.equal(turn, 41)
  t.equal(its.hosts().length, 64)
  t.same(new Set(its.hosts().map((text) => text.split('.')[2])), new Set(['41', '40', '39', '38']))
})

t.test('an answer of more than 64 addresses is cut', async (t) => {
  const its = watching(t)
  its.reply = async () => answer(Array.from({ length: 200 }, (_, i) => `198.18.0.${i}`))
  await its.names.watch([NAME])
  t.equal(its.hosts().length, 64)
})

t.test('at most 16 questions are asked at once, and all are asked', async (t) => {
  const its = watching(t)
  let open = 0
  let most = 0
  const pending: (() => void)[] = []
  its.reply = () => {
    most = Math.max(most, ++open)
    return new Promise((resolve, reject) =>
      pending.push(() => {
        open--
        // A failure has to make room as well.
        if (pending.length % 2 === 0) resolve(answer(['198.51.100.1']))
        else reject(new Error('no answer'))
      }),
    )
  }
  const names = Array.from({ length: 50 }, (_, i) => `m${i}.example.org`)
  const done = its.names.watch(names)
  await settled()
  t.equal(open, 16)
  while (pending.length > 0) {
    pending.shift()!()
    await settled()
  }
  await done
  t.equal(most, 16)
  t.same(its.asked.toSorted(), names.toSorted())
})

t.test('a name that is no longer wanted is forgotten, with its addresses and its timer', async (t) => {
  const its = watching(t)
  await its.names.watch([NAME, 'other.example.org'])
  await its.names.watch(['other.example.org'])
  t.same(its.hosts(), [])
  t.equal(its.clock.timers, 1)
  await its.clock.pass(61_000)
  t.same(its.asked, [NAME, 'other.example.org', 'other.example.org'])
})

t.test('a name that stays wanted is not asked anew and keeps its addresses', async (t) => {
  const its = watching(t)
  await its.names.watch([NAME])
  await its.names.watch([NAME, NAME])
  t.equal(its.asked.length, 1)
  t.same(its.hosts(), ['198.51.100.1'])
})

t.test('an answer that comes after its name was given up is left alone', async (t) => {
  const its = watching(t)
  let late = (_: Answer) => {}
  its.reply = () =>
    new Promise((resolve) => {
      late = resolve
    })
  const done = its.names.watch([NAME])
  await settled()
  its.names.stop()
  late(answer(['198.51.100.1']))
  await done
  t.same([its.hosts(), its.changes, its.successes, its.clock.timers], [[], [], 0, 0])
})

t.test('a failure that comes after its name was given up is not told', async (t) => {
  const its = watching(t)
  let late = (_: Error) => {}
  its.reply = () =>
    new Promise((_, reject) => {
      late = reject
    })
  const done = its.names.watch([NAME])
  await settled()
  its.names.stop()
  late(new Error('no answer'))
  await done
  t.same([its.failures, its.clock.timers], [[], 0])
})

t.test('a name that was given up while it waited for its turn is never asked', async (t) => {
  const its = watching(t)
  const pending: (() => void)[] = []
  its.reply = () => new Promise((resolve) => pending.push(() => resolve(answer(['198.51.100.1']))))
  const done = its.names.watch(Array.from({ length: 20 }, (_, i) => `m${i}.example.org`))
  await settled()
  its.names.stop()
  for (const each of pending) each()
  await done
  t.equal(its.asked.length, 16)
})

t.test('a name that is dropped and wanted again while it is asked runs on one timer', async (t) => {
  const its = watching(t)
  const pending: (() => void)[] = []
  its.reply = () => new Promise((resolve) => pending.push(() => resolve(answer(['198.51.100.1']))))
  const all = [its.names.watch([NAME])]
  await settled()
  all.push(its.names.watch([]), its.names.watch([NAME]))
  await settled()
  for (const each of pending) each()
  await Promise.all(all)
  t.equal(its.clock.timers, 1)
  its.names.stop()
  t.equal(its.clock.timers, 0)
})

t.test('stop leaves no timer, and no timer ever keeps the process alive', async (t) => {
  const its = watching(t)
  await its.names.watch([NAME, 'other.example.org'])
  t.equal(its.clock.timers, 2)
  t.equal(its.clock.kept, 0)
  its.names.stop()
  t.equal(its.clock.timers, 0)
  t.same(its.names.snapshot(), {})
})

t.test('what an earlier run knew counts until it is answered, and for the grace after that', async (t) => {
  const its = watching(t)
  its.reply = async () => {
    throw new Error('no answer')
  }
  const first = its.names.watch([NAME])
  its.names.restore(NAME, answer(['198.51.100.9']).hosts)
  its.names.restore('other.example.org', answer(['198.51.100.8']).hosts)
  await first
  t.same(its.hosts(), ['198.51.100.9'])
  t.same(its.hosts('other.example.org'), [], 'only what is watched')
  its.reply = async () => answer(['198.51.100.1'])
  await its.clock.pass(1000)
  t.same(its.hosts(), ['198.51.100.1', '198.51.100.9'])
  await its.clock.pass(400_000)
  t.same(its.hosts(), ['198.51.100.1'])
})

t.test('what an earlier run knew never replaces an answer', async (t) => {
  const its = watching(t)
  await its.names.watch([NAME])
  its.names.restore(NAME, answer(['198.51.100.9']).hosts)
  t.same(its.hosts(), ['198.51.100.1'])
})

t.test('the snapshot holds every watched name with what is known of it', async (t) => {
  const its = watching(t)
  its.reply = async (name) => answer(name === NAME ? ['198.51.100.1'] : [])
  await its.names.watch([NAME, 'other.example.org'])
  const snapshot = its.names.snapshot()
  t.same(Object.keys(snapshot), [NAME, 'other.example.org'])
  t.same(snapshot[NAME], its.names.hosts(NAME))
  t.same(snapshot['other.example.org'], [])
})
