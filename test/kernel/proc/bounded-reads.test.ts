import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { entriesOf, linesOf } from '../../../src/kernel/proc/bounded-reads.js'

t.test('the lines of a file are read in whole, however long it is', async (t) => {
  const path = `${t.testdir()}/long`
  const lines = Array.from({ length: 5000 }, (_, i) => `Zeile ${i} für alle`)
  writeFileSync(path, lines.join('\n'))
  t.same(linesOf(path), lines)
  t.same(linesOf('/proc/self/cgroup'), readFileSync('/proc/self/cgroup', 'utf8').trimEnd().split('\n'))
})

t.test('a reader who has no more time stops after the part that he has begun', async (t) => {
  const path = `${t.testdir()}/long`
  writeFileSync(path, 'line\n'.repeat(100_000))
  let asked = 0
  t.same(
    linesOf(path, () => ++asked === 3),
    [],
  )
  t.equal(asked, 3)
})

t.test('what is not there has no lines and no entries', async (t) => {
  t.same(linesOf('/proc/self/nothing'), [])
  t.same(linesOf('/proc/self'), [], 'a folder')
  t.same([...entriesOf('/proc/self/nothing')], [])
  t.ok([...entriesOf('/proc/self')].some(({ name }) => name === 'fd'))
})
