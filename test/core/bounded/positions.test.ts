import t from 'tap'
import { Positions } from '../../../src/core/bounded/positions.js'
import { seededRandom } from '../random.js'

function all(positions: Positions): number[] {
  const found: number[] = []
  for (let i = positions.from(0); i >= 0; i = positions.from(i + 1)) found.push(i)
  return found
}

t.test('positions come in ascending order, each once, whatever order they were added in', async (t) => {
  const random = seededRandom(5)
  for (const count of [1, 31, 32, 33, 1000]) {
    const positions = new Positions(count)
    for (let round = 0; round < 50; round++) {
      const added = Array.from({ length: 1 + random(20) }, () => random(count))
      for (const each of added) positions.add(each)
      const wanted = [...new Set(added)].sort((a, b) => a - b)
      const found = all(positions)
      if (found.join() !== wanted.join()) t.same(found, wanted, `of ${count}`)
      positions.clear()
      if (positions.from(0) !== -1) t.fail('a cleared set is empty')
    }
  }
})

t.test('the first and the last position of a list are found', async (t) => {
  const positions = new Positions(64)
  positions.add(63)
  positions.add(0)
  t.same(all(positions), [0, 63])
  t.equal(positions.from(1), 63)
  t.equal(positions.from(64), -1)
  t.equal(new Positions(0).from(0), -1)
})
