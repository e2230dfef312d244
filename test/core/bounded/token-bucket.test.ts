import t from 'tap'
import { TokenBucket } from '../../../src/core/bounded/token-bucket.js'

/** Takes whole tokens until none is left, and returns how many there were. */
function takeAll(bucket: TokenBucket, now: number): number {
  let count = 0
  for (; bucket.available(now) >= 1; count++) bucket.take(1)
  return count
}

t.test(
  'a burst is available at once, then tokens come at the rate; a pause saves no more than the burst',
  async (t) => {
    const bucket = new TokenBucket(5, 2, 0)
    t.equal(takeAll(bucket, 0), 5)
    t.equal(takeAll(bucket, 499), 0)
    t.equal(takeAll(bucket, 500), 1)
    t.equal(bucket.available(3_600_500), 5)
    t.equal(takeAll(bucket, 3_600_500), 5)
    t.equal(bucket.available(3_600_500), 0)
  },
)

t.test('parts of a token can be taken, and are refilled in parts', async (t) => {
  const bucket = new TokenBucket(20, 20, 0)
  bucket.take(20)
  t.equal(bucket.available(0), 0)
  t.equal(bucket.available(500), 10, 'half of the tokens are back half a second later')
  bucket.take(10)
  t.equal(bucket.available(500), 0)
  t.equal(bucket.available(525), 0.5)
})

t.test('tokens that are taken in advance are subtracted from those that are added later', async (t) => {
  const bucket = new TokenBucket(1, 1, 0)
  for (let i = 0; i < 3; i++) bucket.take(1)
  t.equal(bucket.available(2000), 0)
  t.equal(takeAll(bucket, 3000), 1)
})

t.test('the rate holds, however large a single use is', async (t) => {
  const bucket = new TokenBucket(20, 20, 0)
  let taken = 0
  for (let now = 0; now < 60_000; now++)
    if (bucket.available(now) > 0) {
      bucket.take(7)
      taken += 7
    }
  t.ok(taken <= 60 * 20 + 20 + 7, `${taken} tokens were taken in a minute`)
  t.ok(taken >= 60 * 20 - 7)
})
