import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { entriesOf, linesOf } from '../../../src/kernel/proc/bounded-reads.js'

t.test('all lines of a file are read complete, however long the file is', async (t) => {
  const path = `${t.testdir()}/long`
  const lines = Array.from({ length: 5000 }, (_, i) => `Zeile ${i} für alle`)
  writeFileSync(path, lines.join('\n'))
  t.same(linesOf(path), lines)
  t.same(linesOf('/proc/self/cgroup'), readFileSync('/proc/self/cgroup', 'utf8').trimEnd().split('\n'))
})

t.test('a reader whose time is used up stops after the current part', async (t) => {
  const path = `${t.testdir()}/long`
  writeFileSync(path, 'line\n'.repeat(100_000))
  let asked = 0
  t.same(
    linesOf(path, () => ++asked === 3),
    [],
  )
  t.equal(asked, 3)
})

t.test('a missing file has no lines, and a missing folder has no entries', async (t) => {
  t.same(linesOf('/proc/self/nothing'), [])
  t.same(linesOf('/proc/self'), [], 'the path is a folder')
  t.same([...entriesOf('/proc/self/nothing')], [])
  t.ok([...entriesOf('/proc/self')].some(({ name }) => name === 'fd'))
})
