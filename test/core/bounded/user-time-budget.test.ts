import t from 'tap'
import { UserTimeBudget } from '../../../src/core/bounded/user-time-budget.js'

t.test('a user who has spent the quota leaves time to other users', async (t) => {
  const shares = new UserTimeBudget(100, 0)
  t.ok(shares.has(33, 0))
  shares.spend(33, 50, 0)
  t.notOk(shares.has(33, 0))
  t.ok(shares.has(0, 0))
  t.ok(shares.has(33, 10), 'the user has a quota again in time')
})

t.test('all users together have no more than the whole budget', async (t) => {
  const shares = new UserTimeBudget(100, 0)
  for (const user of [1, 2]) shares.spend(user, 50, 0)
  t.notOk(shares.has(3, 0))
  t.ok(shares.has(3, 10))
})

t.test('thousands of users need no more memory, and have no more than the whole budget', async (t) => {
  const shares = new UserTimeBudget(100, 0)
  shares.spend(33, 50, 0)
  for (let user = 1000; user < 3000; user++) shares.has(user, 0)
  t.ok(shares.has(33, 0), 'the table no longer has the user')
  shares.spend(33, 50, 0)
  t.notOk(shares.has(34, 0))
})
