import t from 'tap'
import { LastMinute } from '../../src/telemetry/last-minute.js'

t.test('events of the last minute count, and earlier events do not', async (t) => {
  const minute = new LastMinute<string>()
  let total = 0
  for (let second = 0; second <= 200; second++) {
    minute.note([['a', total]], second * 1000)
    total += 2
  }
  t.equal(
    minute.of('a', total, 200_000),
    2 * 61,
    'sixty seconds count, and the events since the last reading',
  )
  t.equal(
    minute.of('a', total, 230_000),
    2 * 61,
    'without a later reading the result is too high, not too low',
  )
})

t.test('in the first minute of a service all events count', async (t) => {
  const minute = new LastMinute<string>()
  t.equal(minute.of('a', 5, 0), 5)
  for (let second = 0; second < 60; second++) minute.note([['a', 7]], second * 1000)
  t.equal(minute.of('a', 7, 59_999), 7)
  minute.note([['a', 7]], 60_000)
  t.equal(minute.of('a', 7, 60_000), 0)
})

t.test('a counter that appears later counts as 0 before', async (t) => {
  const minute = new LastMinute<string>()
  for (let second = 0; second < 100; second++) minute.note(second < 90 ? [] : [['b', 3]], second * 1000)
  t.equal(minute.of('b', 4, 100_000), 4)
})
