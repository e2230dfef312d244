import t from 'tap'
import { Tokens } from '../../../src/core/bounded/token-bucket.js'

function taken(tokens: Tokens): number {
  let count = 0
  for (; tokens.any; count++) tokens.take()
  return count
}

t.test('a burst at once, then so many a second, and a rest saves no more than the burst', async (t) => {
  const tokens = new Tokens(5, 2)
  t.equal(taken(tokens), 5)
  tokens.refill(499)
  t.equal(taken(tokens), 0)
  tokens.refill(1)
  t.equal(taken(tokens), 1)
  tokens.refill(3_600_000)
  t.ok(tokens.full)
  t.equal(taken(tokens), 5)
  t.notOk(tokens.full)
})

t.test('what is taken where nothing is left comes off what is to come', async (t) => {
  const tokens = new Tokens(1, 1)
  for (let i = 0; i < 3; i++) tokens.take()
  tokens.refill(2000)
  t.notOk(tokens.any)
  tokens.refill(1000)
  t.equal(taken(tokens), 1)
})
