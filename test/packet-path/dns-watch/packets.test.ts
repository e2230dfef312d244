import { HELD, NF_ACCEPT, NF_DROP, NF_REPEAT } from 'node-netfilter-queue'
import t from 'tap'
import { seededRandom } from '../../core/random.js'
import { settled } from '../../names/clock.js'
import { framed } from '../../names/dns/answers.js'
import { fromResolver, type Way } from '../../names/dns/traffic.js'
import { ANSWER, ANSWERS, BUDGET, FOREIGN, OURS, PASSED, QUESTION, watching } from './watching.js'

t.test('a query gets the verdict of the valve', async (t) => {
  const its = watching(t)
  t.match(its.ask(QUESTION), { verdict: NF_ACCEPT })
  t.equal(its.valve.judged, 1)
  its.valve.pass = NF_REPEAT
  t.match(its.ask(QUESTION), { verdict: NF_REPEAT })
})

t.test('an answer at the wrong position of a TCP stream is accepted, and is not learned', async (t) => {
  const its = watching(t)
  const way = { protocol: 'tcp' } as const
  its.ask(QUESTION, { ...way, acknowledged: 100 })
  t.match(its.answer(ANSWER, { ...way, sequence: 101 }), PASSED)
  t.same(its.lessons, [])
  t.match(its.answer(ANSWER, { ...way, sequence: 100 }), PASSED)
  t.equal(its.lessons.length, 1)
})

t.test(
  'bits of the mark that other programs have set are kept, in accepted answers and in held ones',
  async (t) => {
    const its = watching(t, { form: 'xtables' })
    const mark = (bytes: Uint8Array, written: number) => its.deliver(bytes, ANSWERS, -1, written)
    for (const foreign of [0, 1, 0x80000000, 0xc0ffffff, FOREIGN]) {
      const written = (foreign | OURS) >>> 0
      t.match(mark(fromResolver(ANSWER), written), { mark: foreign, verdict: NF_REPEAT })
      t.match(
        mark(Uint8Array.of(1, 2, 3), written),
        { mark: foreign, verdict: NF_REPEAT },
        'the packet is malformed',
      )
      its.wait = () => Promise.resolve()
      its.ask(QUESTION)
      mark(fromResolver(ANSWER), written)
      await settled()
      t.match(its.released.pop(), { mark: foreign, verdict: NF_REPEAT })
    }
  },
)

t.test('a mark in the lowest bits is removed as well', async (t) => {
  const its = watching(t, { mask: 0x3f })
  t.equal(its.deliver(fromResolver(ANSWER), ANSWERS, -1, 0xffffffff).mark, 0xffffffc0)
})

t.test('after a fault of the program the answer is accepted, and the fault is reported', async (t) => {
  const its = watching(t)
  its.wait = () => {
    throw new Error('a fault')
  }
  its.ask(QUESTION)
  t.match(its.answer(ANSWER), PASSED)
  t.match(its.faults, [{ message: 'a fault' }])
})

t.test('packets of other protocols, empty packets and truncated packets are accepted', async (t) => {
  const its = watching(t)
  its.ask(QUESTION)
  const whole = fromResolver(ANSWER)
  for (let length = 0; length < whole.length; length++) {
    const { verdict, mark } = its.deliver(whole.subarray(0, length), ANSWERS, -1)
    if (verdict !== NF_ACCEPT || mark !== FOREIGN) t.fail(`the packet has ${length} bytes`)
  }
  t.match(its.answer(new Uint8Array()), PASSED)
  t.same(its.lessons, [])
})

t.test('every packet is accepted once: none is dropped, and nothing is thrown', async (t) => {
  const its = watching(t)
  its.wait = () => Promise.resolve()
  const random = seededRandom(11)
  const held = new Set<number>()
  for (let round = 0; round < 20_000; round++) {
    const way: Way = round % 2 === 0 ? {} : { protocol: 'tcp', acknowledged: 7, sequence: 7 }
    if (round % 3 === 0) its.ask(QUESTION, way)
    const bytes = Uint8Array.from(fromResolver(round % 2 === 0 ? ANSWER : framed(ANSWER), way))
    for (let i = 0; i < round % 5; i++) bytes[random(bytes.length)] = random(256)
    const { id, verdict } = its.deliver(bytes, ANSWERS, -1)
    if (verdict === HELD) held.add(id)
    else if (verdict !== NF_ACCEPT) t.fail(`round ${round} returned ${verdict}`)
    if (round % 500 === 0) await settled()
  }
  await its.clock.pass(BUDGET)
  t.same(new Set(its.released.map(({ id }) => id)), held)
  t.equal(its.released.length, held.size)
  t.ok(its.released.every(({ verdict }) => verdict !== NF_DROP))
  t.same(its.faults, [])
  t.ok(its.lessons.length > 100, `${its.lessons.length} answers were learned, ${held.size} were held`)
})
