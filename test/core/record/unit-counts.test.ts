import t from 'tap'
import { NOT_ALLOWLISTED } from '../../../src/core/policy/policy.js'
import { UnitCounts } from '../../../src/core/record/unit-counts.js'
import { ANYWHERE, packet, SMALL, watched } from './watching.js'

const counted = (units: readonly string[]) => {
  const counts = new UnitCounts()
  for (const unit of units) counts.add(unit)
  return counts.summary
}

t.test('a summary names the three units with the most blocks', async (t) => {
  t.same(counted([]), {})
  t.same(counted(['a']), { units: ['a'] })
  t.same(counted([...'dbcabcabccd']), { units: ['c', 'b', 'd'] })
})

t.test('units without end take no memory, and do not push out one that has many blocks', async (t) => {
  const units = Array.from({ length: 3000 }, (_, i) => (i % 3 === 0 ? 'web.service' : `session-${i}.scope`))
  t.equal(counted(units).units?.[0], 'web.service')
  const one = counted(Array.from({ length: 17 }, (_, i) => `${i}`))
  t.same(one, {}, 'all went down by one')
  t.same(counted(['a', 'a', ...Array.from({ length: 16 }, (_, i) => `${i}`)]), { units: ['a'] })
})

t.test('the summary of blocks without lines names their units', async (t) => {
  const { aggregator, pass } = watched(SMALL)
  const web = { ...ANYWHERE, unit: 'web.service' }
  for (let port = 1; port <= 9; port++)
    aggregator.note(packet({ port }), 33, NOT_ALLOWLISTED, port === 5 ? ANYWHERE : web)
  aggregator.take()
  pass(0)
  aggregator.end()
  const [summary] = aggregator.take().filter(({ type }) => type === 'suppressed')
  t.match(summary, { blocks: 7, units: ['web.service'] })
  for (let port = 10; port <= 20; port++) aggregator.note(packet({ port }), 34, NOT_ALLOWLISTED, ANYWHERE)
  aggregator.end()
  t.notOk('units' in aggregator.take().find(({ type }) => type === 'suppressed')!)
})
