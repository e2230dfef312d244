import t from 'tap'
import { TTL_AT_MOST } from '../../../src/names/dns/answer-reader.js'
import { words } from '../../core/packets.js'
import { many } from '../../names/addresses.js'
import { A, AAAA, type Asked, a, asked, cname, query, response, SRV, srv } from '../../names/dns/answers.js'
import { RESOLVER6, type Way } from '../../names/dns/traffic.js'
import { ANSWER, type Lesson, NAME, PASSED, QUESTION, ROOT, watching } from './watching.js'

const SERVICE = '_http._tcp.mirror.example.org'
const WWW_DATA = 33
const LESSON: Lesson = {
  name: NAME,
  hosts: ['198.51.100.1'],
  asker: { uid: ROOT, trusted: true, isForgeable: true },
}

t.test('the addresses of an answer are learned, and the answer is accepted', async (t) => {
  const its = watching(t)
  its.ask(QUESTION)
  t.match(its.answer(ANSWER), PASSED)
  t.same([its.lessons, its.stats], [[LESSON], { learned: 1, held: 0, missed: 0 }])
})

t.test('answers are learned in both families, over UDP and TCP', async (t) => {
  for (const way of [
    { resolver: RESOLVER6 },
    { protocol: 'tcp' },
    { protocol: 'tcp', resolver: RESOLVER6 },
  ] as const) {
    const its = watching(t)
    its.ask(QUESTION, { ...way, acknowledged: 7 })
    t.match(its.answer(ANSWER, { ...way, sequence: 7 }), PASSED)
    const isForgeable = !('protocol' in way)
    t.same(its.lessons, [{ ...LESSON, asker: { ...LESSON.asker, isForgeable } }])
  }
})

t.test('slow answers to a user without trust take time from no other user, nor from updates', async (t) => {
  const its = watching(t)
  // Each look at the clock takes 40 ms, as if each answer took as long to read.
  let ms = performance.now()
  const now = () => {
    ms += 40
    return ms
  }
  const clock = t.intercept(performance, 'now', { value: now, configurable: true })
  const asks = (uid: number) => {
    its.ask(QUESTION, { uid })
    t.match(its.answer(ANSWER), PASSED)
    return its.lessons.filter(({ asker }) => asker.uid === uid).length
  }
  t.same(
    [asks(WWW_DATA), asks(WWW_DATA), asks(WWW_DATA)],
    [1, 1, 1],
    'what no time is left for goes on unread',
  )
  t.same([asks(ROOT), asks(ROOT)], [1, 2])
  clock.restore()
  its.ask(QUESTION, { uid: ROOT })
  its.answer(ANSWER)
  t.equal(its.lessons.length, 4)
})

t.test('a query in capitals is matched by an answer in upper or lower case', async (t) => {
  const its = watching(t)
  for (const name of ['MIRROR.example.ORG', NAME, 'mIrRoR.eXaMpLe.OrG']) {
    its.ask(asked('Mirror.Example.Org'))
    its.answer(response(asked(name), [a(name, '198.51.100.1')]))
  }
  t.same(its.lessons, [LESSON, LESSON, LESSON])
})

t.test('the name of an address is remembered, with or without a rule for the name', async (t) => {
  const its = watching(t)
  const other = asked('elsewhere.example.net')
  its.ask(QUESTION)
  its.ask(other, { uid: WWW_DATA })
  its.answer(ANSWER)
  t.match(its.answer(response(other, [a(other.name, '203.0.113.9')])), PASSED)
  const nameOf = (address: string, ...askers: number[]) =>
    its.seen.nameOf(4, words(address), askers, Date.now())
  t.equal(nameOf('198.51.100.1', ROOT), NAME)
  t.equal(nameOf('203.0.113.9', WWW_DATA), other.name)
  t.equal(nameOf('203.0.113.9', ROOT), undefined, 'another user has no name for the address')
  t.same(its.lessons, [LESSON], 'nothing is learned for a name without a rule')
  t.same(its.stats, { learned: 1, held: 0, missed: 0 })
})

t.test('an answer without a query gives its address no name', async (t) => {
  const its = watching(t)
  its.answer(response(asked('elsewhere.example.net'), [a('elsewhere.example.net', '203.0.113.9')]))
  t.same(its.seen.askers, [])
})

t.test('an answer without a query is accepted, and nothing is learned from it', async (t) => {
  const its = watching(t)
  t.match(its.answer(ANSWER), PASSED)
  t.same([its.lessons, its.stats.learned], [[], 0])
})

t.test(
  'an answer is learned only when every part fits the query; it is learned even after wrong answers',
  async (t) => {
    const its = watching(t)
    its.ask(QUESTION)
    const other = (of: Partial<Asked>) => {
      const question = { ...QUESTION, ...of }
      return response(question, [a(question.name, '198.51.100.66'), a(NAME, '198.51.100.66')])
    }
    const wrong: Record<string, readonly [Uint8Array, Way?]> = {
      'another resolver': [ANSWER, { resolver: '198.51.100.54' }],
      'another port': [ANSWER, { port: 40_001 }],
      'another protocol': [ANSWER, { protocol: 'tcp' }],
      'another number': [other({ id: 0x4321 })],
      'another type': [other({ type: AAAA })],
      'another name': [other({ name: 'other.example.org' })],
      'a name below': [other({ name: `x.${NAME}` })],
      'no question': [Buffer.concat([ANSWER.subarray(0, 4), Buffer.from([0, 0]), ANSWER.subarray(6)])],
      'a question': [query(QUESTION)],
    }
    for (const [what, [message, way]] of Object.entries(wrong)) {
      t.match(its.answer(message, way), PASSED, what)
      t.same(its.lessons, [], what)
    }
    its.answer(ANSWER)
    t.same(its.lessons, [LESSON])
  },
)

t.test('only the first answer to a query is believed', async (t) => {
  const its = watching(t)
  its.ask(QUESTION)
  its.answer(ANSWER)
  t.match(its.answer(response(QUESTION, [a(NAME, '198.51.100.66')])), PASSED)
  t.same(its.lessons, [LESSON])
})

t.test('an answer is believed only within 30 seconds of its query', async (t) => {
  const its = watching(t)
  its.ask(QUESTION)
  await its.clock.pass(29_999)
  its.answer(ANSWER)
  t.same(its.lessons, [LESSON])
  its.ask(QUESTION)
  await its.clock.pass(30_000)
  its.watch.expire(its.clock.now())
  t.match(its.answer(ANSWER), PASSED)
  t.equal(its.lessons.length, 1)
})

t.test('answers to blocked queries and for names without a rule are not learned', async (t) => {
  const its = watching(t)
  its.valve.refuses = true
  its.ask(QUESTION)
  its.answer(ANSWER)
  its.valve.refuses = false
  const elsewhere = asked('www.example.net')
  its.ask(elsewhere)
  its.answer(response(elsewhere, [a('www.example.net', '198.51.100.66')]))
  t.same(its.lessons, [])
})

t.test('nothing is learned from a failure, from aliases in a circle, or from too many aliases', async (t) => {
  const its = watching(t)
  for (const message of [
    response(QUESTION, [a(NAME, '198.51.100.1')], 2),
    response(QUESTION, []),
    response(QUESTION, [cname(NAME, NAME)]),
    response(
      QUESTION,
      many(65).map((text) => a(NAME, text)),
    ),
  ]) {
    its.ask(QUESTION)
    t.match(its.answer(message), PASSED)
  }
  t.same([its.lessons, its.stats.learned], [[], 0])
})

t.test('an answer is learned with the user who asked, and whether the user is trusted', async (t) => {
  const its = watching(t)
  for (const uid of [WWW_DATA, -1, ROOT]) {
    its.ask(QUESTION, { uid })
    its.answer(ANSWER)
  }
  t.same(
    its.lessons.map(({ asker }) => asker),
    [
      { uid: WWW_DATA, trusted: false, isForgeable: true },
      { uid: -1, trusted: false, isForgeable: true },
      { uid: ROOT, trusted: true, isForgeable: true },
    ],
  )
})

t.test('a user with endless queries does not prevent answers to other users from being read', async (t) => {
  const its = watching(t)
  its.ask(QUESTION)
  for (let id = 0; id < 3000; id++)
    its.ask(asked(`n${id}.example.org`, A, id), { uid: WWW_DATA, port: 1024 + id })
  its.answer(ANSWER)
  t.same(its.lessons, [LESSON])
})

t.test('SRV answers are learned with their targets', async (t) => {
  const its = watching(t)
  const targets: unknown[] = []
  its.wait = (_, reading) => void targets.push(...reading.targets)
  const of = asked(SERVICE, SRV)
  its.ask(of)
  its.answer(response(of, [srv(SERVICE, 'a.example.org', 8080, 0xffffffff)]))
  t.same(targets, [{ name: 'a.example.org', port: 8080 }])
})

t.test('the TTL of an answer is limited to a day', async (t) => {
  const its = watching(t)
  const ttls: number[] = []
  its.wait = (_, { ttl }) => void ttls.push(ttl)
  its.ask(QUESTION)
  its.answer(response(QUESTION, [a(NAME, '198.51.100.1', 0xffffffff)]))
  t.same(ttls, [TTL_AT_MOST])
})
