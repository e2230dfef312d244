import t from 'tap'
import { BlockKinds, type Kind } from '../../src/core/kinds.js'
import { Packet } from '../../src/core/packet.js'
import { IPPROTO_TCP, IPPROTO_UDP } from '../../src/core/types.js'
import { words } from './packets.js'
import { seededRandom } from './random.js'

const SEED = Uint32Array.of(0x01234567, 0x89abcdef)
const REASON = 8

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

/** Ends the window. What was told, as `uid:port*repeats`, and what was suppressed. */
function turn(kinds: BlockKinds): { told: string[]; suppressed: number } {
  const told: string[] = []
  const suppressed = kinds.turn((kind) => told.push(`${kind.uid}:${kind.destinationPort}*${kind.repeats}`))
  return { told, suppressed }
}

t.test('the first block of a kind is fresh once, the next ones are repeats', async (t) => {
  const kinds = new BlockKinds(4, SEED)
  t.equal(kinds.note(packet(), 33, REASON), 'first')
  t.equal(kinds.note(packet({ from: 40001 }), 33, REASON), 'repeat', 'the source port makes no kind')
  const fresh = kinds.takeFresh()
  t.equal(fresh.length, 1)
  t.match(fresh[0], {
    uid: 33,
    family: 4,
    protocol: 6,
    sourcePort: 40000,
    destinationPort: 443,
    reasonIndex: REASON,
  })
  t.same(kinds.takeFresh(), [])
})

t.test('user, address, port, protocol, family and reason each make a kind of their own', async (t) => {
  const kinds = new BlockKinds(32, SEED)
  const differing: [Packet, number, number][] = [
    [packet(), 33, REASON],
    [packet(), 34, REASON],
    [packet(), -1, REASON],
    [packet(), 33, 0],
    [packet({ port: 444 }), 33, REASON],
    [packet({ protocol: IPPROTO_UDP }), 33, REASON],
    [packet({ to: '198.51.100.3' }), 33, REASON],
    [packet({ to: '2001:db8::2' }), 33, REASON],
    [packet({ to: '2001:db9::2' }), 33, REASON],
    [packet({ to: '2001:db8:1::2' }), 33, REASON],
    [packet({ to: '2001:db8::1:0:2' }), 33, REASON],
    [packet({ to: '2001:db8::3' }), 33, REASON],
    // The same first word as 198.51.100.2, in the other family.
    [packet({ to: 'c633:6402::' }), 33, REASON],
  ]
  for (const [each, uid, reason] of differing) t.equal(kinds.note(each, uid, reason), 'first')
  for (const [each, uid, reason] of differing) t.equal(kinds.note(each, uid, reason), 'repeat')
})

t.test('a kind keeps its own copy of the addresses: the packet is written over', async (t) => {
  const kinds = new BlockKinds(4, SEED)
  const reused = packet()
  kinds.note(reused, 33, REASON)
  reused.destination.fill(0)
  reused.source.fill(0)
  const [kind] = kinds.takeFresh()
  t.same([...kind!.destination], [...words('198.51.100.2')])
  t.same([...kind!.source], [...words('192.0.2.1')])
})

t.test('kinds beyond the capacity are only counted; known ones go on being summed', async (t) => {
  const kinds = new BlockKinds(2, SEED)
  kinds.note(packet({ port: 1 }), 33, REASON)
  kinds.note(packet({ port: 2 }), 33, REASON)
  t.equal(kinds.note(packet({ port: 3 }), 33, REASON), 'suppressed')
  t.equal(kinds.note(packet({ port: 3 }), 33, REASON), 'suppressed')
  t.equal(kinds.note(packet({ port: 1 }), 33, REASON), 'repeat')
  t.equal(kinds.suppressed, 2)
  t.equal(kinds.takeFresh().length, 2)
  t.same(turn(kinds), { told: ['33:1*1'], suppressed: 2 })
  t.equal(kinds.suppressed, 0)
})

t.test(
  'a window tells the repeats of each kind; repeated kinds stay known, the others are forgotten',
  async (t) => {
    const kinds = new BlockKinds(4, SEED)
    for (const port of [1, 2, 2, 2, 3, 3]) kinds.note(packet({ port }), 33, REASON)
    t.same(turn(kinds), { told: ['33:2*2', '33:3*1'], suppressed: 0 })
    t.equal(kinds.note(packet({ port: 2 }), 33, REASON), 'repeat', 'what goes on is told once a window')
    t.equal(kinds.note(packet({ port: 1 }), 33, REASON), 'first', 'what had stopped is news again')
    t.same(turn(kinds).told, ['33:2*1'])
    t.same(turn(kinds), { told: [], suppressed: 0 }, 'a quiet window says nothing')
    t.equal(kinds.note(packet({ port: 2 }), 33, REASON), 'first')
  },
)

t.test('a window makes room for new kinds', async (t) => {
  const kinds = new BlockKinds(2, SEED)
  for (const port of [1, 2, 3]) kinds.note(packet({ port }), 33, REASON)
  turn(kinds)
  t.equal(kinds.note(packet({ port: 3 }), 33, REASON), 'first')
})

t.test('a capacity of one works', async (t) => {
  const kinds = new BlockKinds(1, SEED)
  t.equal(kinds.note(packet({ port: 1 }), 33, REASON), 'first')
  t.equal(kinds.note(packet({ port: 2 }), 33, REASON), 'suppressed')
  t.equal(kinds.note(packet({ port: 1 }), 33, REASON), 'repeat')
})

/** Notes random blocks in a few windows and sums up what was told of them. */
function flood(capacity: number, seed: number, blocks: number) {
  const random = seededRandom(seed)
  const kinds = new BlockKinds(capacity, SEED)
  const sum = { firsts: 0, repeats: 0, suppressed: 0, noted: 0 }
  const tell = (kind: Kind) => {
    sum.repeats += kind.repeats
  }
  let fresh = 0
  for (let i = 0; i < blocks; i++) {
    const to = random(2) ? `198.51.100.${random(3)}` : `2001:db8::${random(3)}`
    if (kinds.note(packet({ to, port: random(2) }), random(2) - 1, random(2)) === 'suppressed') sum.noted++
    if (random(40) === 0) fresh += kinds.takeFresh().length
    if (random(100) !== 0) continue
    sum.firsts += fresh + kinds.takeFresh().length
    fresh = 0
    sum.suppressed += kinds.turn(tell)
  }
  sum.firsts += fresh + kinds.takeFresh().length
  sum.suppressed += kinds.turn(tell)
  return sum
}

t.test('no block is lost from the sum: first ones + repeats + suppressed = blocks', async (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const capacity = 1 + (seed % 7)
    const { firsts, repeats, suppressed, noted } = flood(capacity, seed, 2000)
    t.equal(firsts + repeats + suppressed, 2000, `seed ${seed}`)
    t.equal(suppressed, noted, 'what was called suppressed is what was counted so')
    t.ok(firsts > 0 && repeats > 0 && suppressed > 0, 'all three took part')
  }
})

t.test('a flood of kinds without an end of the window keeps no more than the capacity', async (t) => {
  const kinds = new BlockKinds(8, SEED)
  const flooding = packet()
  for (let i = 0; i < 10_000; i++) {
    flooding.destination[0] = i
    kinds.note(flooding, 33, REASON)
  }
  t.equal(kinds.takeFresh().length, 8)
  t.same(turn(kinds), { told: [], suppressed: 9992 })
})

t.test('a kind keeps what the first of it asked for: reading names is not for each packet', async (t) => {
  const kinds = new BlockKinds(4, SEED)
  const asked: number[] = []
  const questionOf = ({ sourcePort }: Packet) => {
    asked.push(sourcePort)
    return `n${sourcePort}.example.org`
  }
  for (const from of [1, 2, 3]) kinds.note(packet({ from }), 33, REASON, questionOf)
  kinds.note(packet({ port: 80 }), 33, REASON)
  t.same(
    kinds.takeFresh().map(({ question }) => question),
    ['n1.example.org', undefined],
  )
  t.same(asked, [1])
})
