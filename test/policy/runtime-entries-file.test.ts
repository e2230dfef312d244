import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { RuntimeEntriesFile } from '../../src/policy/runtime-entries-file.js'
import { lookup } from '../config/files.js'
import { seededRandom } from '../core/random.js'
import { entry } from './entries.js'

function storeIn(directory: string) {
  const complaints: string[] = []
  const log = {
    warn: (text: string) => complaints.push(text),
    error: (text: string) => complaints.push(text),
  }
  return {
    store: new RuntimeEntriesFile(directory, log as never),
    complaints,
    path: join(directory, 'allow.json'),
  }
}

/** Starts with a file of this text, and returns what it finds. */
function found(t: Test, text: string | Buffer) {
  const directory = t.testdir({ 'allow.json': text })
  const { store, complaints } = storeIn(directory)
  const entries = store.read(lookup)
  return { entries, complaints, files: readdirSync(directory), names: entries.map(({ name }) => name) }
}

t.test('saved entries are found whole by the next start, and no other user may read them', async (t) => {
  const directory = join(t.testdir(), 'state')
  const { store, path } = storeIn(directory)
  t.same(store.read(lookup), [], 'a new store has no entries')
  t.equal(await store.keep([]), undefined)
  t.notOk(existsSync(path), 'nothing is written yet')
  const entries = [
    entry('a', {
      users: [33, 4711],
      units: ['nginx.service'],
      expires: Date.UTC(2027, 0, 1),
      origin: store.origin,
    }),
    entry('any', {
      protocol: 'any',
      ports: [{ first: 0, last: 65535 }],
      to: [{ kind: 'wildcard', domain: 'example.org' }],
      origin: store.origin,
    }),
  ]
  t.equal(await store.keep(entries), undefined)
  t.same(readdirSync(directory), ['allow.json'])
  t.equal(statSync(path).mode & 0o777, 0o640)
  const next = storeIn(directory)
  t.same(next.store.read(lookup), entries)
  t.same(next.complaints, [])
  t.match(entries[0]!.origin.file, `runtime entry in ${path}`)
})

t.test('a user is saved by number: the name may belong to another user tomorrow', async (t) => {
  const { store, path } = storeIn(t.testdir())
  await store.keep([entry('a', { users: [33] })])
  t.same(JSON.parse(readFileSync(path, 'utf8')).entries[0].users, [33])
})

t.test('an invalid entry is reported with its place and set aside, and the valid ones count', async (t) => {
  const right = '{"name":"a","to":["192.0.2.1"]}'
  const cases: [text: string, names: string[], complaint: RegExp][] = [
    ['', [], /is no JSON/],
    [`{"entries":[${right}`, [], /is no JSON/],
    ['[]', [], /must be a mapping with entries/],
    ['{"entries":7}', [], /entries: must be a list/],
    [`{"entries":[${right}],"more":1}`, ['a'], /more: unknown key/],
    [`{"entries":[${right},null,7,{"name":"b"}]}`, ['a'], /entries\[1\]: must be a mapping/],
    [`{"entries":[${right},${right}]}`, ['a'], /entries\[1\]: "a" is there twice/],
    [
      `{"entries":[${right},{"name":"c","to":["192.0.2.2"],"users":["nobody-at-all"]}]}`,
      ['a'],
      /entries\[1\]\.users\[0\]: there is no user/,
    ],
    [
      `{"entries":[${Array.from({ length: 300 }, (_, i) => right.replace('"a"', `"e${i}"`))}]}`,
      Array.from({ length: 256 }, (_, i) => `e${i}`),
      /entries\[256\]: there are more than 256/,
    ],
  ]
  for (const [text, names, complaint] of cases) {
    const it = found(t, text)
    t.same(it.names, names, text.slice(0, 40))
    t.match(it.complaints[0], complaint)
    t.same(it.files, ['allow.json.bad'])
  }
  t.match(found(t, Buffer.from([0xff, 0xfe])).complaints[0], /is not UTF-8/)
  t.match(found(t, ' '.repeat(1024 * 1024 + 1)).complaints[0], /more than the 1048576/)
})

t.test('a start continues with any contents of the file', async (t) => {
  const below = seededRandom(11)
  const good = JSON.stringify({
    entries: [{ name: 'a', to: ['192.0.2.1'], ports: [443], users: ['root'], expires: '2027-01-01' }],
  })
  for (let round = 0; round < 300; round++) {
    const bytes = Buffer.from(good)
    for (let i = 1 + below(4); i > 0; i--) bytes[below(bytes.length)] = below(256)
    const { entries, complaints } = found(t, bytes)
    t.ok(entries.length + complaints.length > 0 && entries.length <= 1, bytes.toString('latin1'))
  }
})

t.test('a failed write is repeated later, and reported once', async (t) => {
  const directory = t.testdir({ 'allow.json.new': { full: '' } })
  const { store, complaints, path } = storeIn(directory)
  t.match(await store.keep([entry('a')]), /EISDIR|directory/)
  t.match(await store.keep([entry('a'), entry('b')]), /EISDIR|directory/)
  t.equal(complaints.length, 1)
  t.match(complaints[0], /until then a restart loses the latest runtime entries$/)
  await store.tick(1000)
  t.notOk(existsSync(path))
  rmSync(join(directory, 'allow.json.new'), { recursive: true })
  await store.tick(2000)
  t.notOk(existsSync(path), 'the write is not repeated all the time')
  await store.tick(11_000)
  t.same(
    storeIn(directory)
      .store.read(lookup)
      .map(({ name }) => name),
    ['a', 'b'],
    'the latest entries are saved',
  )
  writeFileSync(path, 'untouched')
  await store.tick(100_000)
  t.equal(readFileSync(path, 'utf8'), 'untouched', 'no further write follows')
})

t.test('when the path is not a file, the error reports it', async (t) => {
  const directory = t.testdir()
  mkdirSync(join(directory, 'allow.json'))
  const { store, complaints } = storeIn(directory)
  t.same(store.read(lookup), [])
  t.match(complaints[0], /allow\.json: is a directory/)
})
