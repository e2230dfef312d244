import t from 'tap'
import { UserTimeBudget } from '../../../src/core/bounded/user-time-budget.js'

t.test('who has used up what one user may leaves time to the others', async (t) => {
  const shares = new UserTimeBudget(100, 0)
  t.ok(shares.has(33, 0))
  shares.spend(33, 50, 0)
  t.notOk(shares.has(33, 0))
  t.ok(shares.has(0, 0))
  t.ok(shares.has(33, 10), 'and has its own again in time')
})

t.test('all together have no more than the whole', async (t) => {
  const shares = new UserTimeBudget(100, 0)
  for (const user of [1, 2]) shares.spend(user, 50, 0)
  t.notOk(shares.has(3, 0))
  t.ok(shares.has(3, 10))
})

t.test('users beyond number do not grow it, and take no more than the whole', async (t) => {
  const shares = new UserTimeBudget(100, 0)
  shares.spend(33, 50, 0)
  for (let user = 1000; user < 3000; user++) shares.has(user, 0)
  t.ok(shares.has(33, 0), 'it was forgotten')
  shares.spend(33, 50, 0)
  t.notOk(shares.has(34, 0))
})
