import t from 'tap'
import { GENERATIONS, marksOf, nextGeneration, ONCE } from '../../../src/core/ruleset/marks.js'

/** MASKS has all masks of six adjacent bits. */
const MASKS = Array.from({ length: 27 }, (_, shift) => (0x3f * 2 ** shift) >>> 0)

t.test('the default mask gives the marks that the documentation shows', async (t) => {
  t.same(marksOf(0x3f000000, 1), {
    mask: 0x3f000000,
    stateMask: 0x30000000,
    judge: 0x20000000,
    known: 0x01000000,
    names: 0x02000000,
    reply: 0x04000000,
    foreign: 0x08000000,
    staying: 0x01000000,
    blocked: 0x30000000,
    dropped: 0x31000000,
    repeatable: 0x32000000,
    approved: 0x10000000,
    approvedOnce: 0x10000000,
    approvedNow: 0x11000000,
    approvedBefore: 0x1f000000,
  })
})

t.test('for every mask, no mark has a bit outside the mask, and no mark is negative', async (t) => {
  const outside = MASKS.flatMap((mask) =>
    Object.values(marksOf(mask, GENERATIONS)).filter((value) => value < 0 || (value & ~mask) !== 0),
  )
  t.same(outside, [])
})

t.test('for every mask and generation, the states differ under the state mask', async (t) => {
  const confused: string[] = []
  for (const mask of MASKS)
    for (let generation = 1; generation <= GENERATIONS; generation++) {
      const marks = marksOf(mask, generation)
      const state = (mark: number) => (mark & marks.stateMask) >>> 0
      const states = new Set([0, state(marks.judge), state(marks.blocked), state(marks.approved)])
      if (
        states.size < 4 ||
        state(marks.approvedNow) !== marks.approved ||
        state(marks.judge | marks.known | marks.names) !== marks.judge ||
        (marks.known & marks.names) !== 0
      )
        confused.push(`mask ${mask.toString(16)}, generation ${generation}`)
    }
  t.same(confused, [])
})

t.test(
  'an approval is valid only in its own generation, and an approval for one packet in none',
  async (t) => {
    const approvals = Array.from({ length: GENERATIONS }, (_, i) => marksOf(0x3f000000, i + 1).approvedNow)
    t.equal(new Set([...approvals, marksOf(0x3f000000, 1).approvedOnce]).size, GENERATIONS + 1)
    t.equal(ONCE, 0)
  },
)

t.test('an approval of the previous generation has its own mark', async (t) => {
  for (let generation = 1; generation <= GENERATIONS; generation++) {
    const after = marksOf(0x3f000000, nextGeneration(generation))
    t.equal(after.approvedBefore, marksOf(0x3f000000, generation).approvedNow)
    t.equal(new Set([after.approvedBefore, after.approvedNow, after.approvedOnce]).size, 3)
  }
})

t.test(
  'generations count from 1 to 15 and start over; 0 is only for an approval for one packet',
  async (t) => {
    const seen: number[] = []
    for (let generation = 1, i = 0; i < 2 * GENERATIONS; i++, generation = nextGeneration(generation))
      seen.push(generation)
    const round = Array.from({ length: GENERATIONS }, (_, i) => i + 1)
    t.same(seen, [...round, ...round])
  },
)
