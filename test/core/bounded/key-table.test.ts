import t from 'tap'
import { KeyTable } from '../../../src/core/bounded/key-table.js'
import { seededRandom } from '../random.js'

const SEED = Uint32Array.of(0x01234567, 0x89abcdef)

t.test('each key is found with its number, at any fill of the table', async (t) => {
  for (const capacity of [1, 2, 7, 512]) {
    const table = new KeyTable(capacity, 3, SEED)
    const find = (i: number) => {
      table.key.set([i, i >> 4, 0xffffffff - i])
      return table.find()
    }
    for (let i = 0; i < capacity; i++) {
      t.equal(find(i), -1)
      table.add()
    }
    for (let i = 0; i < capacity; i++) t.equal(find(i), i)
    t.equal(find(capacity), -1, 'a key that is not in the full table is not found')
  }
})

t.test('a key that differs in any one word is another key', async (t) => {
  const table = new KeyTable(4, 4, SEED)
  table.key.set([1, 2, 3, 4])
  table.find()
  table.add()
  for (let word = 0; word < 4; word++) {
    table.key.set([1, 2, 3, 4])
    t.equal(table.find(), 0)
    table.key[word]!++
    t.equal(table.find(), -1, `word ${word}`)
  }
})

t.test(
  'removed keys are not found; the other keys are renumbered, and keys can be added again',
  async (t) => {
    const table = new KeyTable(16, 2, SEED)
    const random = seededRandom(4)
    const find = (key: number) => {
      table.key.set([key, key * 7])
      return table.find()
    }
    let keys: number[] = []
    for (let round = 0; round < 200; round++) {
      for (let key = random(1000); keys.length < 16; key = random(1000)) {
        if (find(key) !== -1) continue
        table.add()
        keys.push(key)
      }
      const kept = keys.filter(() => random(3) > 0)
      const gone = keys.filter((key) => !kept.includes(key))
      table.keep((index) => kept.includes(keys[index]!))
      keys = kept
      t.same(keys.map(find), [...keys.keys()])
      t.ok(gone.every((key) => find(key) === -1))
    }
  },
)
