import t from 'tap'
import { TimeBudget } from '../../../src/core/bounded/time-budget.js'

t.test('what was spent comes back with time, and no more than a second’s worth is saved', async (t) => {
  const budget = new TimeBudget(20, 0)
  t.ok(budget.has(0))
  budget.spend(20)
  t.notOk(budget.has(0))
  t.ok(budget.has(500), 'half a second later there is half of it')
  budget.spend(10)
  t.notOk(budget.has(500))
  t.ok(budget.has(100_000))
  budget.spend(20)
  t.notOk(budget.has(100_000), 'a long rest saves a second’s worth')
})

t.test('whatever a single thing takes, the share of the time is kept', async (t) => {
  const budget = new TimeBudget(20, 0)
  let spent = 0
  for (let now = 0; now < 60_000; now++)
    if (budget.has(now)) {
      budget.spend(7)
      spent += 7
    }
  t.ok(spent <= 60 * 20 + 20 + 7, `${spent} ms in a minute`)
  t.ok(spent >= 60 * 20 - 7)
})
