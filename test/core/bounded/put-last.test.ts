import t from 'tap'
import { putLast } from '../../../src/core/bounded/put-last.js'

t.test('a full map removes the key that was put longest ago', async (t) => {
  const map = new Map<string, number>()
  for (const [key, value] of [
    ['a', 1],
    ['b', 2],
    ['a', 3],
    ['c', 4],
  ] as const)
    putLast(map, key, value, 2)
  t.same(
    [...map],
    [
      ['a', 3],
      ['c', 4],
    ],
  )
})
