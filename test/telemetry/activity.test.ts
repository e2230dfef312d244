import t from 'tap'
import { ActivityTracker } from '../../src/telemetry/activity.js'

const MINUTE = 60_000

t.test(
  'events less than a quarter of an hour apart are one run of activity, and a longer break ends it',
  async (t) => {
    const bouts = new ActivityTracker<string>()
    bouts.note([], 0)
    bouts.note([['a', 1]], MINUTE)
    bouts.note([['a', 1]], 2 * MINUTE)
    t.match(bouts.of('a', 1, 3 * MINUTE), { since: MINUTE, last: MINUTE })
    bouts.note([['a', 9]], 16 * MINUTE)
    t.match(bouts.of('a', 9, 20 * MINUTE), { since: MINUTE, last: 16 * MINUTE })
    bouts.note([['a', 10]], 32 * MINUTE)
    t.match(bouts.of('a', 10, 33 * MINUTE), { since: 32 * MINUTE, last: 32 * MINUTE })
  },
)

t.test('events since the last reading count', async (t) => {
  const bouts = new ActivityTracker<string>()
  t.match(bouts.of('a', 1, 500), { since: 500, last: 500 })
  bouts.note([['a', 1]], 1000)
  t.match(bouts.of('a', 2, 1500), { since: 1000, last: 1500 })
})
