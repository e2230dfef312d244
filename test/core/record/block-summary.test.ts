import t, { type Test } from 'tap'
import { IPPROTO_TCP, IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import { Packet } from '../../../src/core/packet/packet.js'
import type { SenderDetails, SenderLookup } from '../../../src/core/packet/sender.js'
import { compile, type Decision, MALFORMED, NOT_ALLOWLISTED } from '../../../src/core/policy/policy.js'
import { BlockAggregator, type PendingEvent } from '../../../src/core/record/block-summary.js'
import type { RecordLimits } from '../../../src/core/record/user-shares.js'
import { words } from '../packets.js'
import { seededRandom } from '../random.js'

const SEED = Uint32Array.of(0x01234567, 0x89abcdef)
/** A user has two kinds, two lines of each sort at once, and one in four seconds. */
const SMALL: RecordLimits = { groups: 8, lines: 8, linesPerSecond: 1, users: 3 }
const ROOMY: RecordLimits = { groups: 128, lines: 128, linesPerSecond: 1, users: 8 }
const SECOND = 1000
const MINUTE = 60 * SECOND
const NO_NAMES = { question: undefined, domain: undefined }

function packet(given: { to?: string; port?: number; from?: number; protocol?: number } = {}): Packet {
  const made = new Packet()
  const to = given.to ?? '198.51.100.2'
  made.family = to.includes(':') ? 6 : 4
  made.protocol = given.protocol ?? IPPROTO_TCP
  made.source.set(words(made.family === 6 ? '2001:db8::1' : '192.0.2.1'))
  made.sourcePort = given.from ?? 40000
  made.destination.set(words(to))
  made.destinationPort = given.port ?? 443
  return made
}

const at = (place: number, who: SenderDetails = { attribution: 'found' }): SenderLookup => ({
  place,
  describe: () => who,
})
const ANYWHERE = at(2)

/** A log of kinds, a clock, and what was told so far, as `uid:port first` or `uid:port*repeats after s`. */
function watched(limits = ROOMY) {
  const kinds = new BlockAggregator(limits, SEED, 0, () => NO_NAMES)
  const told: string[] = []
  let now = 0
  const listen = () => {
    for (const telling of kinds.take()) told.push(textOf(telling, now))
  }
  /** Lets time go by, a second at a time. */
  const pass = (ms: number) => {
    for (const end = now + ms; now < end; ) {
      now += SECOND
      kinds.tick(now)
      listen()
    }
  }
  const note = (port: number, uid = 33, times = 1) => {
    for (let i = 0; i < times; i++) kinds.note(packet({ port }), uid, NOT_ALLOWLISTED, ANYWHERE)
    listen()
  }
  /** What was told since the last time. */
  const news = () => told.splice(0)
  return { kinds, note, pass, news, now: () => now }
}

function textOf(telling: PendingEvent, now: number): string {
  if (telling.type === 'suppressed') return `${telling.uid} suppressed*${telling.blocks} @${now / SECOND}`
  const { uid, destinationPort } = telling.group
  return `${uid}:${destinationPort} ${telling.type === 'first' ? 'first' : `*${telling.blocks} @${now / SECOND}`}`
}

t.test('the first block of a kind is told at once, the next ones are summed', async (t) => {
  const kinds = new BlockAggregator(ROOMY, SEED, 0, () => NO_NAMES)
  kinds.note(packet(), 33, NOT_ALLOWLISTED, ANYWHERE)
  kinds.note(packet({ from: 40001 }), 33, NOT_ALLOWLISTED, ANYWHERE)
  const [telling, ...more] = kinds.take()
  t.match(telling, {
    type: 'first',
    blocks: 1,
    group: {
      uid: 33,
      place: 2,
      family: 4,
      protocol: 6,
      sourcePort: 40000,
      destinationPort: 443,
      reasonIndex: NOT_ALLOWLISTED.reasonIndex,
      rule: undefined,
    },
  })
  t.same(more, [], 'the source port makes no kind')
  t.same(kinds.take(), [])
  t.match(kinds, { logged: 1, summarized: 1, suppressed: 0 })
})

t.test('user, place, address, port, protocol, family and reason each make a kind of their own', async (t) => {
  const kinds = new BlockAggregator(ROOMY, SEED, 0, () => NO_NAMES)
  const differing: [Packet, number, Decision, number][] = [
    [packet(), 33, NOT_ALLOWLISTED, 2],
    [packet(), 34, NOT_ALLOWLISTED, 2],
    [packet(), -1, NOT_ALLOWLISTED, 2],
    [packet(), 33, NOT_ALLOWLISTED, 0],
    [packet(), 33, NOT_ALLOWLISTED, 70_000],
    [packet(), 33, MALFORMED, 2],
    [packet({ port: 444 }), 33, NOT_ALLOWLISTED, 2],
    [packet({ protocol: IPPROTO_UDP }), 33, NOT_ALLOWLISTED, 2],
    [packet({ to: '198.51.100.3' }), 33, NOT_ALLOWLISTED, 2],
    [packet({ to: '2001:db8::2' }), 33, NOT_ALLOWLISTED, 2],
    [packet({ to: '2001:db9::2' }), 33, NOT_ALLOWLISTED, 2],
    [packet({ to: '2001:db8:1::2' }), 33, NOT_ALLOWLISTED, 2],
    [packet({ to: '2001:db8::1:0:2' }), 33, NOT_ALLOWLISTED, 2],
    [packet({ to: '2001:db8::3' }), 33, NOT_ALLOWLISTED, 2],
    // The same first word as 198.51.100.2, in the other family.
    [packet({ to: 'c633:6402::' }), 33, NOT_ALLOWLISTED, 2],
  ]
  const noteAll = () => {
    for (const [each, uid, decision, place] of differing) kinds.note(each, uid, decision, at(place))
    return kinds.take().length
  }
  t.equal(noteAll(), differing.length)
  t.equal(noteAll(), 0)
  t.match(kinds, { logged: differing.length, summarized: differing.length, suppressed: 0 })
})

t.test('a kind keeps its own copy of the addresses: the packet is written over', async (t) => {
  const kinds = new BlockAggregator(ROOMY, SEED, 0, () => NO_NAMES)
  const reused = packet()
  kinds.note(reused, 33, NOT_ALLOWLISTED, ANYWHERE)
  reused.destination.fill(0)
  reused.source.fill(0)
  const [telling] = kinds.take()
  t.match(telling, {
    group: { source: words('192.0.2.1'), destination: words('198.51.100.2') },
  })
})

t.test('who it was and which names it had is found out for the first of a kind only', async (t) => {
  const asked: string[] = []
  const kinds = new BlockAggregator(ROOMY, SEED, 0, ({ sourcePort }, { reason }) => {
    asked.push(`names of ${sourcePort} ${reason}`)
    return { question: `${sourcePort}.example.org`, domain: 'example.com' }
  })
  const sender = (pid: number): SenderLookup => ({
    get place() {
      asked.push(`place of ${pid}`)
      return 7
    },
    describe: () => {
      asked.push(`who is ${pid}`)
      return { attribution: 'found', pid }
    },
  })
  kinds.note(packet({ from: 1 }), 33, NOT_ALLOWLISTED, sender(1))
  kinds.note(packet({ from: 2 }), 33, NOT_ALLOWLISTED, sender(2))
  t.same(asked, ['place of 1', 'names of 1 not-allowlisted', 'who is 1', 'place of 2'])
  t.match(kinds.take(), [
    { group: { names: { question: '1.example.org', domain: 'example.com' }, who: { pid: 1 } } },
  ])
})

t.test('the rule that has decided is kept by its name', async (t) => {
  const rule = compile({
    reason: 'rule',
    name: 'closed',
    protocol: 'any',
    ports: [],
    prefixes: [],
    names: [],
    domains: [],
  })
  const kinds = new BlockAggregator(ROOMY, SEED, 0, () => NO_NAMES)
  kinds.note(packet(), 33, { ...NOT_ALLOWLISTED, rule }, ANYWHERE)
  t.match(kinds.take(), [{ group: { rule: 'closed' } }])
})

t.test('where the sender cannot be looked for because of a fault, nothing is counted yet', async (t) => {
  const kinds = new BlockAggregator(ROOMY, SEED, 0, () => NO_NAMES)
  const fault = () => {
    throw new Error('a fault')
  }
  t.throws(() => kinds.note(packet(), 33, NOT_ALLOWLISTED, { place: 2, describe: fault }))
  t.match(kinds, { logged: 0, summarized: 0, suppressed: 0 })
  kinds.note(packet(), 33, NOT_ALLOWLISTED, ANYWHERE)
  t.match(kinds.take(), [{ type: 'first' }])
})

t.test('what goes on is told after 30 s, 1 min, 2, 4, 8, and then each 15 min', async (t) => {
  const { note, pass, news } = watched()
  note(1)
  for (let second = 0; second < 60 * 60; second++) {
    note(1)
    pass(SECOND)
  }
  const ends = [30, 90, 210, 450, 930, 1830, 2730]
  const lengths = [30, 60, 120, 240, 480, 900, 900]
  t.same(news(), ['33:1 first', ...ends.map((end, i) => `33:1 *${lengths[i]} @${end}`)])
})

t.test(
  'a kind that was not repeated in its window is forgotten without a word: then it is news again',
  async (t) => {
    const { note, pass, news } = watched()
    note(1)
    note(2, 33, 3)
    pass(30 * SECOND)
    t.same(news(), ['33:1 first', '33:2 first', '33:2 *2 @30'])
    note(1)
    note(2)
    t.same(news(), ['33:1 first'], 'of the other one it is known that it goes on')
    pass(MINUTE)
    t.same(news(), ['33:2 *1 @90'])
    pass(10 * MINUTE)
    note(2)
    t.same(news(), ['33:2 first'])
  },
)

t.test('a flood of one user takes a quarter of everything; what others do is told at once', async (t) => {
  const { kinds, note, news } = watched({ ...SMALL, groups: 512, lines: 512 })
  for (let port = 1; port <= 1000; port++) note(port)
  t.equal(news().length, 128)
  t.match(kinds, { logged: 128, summarized: 0, suppressed: 872 })
  for (const uid of [34, -1, 0]) {
    note(1, uid)
    t.same(news(), [`${uid}:1 first`])
  }
})

t.test('in a flood that goes on, a new kind is told every four seconds, and sums of the rest', async (t) => {
  const { note, pass, news } = watched(SMALL)
  let port = 0
  for (let second = 0; second < 90; second++) {
    for (let i = 0; i < 100; i++) note(++port)
    pass(SECOND)
  }
  const told = news()
  const firsts = told.filter((each) => each.endsWith('first')).length
  t.equal(firsts, 2 + 22)
  t.same(
    told.filter((each) => each.includes('suppressed')).map((each) => each.replace(/\*\d+/, '')),
    ['33 suppressed @30', '33 suppressed @90'],
  )
})

t.test('what had no place is told by user, in windows that grow as those of kinds do', async (t) => {
  const { note, pass, news } = watched(SMALL)
  for (const uid of [33, 34]) for (let port = 1; port <= 12; port++) note(port, uid)
  news()
  pass(30 * SECOND)
  t.same(news(), ['33 suppressed*10 @30', '34 suppressed*10 @30'])
  for (let port = 20; port < 30; port++) note(port)
  pass(59 * SECOND)
  t.notOk(
    news().some((each) => each.includes('suppressed')),
    'not a second before the end of its window',
  )
  pass(SECOND)
  t.same(news(), ['33 suppressed*8 @90'], 'two of them had lines again, and who is quiet is not told of')
})

t.test('users beyond those with a share of their own have one together', async (t) => {
  const { kinds, note, pass, news } = watched({ ...SMALL, groups: 64, lines: 64, users: 2 })
  for (const uid of [1, 2, 3, 4, 5]) for (let port = 1; port <= 20; port++) note(port, uid)
  t.match(kinds, { logged: 16 * 3, suppressed: 4 + 4 + 44 })
  news()
  pass(30 * SECOND)
  t.same(news(), ['1 suppressed*4 @30', '2 suppressed*4 @30', 'undefined suppressed*44 @30'])
  pass(10 * MINUTE)
  note(1, 5)
  for (let port = 1; port <= 20; port++) note(port, 6)
  pass(MINUTE)
  t.ok(news().includes('6 suppressed*4 @660'), 'who is quiet gives the share to others')
})

t.test('of a user who has used up the share, the kind gives way that is repeated least', async (t) => {
  const { note, pass, news } = watched(SMALL)
  note(1, 33, 5)
  note(2, 33, 3)
  pass(4 * SECOND)
  t.same(news(), ['33:1 first', '33:2 first'])
  note(3)
  t.same(news(), ['33:2 *2 @4', '33:3 first'], 'no repeat of it is lost')
  note(1)
  t.same(news(), [], 'the other one is still known')
  pass(4 * SECOND)
  note(4)
  t.same(news(), ['33:4 first'], 'and one without repeats goes without a word')
})

t.test('however many kinds give way to each other, those that are left stay known', async (t) => {
  const { kinds, note } = watched({ ...SMALL, groups: 64, lines: 4096 })
  for (let port = 1; port <= 15; port++) note(port, 33, 3)
  for (let port = 1000; port < 2000; port++) note(port, 33, 2)
  t.match(kinds, { logged: 1015, summarized: 1030, suppressed: 0 }, 'each new one is known at once')
  for (let port = 1; port <= 15; port++) note(port)
  t.match(kinds, { logged: 1015, summarized: 1045, suppressed: 0 })
})

t.test('where all kinds are taken, the user with the most of them gives way', async (t) => {
  const { note, pass, news } = watched({ ...SMALL, lines: 64, users: 8 })
  for (const uid of [1, 2, 3, 4]) for (const port of [1, 2]) note(port, uid)
  news()
  note(1, -1)
  t.same(news(), ['-1:1 first'])
  note(2, 1)
  note(1, 1)
  t.same(
    news(),
    ['1:1 first'],
    'of the first of them the oldest had to go, and came back in place of another',
  )
  note(2, 2)
  note(1, 2)
  t.same(news(), ['2:1 first'])
  pass(30 * SECOND)
  t.same(news(), ['1:2 *1 @30', '2:2 *1 @30'])
})

t.test('a sum for which there is no line left waits, and grows', async (t) => {
  // Lines for sums: two at once, one in four seconds.
  const { kinds, note, pass, news } = watched({ ...SMALL, groups: 64, lines: 8 })
  for (const port of [1, 2]) note(port, 33, 2)
  pass(8 * SECOND)
  for (const port of [3, 4]) note(port, 33, 2)
  pass(8 * SECOND)
  for (const port of [5, 6]) note(port, 33, 2)
  t.match(kinds, { logged: 6, summarized: 6, suppressed: 0 })
  news()
  pass(13 * SECOND)
  t.same(news(), [])
  pass(SECOND)
  t.same(news(), ['33:1 *1 @30', '33:2 *1 @30'])
  pass(8 * SECOND)
  note(4)
  t.same(news(), ['33:3 *1 @38', '33:4 *1 @38'], 'in between there were lines for two')
  pass(8 * SECOND)
  t.same(news(), ['33:5 *1 @46', '33:6 *1 @46'])
})

t.test('at the end everything is told, and all is news afterwards', async (t) => {
  const { kinds, note, pass, news } = watched(SMALL)
  note(1, 33, 3)
  note(2)
  note(3, 33, 4)
  pass(5 * SECOND)
  news()
  kinds.end()
  pass(0)
  t.same(
    kinds.take().map((telling) => textOf(telling, 0)),
    ['33:1 *2 @0', '33 suppressed*4 @0'],
  )
  note(1)
  t.same(news(), ['33:1 first'])
  kinds.end()
  t.same(kinds.take(), [])
})

/** Notes random blocks of random users, and lets random times go by. @returns the sum of what was told */
function random(t: Test, seed: number, blocks: number): number {
  const random = seededRandom(seed)
  const limits = { groups: 8 + random(24), lines: 8 + random(24), linesPerSecond: 1, users: 1 + random(4) }
  const kinds = new BlockAggregator(limits, SEED, 0, () => NO_NAMES)
  let told = 0
  let now = 0
  let exact = true
  const listen = () => {
    for (const telling of kinds.take()) told += telling.blocks
  }
  for (let i = 1; i <= blocks; i++) {
    kinds.note(packet({ port: random(random(4) ? 4 : 90) }), random(6) - 1, NOT_ALLOWLISTED, at(random(2)))
    exact &&= kinds.logged + kinds.summarized + kinds.suppressed === i
    if (random(9) === 0) listen()
    if (random(5) === 0) {
      now += random(4000)
      kinds.tick(now)
    }
    if (random(1500) === 0) kinds.end()
  }
  t.ok(exact, 'at any moment')
  t.ok(kinds.logged > 0 && kinds.summarized > 0 && kinds.suppressed > 0, 'all three took part')
  kinds.end()
  listen()
  return told
}

t.test('no block is lost from the sum: what is told sums up to what was noted', async (t) => {
  for (let seed = 1; seed <= 20; seed++) t.equal(random(t, seed, 4000), 4000, `seed ${seed}`)
})
