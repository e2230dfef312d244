import {
  HELD,
  NF_ACCEPT,
  NF_DROP,
  NF_REPEAT,
  type Queue,
  QueuedPacket,
  type Verdict,
} from 'node-netfilter-queue'
import t, { type Test } from 'tap'
import type { Question } from '../../src/core/dns/question.js'
import { ResolvedNames } from '../../src/core/dns/resolved-names.js'
import { decode, Packet } from '../../src/core/packet/packet.js'
import { type Decision, MALFORMED, NAME_NOT_ALLOWED, SESSION } from '../../src/core/policy/policy.js'
import type { Asker } from '../../src/names/confirmations.js'
import { type AnswerContent, TTL_AT_MOST } from '../../src/names/dns/answer-reader.js'
import { DnsWatch, type DnsWatchOptions } from '../../src/packet-path/dns-watch.js'
import { words } from '../core/packets.js'
import { seededRandom } from '../core/random.js'
import { many, textOf } from '../names/addresses.js'
import { Clock, settled } from '../names/clock.js'
import {
  A,
  AAAA,
  type Asked,
  a,
  asked,
  cname,
  framed,
  query,
  response,
  SRV,
  srv,
} from '../names/dns/answers.js'
import { fromResolver, RESOLVER6, toResolver, type Way } from '../names/dns/traffic.js'

/** The numbers of the two queues. */
const QUESTIONS = 'questions'
const ANSWERS = 'answers'
type QueueName = typeof QUESTIONS | typeof ANSWERS
const MASK = 0x3f000000
/** Bits of a mark that other programs have set, and those that the ruleset has set. */
const FOREIGN = 0xc0abcdef
const OURS = 0x22000000
const NAME = 'mirror.example.org'
const SERVICE = '_http._tcp.mirror.example.org'
const ROOT = 0
const WWW_DATA = 33
const BUDGET = 2000

/** Returns learned addresses as text. */
interface Lesson {
  readonly name: string
  readonly hosts: readonly string[]
  readonly asker: Asker
}

/** Makes a promise that the test settles. */
function promised() {
  let settle = { resolve: () => {}, reject: () => {} }
  const promise = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject: () => reject(new Error('no')) }
  })
  return { promise, ...settle }
}

/** Makes a DnsWatch with a queue and a valve that the test plays. */
function watching(t: Test, options: Partial<DnsWatchOptions> = {}) {
  const clock = Clock.install(t)
  const valve = fakeValve()
  const state = {
    clock,
    valve,
    stats: { learned: 0, held: 0, missed: 0 },
    faults: [] as unknown[],
    lessons: [] as Lesson[],
    /** What an answer has to wait for. */
    wait: (_question: Question, _reading: AnswerContent): Promise<void> | undefined => undefined,
    seen: new ResolvedNames(10, 100),
    budget: BUDGET,
    released: [] as { id: number; verdict: Verdict; mark: number | undefined }[],
    watch: undefined as unknown as DnsWatch,
  }
  state.watch = new DnsWatch({
    form: 'native',
    mask: MASK,
    valve,
    learned: {
      isOfInterest: ({ name }) => name.endsWith('.example.org'),
      learn: (question, reading, asker) => {
        state.lessons.push({ name: question.name, hosts: reading.hosts.map(textOf), asker })
        return state.wait(question, reading)
      },
    },
    isTrusted: (uid) => uid === ROOT,
    seen: state.seen,
    budget: () => state.budget,
    stats: state.stats,
    onFault: (error) => state.faults.push(error),
    ...options,
  })
  const release = (id: number, verdict: Verdict, mark?: number) => {
    state.released.push({ id, verdict, mark })
    return true
  }
  state.watch.attach({ release } as unknown as Queue)
  return Object.assign(state, courier(state.watch))
}

/** Plays a valve that accepts everything but what the test blocks. */
function fakeValve() {
  const packet = new Packet()
  const sender = { uid: -1, known: false, isReply: false, device: 0, isOf: () => false }
  const valve = {
    pass: NF_ACCEPT as Verdict,
    packet,
    sender,
    judged: [] as { single: boolean }[],
    refuses: false,
    judge: (queued: QueuedPacket, single: boolean): Decision => {
      valve.judged.push({ single })
      sender.uid = queued.uid
      const problem = decode(queued.bytes, queued.start, queued.end, queued.length, packet)
      if (problem !== undefined) return MALFORMED
      return valve.refuses ? NAME_NOT_ALLOWED : SESSION
    },
  }
  return valve
}

/**
 * Delivers packets as the queue does: at some offset in a buffer that is used again, with the same handling
 * of exceptions.
 */
function courier(watch: DnsWatch) {
  let id = 0
  function deliver(bytes: Uint8Array, queue: QueueName, uid: number, mark = (FOREIGN | OURS) >>> 0) {
    const queued = new QueuedPacket()
    const slab = new Uint8Array(bytes.length + 200).fill(0xee)
    slab.set(bytes, 100)
    Object.assign(queued, { id: ++id, uid, mark, bytes: slab, start: 100 })
    Object.assign(queued, { end: 100 + bytes.length, length: bytes.length })
    let verdict: Verdict | typeof HELD
    try {
      verdict = queue === QUESTIONS ? watch.onQuestion(queued) : watch.onAnswer(queued)
    } catch (error) {
      queued.mark = mark
      verdict = watch.onAnswerError(error, queued)
    }
    slab.fill(0xdd)
    return { id, verdict, mark: queued.mark }
  }
  const framing = (message: Uint8Array, { protocol }: Way) => (protocol === 'tcp' ? framed(message) : message)
  return {
    deliver,
    ask: (of: Asked, { uid = ROOT, ...way }: Way & { uid?: number } = {}) =>
      deliver(toResolver(framing(query(of), way), way), QUESTIONS, uid),
    answer: (message: Uint8Array, way: Way = {}) =>
      deliver(fromResolver(framing(message, way), way), ANSWERS, -1),
  }
}

const QUESTION = asked(NAME)
const ANSWER = response(QUESTION, [a(NAME, '198.51.100.1')])
const LESSON: Lesson = {
  name: NAME,
  hosts: ['198.51.100.1'],
  asker: { uid: ROOT, trusted: true, isForgeable: true },
}
const PASSED = { verdict: NF_ACCEPT, mark: FOREIGN }

t.test('the addresses of an answer are learned, and the answer goes on', async (t) => {
  const its = watching(t)
  its.ask(QUESTION)
  t.match(its.answer(ANSWER), PASSED)
  t.same([its.lessons, its.stats], [[LESSON], { learned: 1, held: 0, missed: 0 }])
})

t.test('answers are learned in each family, by each protocol', async (t) => {
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

t.test('a query in capitals may be answered in capitals or not', async (t) => {
  const its = watching(t)
  for (const name of ['MIRROR.example.ORG', NAME, 'mIrRoR.eXaMpLe.OrG']) {
    its.ask(asked('Mirror.Example.Org'))
    its.answer(response(asked(name), [a(name, '198.51.100.1')]))
  }
  t.same(its.lessons, [LESSON, LESSON, LESSON])
})

t.test('a query goes on with the verdict of the valve, which gets it as a single packet', async (t) => {
  const its = watching(t)
  t.match(its.ask(QUESTION), { verdict: NF_ACCEPT })
  t.same(its.valve.judged, [{ single: true }])
  its.valve.pass = NF_REPEAT
  t.match(its.ask(QUESTION), { verdict: NF_REPEAT })
})

t.test('the name of an address is remembered, whether a rule has the name or not', async (t) => {
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
  t.equal(nameOf('203.0.113.9', ROOT), undefined, 'for others it is nothing')
  t.same(its.lessons, [LESSON], 'and nothing is learned of the other')
  t.same(its.stats, { learned: 1, held: 0, missed: 0 })
})

t.test('an answer without a query gives an address no name', async (t) => {
  const its = watching(t)
  its.answer(response(asked('elsewhere.example.net'), [a('elsewhere.example.net', '203.0.113.9')]))
  t.same(its.seen.askers, [])
})

t.test('nothing is learned from an answer without a query, and it goes on', async (t) => {
  const its = watching(t)
  t.match(its.answer(ANSWER), PASSED)
  t.same([its.lessons, its.stats.learned], [[], 0])
})

t.test(
  'an answer is learned only when all of it fits the query; the right one is learned even after wrong ones',
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

t.test('an answer is believed within 30 seconds of its query', async (t) => {
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

t.test('answers to blocked queries and to names of no rule are not learned', async (t) => {
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

t.test('an answer is learned with the user who asked, and with whether this user is trusted', async (t) => {
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

t.test('a user with endless queries does not keep the answers to other users from being read', async (t) => {
  const its = watching(t)
  its.ask(QUESTION)
  for (let id = 0; id < 3000; id++)
    its.ask(asked(`n${id}.example.org`, A, id), { uid: WWW_DATA, port: 1024 + id })
  its.answer(ANSWER)
  t.same(its.lessons, [LESSON])
})

t.test('an answer that has to wait is held, and released once after the wait', async (t) => {
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

t.test('a wait that fails ends, too', async (t) => {
  const its = watching(t)
  const wait = promised()
  its.wait = () => wait.promise
  its.ask(QUESTION)
  its.answer(ANSWER)
  wait.reject()
  await settled()
  t.same([its.released.length, its.stats.missed], [1, 0])
})

t.test('when its time is over, a held answer goes on and is counted; it is not released twice', async (t) => {
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

t.test('all held answers can be released at once, as when the service stops', async (t) => {
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

t.test('at most 1024 answers are held; further ones go on at once, and are learned as well', async (t) => {
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
  t.equal(its.answer(ANSWER).verdict, HELD, 'and then there is room again')
})

t.test('a wait that fails for an answer that is not held is no unhandled rejection', async (t) => {
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

t.test('a segment of several answers waits for all of them', async (t) => {
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

t.test('of an answer in several TCP segments, the last segment is held', async (t) => {
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

t.test('an answer at the wrong place of a TCP stream goes on, and is not learned', async (t) => {
  const its = watching(t)
  const way = { protocol: 'tcp' } as const
  its.ask(QUESTION, { ...way, acknowledged: 100 })
  t.match(its.answer(ANSWER, { ...way, sequence: 101 }), PASSED)
  t.same(its.lessons, [])
  t.match(its.answer(ANSWER, { ...way, sequence: 100 }), PASSED)
  t.equal(its.lessons.length, 1)
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

t.test(
  'bits of the mark that other programs have set stay, in answers that go on and in held ones',
  async (t) => {
    const its = watching(t, { form: 'xtables' })
    const mark = (bytes: Uint8Array, written: number) => its.deliver(bytes, ANSWERS, -1, written)
    for (const foreign of [0, 1, 0x80000000, 0xc0ffffff, FOREIGN]) {
      const written = (foreign | OURS) >>> 0
      t.match(mark(fromResolver(ANSWER), written), { mark: foreign, verdict: NF_REPEAT })
      t.match(mark(Uint8Array.of(1, 2, 3), written), { mark: foreign, verdict: NF_REPEAT }, 'malformed')
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

t.test('after a fault of the program the answer goes on, and the fault is reported', async (t) => {
  const its = watching(t)
  its.wait = () => {
    throw new Error('a fault')
  }
  its.ask(QUESTION)
  t.match(its.answer(ANSWER), PASSED)
  t.match(its.faults, [{ message: 'a fault' }])
})

t.test('packets of other protocols, empty ones and truncated ones go on', async (t) => {
  const its = watching(t)
  its.ask(QUESTION)
  const whole = fromResolver(ANSWER)
  for (let length = 0; length < whole.length; length++) {
    const { verdict, mark } = its.deliver(whole.subarray(0, length), ANSWERS, -1)
    if (verdict !== NF_ACCEPT || mark !== FOREIGN) t.fail(`${length} bytes`)
  }
  t.match(its.answer(new Uint8Array()), PASSED)
  t.same(its.lessons, [])
})

t.test('every packet goes on once: none is dropped, and nothing is thrown', async (t) => {
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
    else if (verdict !== NF_ACCEPT) t.fail(`round ${round}: ${verdict}`)
    if (round % 500 === 0) await settled()
  }
  await its.clock.pass(BUDGET)
  t.same(new Set(its.released.map(({ id }) => id)), held)
  t.equal(its.released.length, held.size)
  t.ok(its.released.every(({ verdict }) => verdict !== NF_DROP))
  t.same(its.faults, [])
  t.ok(its.lessons.length > 100, `${its.lessons.length} lessons, ${held.size} held`)
})
