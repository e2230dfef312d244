import t from 'tap'
import { marksOf } from '../../src/core/marks.js'
import { queueRule } from '../../src/kernel/xtables.js'

const rule = (queue: { first: number; count: number }, mask = 0x3f000000) =>
  queueRule(marksOf(mask, 1), queue).join(' ')

t.test('the rule queues what is marked to be judged, and lets it go on where nobody listens', async (t) => {
  t.equal(
    rule({ first: 100, count: 1 }),
    '-m mark --mark 0x20000000/0x30000000 -j NFQUEUE --queue-num 100 --queue-bypass',
  )
})

t.test('more queues are spread over the processors', async (t) => {
  t.equal(
    rule({ first: 100, count: 4 }),
    '-m mark --mark 0x20000000/0x30000000 -j NFQUEUE --queue-balance 100:103 --queue-cpu-fanout --queue-bypass',
  )
})

t.test('the mark is of the mask in use, and never negative', async (t) => {
  t.match(rule({ first: 0, count: 1 }, 0x3f), '--mark 0x20/0x30 ')
  t.match(rule({ first: 0, count: 1 }, 0xfc000000), '--mark 0x80000000/0xc0000000 ')
})

t.test(
  'a packet known from an earlier policy is queued, too: the rule looks at the state alone',
  async (t) => {
    const marks = marksOf(0x3f000000, 1)
    t.equal(((marks.judge | marks.known) & marks.stateMask) >>> 0, marks.judge)
  },
)
