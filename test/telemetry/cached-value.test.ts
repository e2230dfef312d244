import t from 'tap'
import { CachedValue } from '../../src/telemetry/cached-value.js'

t.test('who asks while the answer is being found out, or soon after, shares it', async (t) => {
  let found = 0
  const lately = new CachedValue(60_000, async () => ++found)
  t.same(await Promise.all([lately.value(), lately.value()]), [1, 1])
  t.equal(await lately.value(), 1)
})

t.test('later it is found out anew, and after a failure, too', async (t) => {
  let found = 0
  const lately = new CachedValue(0, async () => {
    if (++found === 1) throw new Error('not now')
    return found
  })
  await t.rejects(lately.value(), { message: 'not now' })
  t.equal(await lately.value(), 2)
  t.equal(await lately.value(), 3)
})
