import t from 'tap'
import { mostFrequent } from '../../../src/core/bounded/most-frequent.js'

t.test(
  'the most frequent value is returned, on a tie the first, and undefined for an empty list',
  async (t) => {
    t.equal(mostFrequent([1, 2, 2, 3]), 2)
    t.equal(mostFrequent(['b', 'a', 'a', 'b']), 'b')
    t.equal(mostFrequent([]), undefined)
  },
)
