import t from 'tap'
import type { Question } from '../../../src/core/dns/question.js'
import { PendingQueries } from '../../../src/names/dns/pending-queries.js'
import { A, AAAA, asked, questionOf } from './answers.js'
import { fromResolver, packetOf, RESOLVER6, toResolver, type Way } from './traffic.js'

const NOW = 1_800_000_000_000
const QUESTION = questionOf(asked('mirror.example.org'))
const NOTHING = new Uint8Array()

/** Makes a table in which a user waits for the answer to `QUESTION`. */
function waiting(way: Way = {}, uid = 42) {
  const questions = new PendingQueries()
  questions.note(packetOf(toResolver(NOTHING, way)), QUESTION, uid, NOW)
  return questions
}
const take = (questions: PendingQueries, way: Way = {}, question: Question = QUESTION, now = NOW) =>
  questions.take(packetOf(fromResolver(NOTHING, way)), question, now)

t.test('an answer is matched to its query and the user who sent it, once', async (t) => {
  const questions = waiting()
  t.same(take(questions), { question: QUESTION, uid: 42, isTrusted: false })
  t.equal(take(questions), undefined, 'a second answer is not believed')
  t.equal(questions.size, 0)
})

t.test('this also holds for IPv6 and TCP', async (t) => {
  for (const way of [
    { resolver: RESOLVER6 },
    { protocol: 'tcp' },
    { protocol: 'tcp', resolver: RESOLVER6 },
  ] as const)
    t.same(take(waiting(way), way)?.uid, 42)
})

t.test('an answer is accepted only when every part fits the query', async (t) => {
  const questions = waiting()
  for (const [what, way] of Object.entries<Way>({
    'another resolver': { resolver: '198.51.100.54' },
    'a resolver of the other family': { resolver: RESOLVER6 },
    'another address of this host': { host: '192.0.2.99' },
    'another port': { port: 40_001 },
    'another protocol': { protocol: 'tcp' },
  }))
    t.equal(take(questions, way), undefined, what)
  for (const [what, other] of Object.entries<Partial<Question>>({
    'another number': { id: 0x1235 },
    'another name': { name: 'mirror.example.net' },
    'a longer name': { name: 'x.mirror.example.org' },
    'another type': { type: AAAA },
  }))
    t.equal(take(questions, {}, { ...QUESTION, ...other }), undefined, what)
  t.ok(take(questions), 'none of these answers has used up the query')
})

t.test('the keys of different queries are never equal', async (t) => {
  const questions = new PendingQueries()
  const note = (port: number, question: Question) =>
    questions.note(packetOf(toResolver(NOTHING, { port })), question, 0, NOW)
  note(4000, { id: 11, type: A, name: 'x' })
  note(400, { id: 1, type: A, name: 'x' })
  note(4000, { id: 1, type: 11, name: 'x' })
  note(4000, { id: 1, type: 1, name: '1 x' })
  t.equal(questions.size, 4)
})

t.test('an answer later than 30 seconds is not believed', async (t) => {
  t.ok(take(waiting(), {}, QUESTION, NOW + 29_999))
  t.equal(take(waiting(), {}, QUESTION, NOW + 30_000), undefined)
  const questions = waiting()
  questions.expire(NOW + 30_000)
  t.equal(questions.size, 0)
})

t.test('a repeated query starts its time again, and has one answer', async (t) => {
  const questions = waiting()
  questions.note(packetOf(toResolver(NOTHING)), QUESTION, 42, NOW + 20_000)
  t.equal(questions.size, 1)
  t.ok(take(questions, {}, QUESTION, NOW + 40_000))
  t.equal(take(questions, {}, QUESTION, NOW + 40_000), undefined)
})

t.test('a user with endless queries evicts only own queries', async (t) => {
  const questions = waiting()
  for (let id = 0; id < 5000; id++)
    questions.note(packetOf(toResolver(NOTHING, { port: 50_000 })), { ...QUESTION, id }, 33, NOW)
  t.equal(questions.size, 513)
  t.equal(take(questions)?.uid, 42)
  t.equal(
    take(questions, { port: 50_000 }, { ...QUESTION, id: 4999 })?.uid,
    33,
    'the newest queries are kept',
  )
  t.equal(take(questions, { port: 50_000 }, { ...QUESTION, id: 0 }), undefined)
})
