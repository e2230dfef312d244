import t from 'tap'
import { MINUTE, SECOND, SMALL, watched } from './watching.js'

t.test('suppressed blocks are summarized by user, in windows that grow like those of groups', async (t) => {
  const { note, pass, newEvents } = watched(SMALL)
  for (const uid of [33, 34]) for (let port = 1; port <= 12; port++) note(port, uid)
  newEvents()
  pass(30 * SECOND)
  t.same(newEvents(), ['33 suppressed*10 @30', '34 suppressed*10 @30'])
  for (let port = 20; port < 30; port++) note(port)
  pass(59 * SECOND)
  t.notOk(
    newEvents().some((each) => each.includes('suppressed')),
    'no event comes before the end of the window',
  )
  pass(SECOND)
  t.same(
    newEvents(),
    ['33 suppressed*8 @90'],
    'two groups had lines again, and a user without blocks has no event',
  )
})

t.test('users without their own quota share one', async (t) => {
  const { aggregator, note, pass, newEvents } = watched({ ...SMALL, groups: 64, lines: 64, users: 2 })
  for (const uid of [1, 2, 3, 4, 5]) for (let port = 1; port <= 20; port++) note(port, uid)
  t.match(aggregator, { logged: 16 * 3, suppressed: 4 + 4 + 44 })
  newEvents()
  pass(30 * SECOND)
  t.same(newEvents(), ['1 suppressed*4 @30', '2 suppressed*4 @30', 'undefined suppressed*44 @30'])
  pass(10 * MINUTE)
  note(1, 5)
  for (let port = 1; port <= 20; port++) note(port, 6)
  pass(MINUTE)
  t.ok(newEvents().includes('6 suppressed*4 @660'), 'an inactive user gives the quota to others')
})

t.test("when a user has spent the quota, the user's group with the fewest repeats is evicted", async (t) => {
  const { note, pass, newEvents } = watched(SMALL)
  note(1, 33, 5)
  note(2, 33, 3)
  pass(4 * SECOND)
  t.same(newEvents(), ['33:1 first', '33:2 first'])
  note(3)
  t.same(newEvents(), ['33:2 *2 @4', '33:3 first'], 'the repeats of the evicted group are reported')
  note(1)
  t.same(newEvents(), [], 'the other group is still tracked')
  pass(4 * SECOND)
  note(4)
  t.same(newEvents(), ['33:4 first'], 'a group without repeats is evicted without an event')
})

t.test('after any number of evictions the remaining groups are still tracked', async (t) => {
  const { aggregator, note } = watched({ ...SMALL, groups: 64, lines: 4096 })
  for (let port = 1; port <= 15; port++) note(port, 33, 3)
  for (let port = 1000; port < 2000; port++) note(port, 33, 2)
  t.match(aggregator, { logged: 1015, summarized: 1030, suppressed: 0 }, 'each new group is tracked at once')
  for (let port = 1; port <= 15; port++) note(port)
  t.match(aggregator, { logged: 1015, summarized: 1045, suppressed: 0 })
})

t.test('when all groups are in use, a group of the user with the most groups is evicted', async (t) => {
  const { note, pass, newEvents } = watched({ ...SMALL, lines: 64, users: 8 })
  for (const uid of [1, 2, 3, 4]) for (const port of [1, 2]) note(port, uid)
  newEvents()
  note(1, -1)
  t.same(newEvents(), ['-1:1 first'])
  note(2, 1)
  note(1, 1)
  t.same(
    newEvents(),
    ['1:1 first'],
    'the oldest group of the first such user was evicted, and returned in place of another',
  )
  note(2, 2)
  note(1, 2)
  t.same(newEvents(), ['2:1 first'])
  pass(30 * SECOND)
  t.same(newEvents(), ['1:2 *1 @30', '2:2 *1 @30'])
})
