import t from 'tap'
import { LastMinute } from '../../src/telemetry/last-minute.js'

t.test('what has come within the last minute counts, and what came before does not', async (t) => {
  const minute = new LastMinute<string>()
  let total = 0
  for (let second = 0; second <= 200; second++) {
    minute.note([['a', total]], second * 1000)
    total += 2
  }
  t.equal(minute.of('a', total, 200_000), 2 * 61, 'sixty seconds, and what came since the last look')
  t.equal(
    minute.of('a', total, 230_000),
    2 * 61,
    'nobody has looked since: it is told too much, not too little',
  )
})

t.test('in its first minute a service tells all there is', async (t) => {
  const minute = new LastMinute<string>()
  t.equal(minute.of('a', 5, 0), 5)
  for (let second = 0; second < 60; second++) minute.note([['a', 7]], second * 1000)
  t.equal(minute.of('a', 7, 59_999), 7)
  minute.note([['a', 7]], 60_000)
  t.equal(minute.of('a', 7, 60_000), 0)
})

t.test('a counter that has come later was 0 before', async (t) => {
  const minute = new LastMinute<string>()
  for (let second = 0; second < 100; second++) minute.note(second < 90 ? [] : [['b', 3]], second * 1000)
  t.equal(minute.of('b', 4, 100_000), 4)
})
