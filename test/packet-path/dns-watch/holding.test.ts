import { HELD, NF_ACCEPT } from 'node-netfilter-queue'
import t from 'tap'
import { settled } from '../../names/clock.js'
import { A, AAAA, a, asked, framed, query, response } from '../../names/dns/answers.js'
import { fromResolver, toResolver } from '../../names/dns/traffic.js'
import {
  ANSWER,
  ANSWERS,
  BUDGET,
  FOREIGN,
  NAME,
  PASSED,
  QUESTION,
  QUESTIONS,
  ROOT,
  watching,
} from './watching.js'

/** Makes a promise that the test settles. */
function promised() {
  let settle = { resolve: () => {}, reject: () => {} }
  const promise = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject: () => reject(new Error('no')) }
  })
  return { promise, ...settle }
}

t.test('an answer that must wait is held, and released once after the wait', async (t) => {
  const its = watching(t)
  const wait = promised()
  its.wait = () => wait.promise
  its.ask(QUESTION)
  const { id, verdict } = its.answer(ANSWER)
  t.equal(verdict, HELD)
  t.same([its.released, its.stats], [[], { learned: 1, held: 1, missed: 0 }])
  wait.resolve()
  await settled()
  t.same(its.released, [{ id, verdict: NF_ACCEPT, mark: FOREIGN }])
  await its.clock.pass(60_000)
  its.watch.release()
  t.same([its.released.length, its.stats.missed, its.clock.timers], [1, 0, 0])
})

t.test('a wait that fails releases the answer as well', async (t) => {
  const its = watching(t)
  const wait = promised()
  its.wait = () => wait.promise
  its.ask(QUESTION)
  its.answer(ANSWER)
  wait.reject()
  await settled()
  t.same([its.released.length, its.stats.missed], [1, 0])
})

t.test('after the time limit a held answer is accepted and counted; it is not released twice', async (t) => {
  const its = watching(t)
  const wait = promised()
  its.wait = () => wait.promise
  its.ask(QUESTION)
  its.answer(ANSWER)
  await its.clock.pass(BUDGET - 1)
  t.equal(its.released.length, 0)
  await its.clock.pass(1)
  t.same([its.released.length, its.stats], [1, { learned: 1, held: 1, missed: 1 }])
  wait.resolve()
  await settled()
  its.watch.release()
  t.equal(its.released.length, 1)
})

t.test('all held answers can be released at once, when the service stops', async (t) => {
  const its = watching(t)
  const wait = promised()
  its.wait = () => wait.promise
  const ids = [1, 2, 3].map((number) => {
    its.ask({ ...QUESTION, id: number })
    return its.answer(response({ ...QUESTION, id: number }, [a(NAME, '198.51.100.1')])).id
  })
  its.watch.release()
  t.same(
    its.released.map(({ id }) => id),
    ids,
  )
  wait.resolve()
  await its.clock.pass(60_000)
  t.same([its.released.length, its.clock.timers], [3, 0])
})

t.test(
  'at most 1024 answers are held; further answers are accepted at once, and are learned as well',
  async (t) => {
    const its = watching(t)
    its.wait = () => new Promise(() => {})
    const verdicts = Array.from({ length: 1100 }, (_, id) => {
      its.ask({ ...QUESTION, id })
      return its.answer(response({ ...QUESTION, id }, [a(NAME, '198.51.100.1')])).verdict
    })
    t.equal(verdicts.filter((verdict) => verdict === HELD).length, 1024)
    t.ok(verdicts.slice(1024).every((verdict) => verdict === NF_ACCEPT))
    t.equal(its.lessons.length, 1100)
    await its.clock.pass(BUDGET)
    t.equal(new Set(its.released.map(({ id }) => id)).size, 1024)
    its.ask(QUESTION)
    t.equal(its.answer(ANSWER).verdict, HELD, 'another answer can be held afterwards')
  },
)

t.test('a failed wait of an answer that is not held causes no unhandled rejection', async (t) => {
  const its = watching(t)
  its.wait = () => new Promise(() => {})
  const put = (id: number) => {
    its.ask({ ...QUESTION, id })
    return its.answer(response({ ...QUESTION, id }, [a(NAME, '198.51.100.1')])).verdict
  }
  for (let id = 0; id < 1024; id++) put(id)
  its.wait = () => Promise.reject(new Error('no'))
  const uncaught: unknown[] = []
  const note = (error: unknown) => uncaught.push(error)
  process.on('unhandledRejection', note)
  t.teardown(() => process.off('unhandledRejection', note))
  t.equal(put(1024), NF_ACCEPT)
  await settled()
  await settled()
  t.same(uncaught, [])
})

t.test('with a budget of 0 nothing is held and nothing is learned', async (t) => {
  const its = watching(t)
  its.budget = 0
  its.ask(QUESTION)
  t.match(its.answer(ANSWER), PASSED)
  t.same(its.lessons, [])
})

t.test('a segment with several answers waits for all of them', async (t) => {
  const its = watching(t)
  const waits = [promised(), promised()]
  its.wait = ({ type }) => waits[type === A ? 0 : 1]!.promise
  const both = [asked(NAME, A, 1), asked(NAME, AAAA, 2)] as const
  const tcp = { protocol: 'tcp', acknowledged: 7, sequence: 7 } as const
  its.deliver(toResolver(Buffer.concat(both.map(query).map(framed)), tcp), QUESTIONS, ROOT)
  const answers = both.map((of) => framed(response(of, [a(NAME, '198.51.100.1')])))
  t.equal(its.deliver(fromResolver(Buffer.concat(answers), tcp), ANSWERS, -1).verdict, HELD)
  waits[1]!.resolve()
  await settled()
  t.equal(its.released.length, 0)
  waits[0]!.resolve()
  await settled()
  t.equal(its.released.length, 1)
  t.equal(its.lessons.length, 2)
})

t.test('when an answer has several TCP segments, the last segment is held', async (t) => {
  const its = watching(t)
  its.wait = () => new Promise(() => {})
  const way = { protocol: 'tcp' } as const
  its.ask(QUESTION, { ...way, acknowledged: 0xfffffff0 })
  const bytes = framed(ANSWER)
  const verdicts = [...bytes].map(
    (byte, i) =>
      its.deliver(
        fromResolver(Uint8Array.of(byte), { ...way, sequence: (0xfffffff0 + i) >>> 0 }),
        ANSWERS,
        -1,
      ).verdict,
  )
  t.same(new Set(verdicts.slice(0, -1)), new Set([NF_ACCEPT]))
  t.equal(verdicts.at(-1), HELD)
})
