import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { addressText } from '../../src/core/text.js'
import { readState, writeState } from '../../src/mirrors/state.js'
import { words } from '../core/packets.js'

const FILE = 'addresses.json'
const host = (text: string) => ({ family: text.includes(':') ? 6 : 4, words: words(text) }) as const

/** What was kept, as text. */
const kept = (directory: string) =>
  Object.fromEntries(
    [...readState(directory)].map(([name, hosts]) => [
      name,
      hosts.map(({ family, words }) => addressText(family, words)),
    ]),
  )

t.test('what is written is read again, and replaces what was there', async (t) => {
  const directory = t.testdir()
  writeState(directory, { 'a.example.org': [host('198.51.100.1'), host('2001:db8::1')], 'b.example.org': [] })
  t.same(kept(directory), { 'a.example.org': ['198.51.100.1', '2001:db8::1'], 'b.example.org': [] })
  writeState(directory, { 'c.example.org': [host('198.51.100.2')] })
  t.same(kept(directory), { 'c.example.org': ['198.51.100.2'] })
})

t.test('a missing folder is made, and nothing is left beside the file', async (t) => {
  const directory = join(t.testdir(), 'checkvalve')
  writeState(directory, { 'a.example.org': [host('198.51.100.1')] })
  t.same(readdirSync(directory), [FILE])
  t.equal(statSync(join(directory, FILE)).mode & 0o007, 0, 'and it is nothing for everybody to read')
})

t.test('an operator can read the file', async (t) => {
  const directory = t.testdir()
  writeState(directory, { 'a.example.org': [host('198.51.100.1')] })
  t.equal(
    readFileSync(join(directory, FILE), 'utf8'),
    '{\n  "a.example.org": [\n    "198.51.100.1"\n  ]\n}\n',
  )
})

t.test('where no folder can be made, that is said at once', async (t) => {
  t.throws(() => writeState('/proc/checkvalve', {}), { code: 'ENOENT' })
})

t.test('what was kept stays whole where the new state cannot be written', async (t) => {
  const directory = t.testdir()
  writeState(directory, { 'a.example.org': [host('198.51.100.1')] })
  // A folder in the way of the temporary file: root could write past mere permissions.
  mkdirSync(join(directory, `${FILE}.new`))
  t.throws(() => writeState(directory, { 'b.example.org': [] }), { code: 'EISDIR' })
  t.same(kept(directory), { 'a.example.org': ['198.51.100.1'] })
})

t.test('the rest of a write that was cut off is no state, and is no obstacle for the next one', async (t) => {
  const directory = t.testdir({ [`${FILE}.new`]: '{"a.example.org": ["198.51' })
  t.same(kept(directory), {})
  writeState(directory, { 'b.example.org': [] })
  t.same(kept(directory), { 'b.example.org': [] })
})

t.test('a missing folder, a folder for a file, and garbage all count as nothing', async (t) => {
  const directory = t.testdir()
  t.equal(readState(join(directory, 'missing')).size, 0)
  for (const garbage of [
    '',
    'null',
    '{',
    '\0\0\0',
    '"text"',
    '[]',
    '17',
    '{"a.example.org": ["198.51.100.1"]',
  ]) {
    writeFileSync(join(directory, FILE), garbage)
    t.same([...readState(directory).values()].flat(), [], JSON.stringify(garbage))
  }
  t.same(kept(t.testdir({ [FILE]: {} })), {})
})

t.test('of a file with some nonsense in it, the good addresses are read', async (t) => {
  const written = {
    'a.example.org': [
      '198.51.100.1',
      'no address',
      null,
      7,
      {},
      '198.51.100.0/24',
      '::ffff:192.0.2.1',
      '2001:db8::1',
    ],
    'b.example.org': 'text',
    'c.example.org': null,
  }
  const directory = t.testdir({ [FILE]: JSON.stringify(written) })
  t.same(kept(directory), {
    'a.example.org': ['198.51.100.1', '2001:db8::1'],
    'b.example.org': [],
    'c.example.org': [],
  })
})
