import t from 'tap'
import { SummaryWindow } from '../../../src/core/record/summary-window.js'

t.test('the length of a window doubles from half a minute to a quarter of an hour', async (t) => {
  const sum = new SummaryWindow(1000)
  const lengths: number[] = []
  for (let now = 1000; lengths.length < 8; now = sum.end) {
    if (lengths.length > 0) sum.next(now)
    lengths.push((sum.end - now) / 1000)
  }
  t.same(lengths, [30, 60, 120, 240, 480, 900, 900, 900])
})

t.test(
  'after a window that ended late, the next window begins late, and the age is the time that has passed',
  async (t) => {
    const sum = new SummaryWindow(0)
    sum.blocks = 7
    t.equal(sum.age(45_000), 45_000)
    sum.next(45_000)
    t.equal(sum.blocks, 0)
    t.equal(sum.end, 105_000)
  },
)
