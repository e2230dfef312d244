import t, { type Test } from 'tap'
import { IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import type { Packet } from '../../../src/core/packet/packet.js'
import type { SenderLookup } from '../../../src/core/packet/sender.js'
import { compile, MALFORMED, NAME_NOT_ALLOWED, NOT_ALLOWLISTED } from '../../../src/core/policy/policy.js'
import type { Decision } from '../../../src/core/policy/rule.js'
import { BlockAggregator } from '../../../src/core/record/block-summary.js'
import { words } from '../packets.js'
import { seededRandom } from '../random.js'
import { ANYWHERE, at, MINUTE, packet, ROOMY, SECOND, SEED, SMALL, textOf, watched } from './watching.js'

t.test('the first block of a group is an event at once, the next blocks are summarized', async (t) => {
  const aggregator = new BlockAggregator(ROOMY, SEED, 0, () => undefined)
  aggregator.note(packet(), 33, NOT_ALLOWLISTED, ANYWHERE)
  aggregator.note(packet({ from: 40001 }), 33, NOT_ALLOWLISTED, ANYWHERE)
  const [event, ...more] = aggregator.take()
  t.match(event, {
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
  t.same(more, [], 'the source port is no part of a group')
  t.same(aggregator.take(), [])
  t.match(aggregator, { logged: 1, summarized: 1, suppressed: 0 })
})

t.test(
  'blocks that differ in user, unit, address, port, protocol, family or reason are in different groups',
  async (t) => {
    const aggregator = new BlockAggregator(ROOMY, SEED, 0, () => undefined)
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
      // The address has the same first word as 198.51.100.2, in the other family.
      [packet({ to: 'c633:6402::' }), 33, NOT_ALLOWLISTED, 2],
    ]
    const noteAll = () => {
      for (const [each, uid, decision, place] of differing) aggregator.note(each, uid, decision, at(place))
      return aggregator.take().length
    }
    t.equal(noteAll(), differing.length)
    t.equal(noteAll(), 0)
    t.match(aggregator, { logged: differing.length, summarized: differing.length, suppressed: 0 })
  },
)

t.test('a group keeps its own copy of the addresses: the packet object is reused', async (t) => {
  const aggregator = new BlockAggregator(ROOMY, SEED, 0, () => undefined)
  const reused = packet()
  aggregator.note(reused, 33, NOT_ALLOWLISTED, ANYWHERE)
  reused.destination.fill(0)
  reused.source.fill(0)
  const [event] = aggregator.take()
  t.match(event, {
    group: { source: words('192.0.2.1'), destination: words('198.51.100.2') },
  })
})

t.test('the sender and the names are looked up only for the first block of a group', async (t) => {
  const asked: string[] = []
  const aggregator = new BlockAggregator(ROOMY, SEED, 0, ({ sourcePort }, uid) => {
    asked.push(`name of ${sourcePort} for ${uid}`)
    return 'example.com'
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
  aggregator.note(packet({ from: 1 }), 33, NOT_ALLOWLISTED, sender(1))
  aggregator.note(packet({ from: 2 }), 33, NOT_ALLOWLISTED, sender(2))
  t.same(asked, ['place of 1', 'name of 1 for 33', 'who is 1', 'place of 2'])
  t.match(aggregator.take(), [
    { group: { names: { question: undefined, domain: 'example.com' }, who: { pid: 1 } } },
  ])
})

t.test('queries for different names are different groups: no name hides behind another one', async (t) => {
  const aggregator = new BlockAggregator(ROOMY, SEED, 0, () => undefined)
  const ask = (name: string) => aggregator.note(packet(), 33, NAME_NOT_ALLOWED, ANYWHERE, name)
  for (const name of ['a.example', 'b.example', 'a.example', `${'x'.repeat(250)}.y`, `${'x'.repeat(250)}.z`])
    ask(name)
  t.same(
    aggregator.take().map((event) => event.type === 'first' && event.group.names.question?.slice(-9)),
    ['a.example', 'b.example', 'xxxxxxx.y', 'xxxxxxx.z'],
  )
  t.equal(aggregator.summarized, 1)
})

t.test('a group has the name of the rule that decided', async (t) => {
  const rule = compile({
    reason: 'rule',
    name: 'closed',
    protocol: 'any',
    ports: [],
    prefixes: [],
    names: [],
    domains: [],
  })
  const aggregator = new BlockAggregator(ROOMY, SEED, 0, () => undefined)
  aggregator.note(packet(), 33, { ...NOT_ALLOWLISTED, rule }, ANYWHERE)
  t.match(aggregator.take(), [{ group: { rule: 'closed' } }])
})

t.test('when the look-up of the sender throws, nothing is counted', async (t) => {
  const aggregator = new BlockAggregator(ROOMY, SEED, 0, () => undefined)
  const fault = () => {
    throw new Error('a fault')
  }
  t.throws(() => aggregator.note(packet(), 33, NOT_ALLOWLISTED, { place: 2, describe: fault }))
  t.match(aggregator, { logged: 0, summarized: 0, suppressed: 0 })
  aggregator.note(packet(), 33, NOT_ALLOWLISTED, ANYWHERE)
  t.match(aggregator.take(), [{ type: 'first' }])
})

t.test(
  'a group that continues is summarized after 30 s, 1 min, 2, 4, 8, and then every 15 min',
  async (t) => {
    const { note, pass, newEvents } = watched()
    note(1)
    for (let second = 0; second < 60 * 60; second++) {
      note(1)
      pass(SECOND)
    }
    const ends = [30, 90, 210, 450, 930, 1830, 2730]
    const lengths = [30, 60, 120, 240, 480, 900, 900]
    t.same(newEvents(), ['33:1 first', ...ends.map((end, i) => `33:1 *${lengths[i]} @${end}`)])
  },
)

t.test(
  'a group without a block in its window is removed without an event: its next block is a first block',
  async (t) => {
    const { note, pass, newEvents } = watched()
    note(1)
    note(2, 33, 3)
    pass(30 * SECOND)
    t.same(newEvents(), ['33:1 first', '33:2 first', '33:2 *2 @30'])
    note(1)
    note(2)
    t.same(newEvents(), ['33:1 first'], 'the other group is still tracked')
    pass(MINUTE)
    t.same(newEvents(), ['33:2 *1 @90'])
    pass(10 * MINUTE)
    note(2)
    t.same(newEvents(), ['33:2 first'])
  },
)

t.test(
  'a flood of one user takes a quarter of each limit; first blocks of other users are still events at once',
  async (t) => {
    const { aggregator, note, newEvents } = watched({ ...SMALL, groups: 512, lines: 512 })
    for (let port = 1; port <= 1000; port++) note(port)
    t.equal(newEvents().length, 128)
    t.match(aggregator, { logged: 128, summarized: 0, suppressed: 872 })
    for (const uid of [34, -1, 0]) {
      note(1, uid)
      t.same(newEvents(), [`${uid}:1 first`])
    }
  },
)

t.test(
  'during a long flood, one new group every four seconds has an event, and the rest is summarized',
  async (t) => {
    const { note, pass, newEvents } = watched(SMALL)
    let port = 0
    for (let second = 0; second < 90; second++) {
      for (let i = 0; i < 100; i++) note(++port)
      pass(SECOND)
    }
    const texts = newEvents()
    const firsts = texts.filter((each) => each.endsWith('first')).length
    t.equal(firsts, 2 + 22)
    t.same(
      texts.filter((each) => each.includes('suppressed')).map((each) => each.replace(/\*\d+/, '')),
      ['33 suppressed @30', '33 suppressed @90'],
    )
  },
)

t.test('a summary that has no line left waits, and counts further blocks', async (t) => {
  // The limits allow two lines for summaries at once, and one in four seconds.
  const { aggregator, note, pass, newEvents } = watched({ ...SMALL, groups: 64, lines: 8 })
  for (const port of [1, 2]) note(port, 33, 2)
  pass(8 * SECOND)
  for (const port of [3, 4]) note(port, 33, 2)
  pass(8 * SECOND)
  for (const port of [5, 6]) note(port, 33, 2)
  t.match(aggregator, { logged: 6, summarized: 6, suppressed: 0 })
  newEvents()
  pass(13 * SECOND)
  t.same(newEvents(), [])
  pass(SECOND)
  t.same(newEvents(), ['33:1 *1 @30', '33:2 *1 @30'])
  pass(8 * SECOND)
  note(4)
  t.same(newEvents(), ['33:3 *1 @38', '33:4 *1 @38'], 'lines for two summaries had become available')
  pass(8 * SECOND)
  t.same(newEvents(), ['33:5 *1 @46', '33:6 *1 @46'])
})

t.test('at the end all blocks are summarized, and every later block is a first block', async (t) => {
  const { aggregator, note, pass, newEvents } = watched(SMALL)
  note(1, 33, 3)
  note(2)
  note(3, 33, 4)
  pass(5 * SECOND)
  newEvents()
  aggregator.end()
  pass(0)
  t.same(
    aggregator.take().map((event) => textOf(event, 0)),
    ['33:1 *2 @0', '33 suppressed*4 @0'],
  )
  note(1)
  t.same(newEvents(), ['33:1 first'])
  aggregator.end()
  t.same(aggregator.take(), [])
})

/** Notes random blocks of random users at random times. @returns the sum over all events */
function random(t: Test, seed: number, blocks: number): number {
  const random = seededRandom(seed)
  const limits = { groups: 8 + random(24), lines: 8 + random(24), linesPerSecond: 1, users: 1 + random(4) }
  const aggregator = new BlockAggregator(limits, SEED, 0, () => undefined)
  let sum = 0
  let now = 0
  let exact = true
  const listen = () => {
    for (const event of aggregator.take()) sum += event.blocks
  }
  for (let i = 1; i <= blocks; i++) {
    aggregator.note(
      packet({ port: random(random(4) ? 4 : 90) }),
      random(6) - 1,
      NOT_ALLOWLISTED,
      at(random(2)),
    )
    exact &&= aggregator.logged + aggregator.summarized + aggregator.suppressed === i
    if (random(9) === 0) listen()
    if (random(5) === 0) {
      now += random(4000)
      aggregator.tick(now)
    }
    if (random(1500) === 0) aggregator.end()
  }
  t.ok(exact, 'the counters add up after every block')
  t.ok(
    aggregator.logged > 0 && aggregator.summarized > 0 && aggregator.suppressed > 0,
    'blocks were logged, summarized and suppressed',
  )
  aggregator.end()
  listen()
  return sum
}

t.test('no block is lost: all events together count the blocks that were noted', async (t) => {
  for (let seed = 1; seed <= 20; seed++) t.equal(random(t, seed, 4000), 4000, `the seed is ${seed}`)
})
