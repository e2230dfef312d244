import t from 'tap'
import { CachedValue } from '../../src/telemetry/cached-value.js'

t.test('callers share one result while it is being computed, and for a short time afterwards', async (t) => {
  let found = 0
  const cached = new CachedValue(60_000, async () => ++found)
  t.same(await Promise.all([cached.value(), cached.value()]), [1, 1])
  t.equal(await cached.value(), 1)
})

t.test('later the value is computed again, also after a failure', async (t) => {
  let found = 0
  const cached = new CachedValue(0, async () => {
    if (++found === 1) throw new Error('not now')
    return found
  })
  await t.rejects(cached.value(), { message: 'not now' })
  t.equal(await cached.value(), 2)
  t.equal(await cached.value(), 3)
})
