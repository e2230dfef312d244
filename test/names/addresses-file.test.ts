import { mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { AddressesFile, readSavedNames, type SavedNames } from '../../src/names/addresses-file.js'
import type { Target } from '../../src/names/dns/answer-reader.js'
import { host, textOf } from './addresses.js'

const FILE = 'addresses.json'
const HOUR = 3600 * 1000
const UNTIL = Date.UTC(2027, 0, 1)

/** Makes a state to save: addresses of names, and targets of services. */
const state = (
  names: Record<string, readonly string[]>,
  services: Record<string, readonly Target[]> = {},
): SavedNames => ({
  names: new Map(
    Object.entries(names).map(([name, texts]) => [
      name,
      texts.map((text) => ({ host: host(text), expires: UNTIL })),
    ]),
  ),
  services: new Map(Object.entries(services)),
  uses: [],
})

/** Writes a state. @returns why the write failed */
function write(directory: string, saved: SavedNames): Promise<string | undefined> {
  const file = new AddressesFile(directory, () => saved, { error: () => {}, warn: () => {} } as never)
  file.change()
  return file.write()
}

/** Returns the saved addresses, as text. */
const kept = (directory: string) =>
  Object.fromEntries(
    [...readSavedNames(directory).names].map(([name, entries]) => [
      name,
      entries.map(({ host }) => textOf(host)),
    ]),
  )

/** Makes a file of one name, which counts the requests for its state and keeps what was logged. */
function keeping(t: Test, directory = t.testdir()) {
  const its = { directory, asked: 0, errors: [] as string[] }
  const log = { error: (line: string) => its.errors.push(line), warn: () => {} }
  const saved = (): SavedNames => {
    const name = `n${++its.asked}.example.org`
    return {
      names: new Map([[name, [{ host: host('198.51.100.1'), expires: UNTIL }]]]),
      services: new Map(),
      uses: [],
    }
  }
  const file = new AddressesFile(directory, saved, log as never)
  return Object.assign(its, { file, names: () => Object.keys(kept(directory)) })
}

t.test('a saved state is read again, and replaces the previous one', async (t) => {
  const directory = t.testdir()
  await write(directory, state({ 'a.example.org': ['198.51.100.1', '2001:db8::1'], 'b.example.org': [] }))
  t.same(kept(directory), { 'a.example.org': ['198.51.100.1', '2001:db8::1'], 'b.example.org': [] })
  await write(directory, state({ 'c.example.org': ['198.51.100.2'] }))
  t.same(kept(directory), { 'c.example.org': ['198.51.100.2'] })
})

t.test('a missing folder is created, and no temporary file is left beside the file', async (t) => {
  const directory = join(t.testdir(), 'checkvalve')
  await write(directory, state({ 'a.example.org': ['198.51.100.1'] }))
  t.same(readdirSync(directory), [FILE])
  t.equal(statSync(join(directory, FILE)).mode & 0o007, 0, 'only its user and group may read the file')
})

t.test('an operator can read the file', async (t) => {
  const directory = t.testdir()
  const services = { '_http._tcp.a.example.org': [{ name: 'b.example.org', port: 80 }] }
  await write(directory, state({ 'a.example.org': ['198.51.100.1'] }, services))
  t.same(JSON.parse(readFileSync(join(directory, FILE), 'utf8')), {
    names: { 'a.example.org': [{ address: '198.51.100.1', expires: '2027-01-01T00:00:00.000Z' }] },
    services,
    uses: [],
  })
  t.match(
    readFileSync(join(directory, FILE), 'utf8'),
    /\n +"address": "198\.51\.100\.1",\n/,
    'each address is on its own line',
  )
})

t.test('the expiry of an address and the targets of services are saved as well', async (t) => {
  const directory = t.testdir()
  const targets = [
    { name: 'b.example.org', port: 80 },
    { name: 'c.example.org', port: 8080 },
  ]
  await write(
    directory,
    state({ 'a.example.org': ['198.51.100.1'] }, { '_http._tcp.a.example.org': targets, empty: [] }),
  )
  const { names, services } = readSavedNames(directory)
  t.same(
    names.get('a.example.org')!.map(({ expires }) => expires),
    [UNTIL],
  )
  t.same(
    [...services],
    [
      ['_http._tcp.a.example.org', targets],
      ['empty', []],
    ],
  )
})

t.test(
  'who used which addresses is saved with the former addresses in use, and damaged uses are left out',
  async (t) => {
    const directory = t.testdir()
    const former = { host: host('198.51.100.1'), expires: UNTIL, state: 'former' } as const
    const use = { rule: 'api', uid: 33, host: host('198.51.100.1'), time: UNTIL }
    await write(directory, { ...state({}), names: new Map([['a.example.org', [former]]]), uses: [use] })
    const read = readSavedNames(directory)
    t.same(read.names.get('a.example.org'), [former])
    t.same(read.uses, [use])
    const path = join(directory, FILE)
    const written = JSON.parse(readFileSync(path, 'utf8'))
    const good = written.uses[0]
    const bad = [
      7,
      null,
      { ...good, uid: 'x' },
      { ...good, rule: 1 },
      { ...good, address: 'x' },
      { ...good, time: 'x' },
    ]
    writeFileSync(path, JSON.stringify({ ...written, uses: [...bad, good] }))
    t.same(readSavedNames(directory).uses, [use])
  },
)

t.test('names that have a meaning in JavaScript are ordinary names', async (t) => {
  const directory = t.testdir()
  // The names are computed keys: a plain __proto__ would set a prototype in the test itself.
  const names = { ['__proto__']: ['198.51.100.1'], constructor: ['198.51.100.2'] }
  await write(directory, state(names))
  t.same([...readSavedNames(directory).names.keys()].toSorted(), ['__proto__', 'constructor'])
  t.same(Object.keys(Object.prototype), [])
})

t.test('when no folder can be created, the error is returned at once', async (t) => {
  t.match(await write('/proc/checkvalve', state({})), /ENOENT/)
})

t.test('when the new state cannot be written, the saved one stays whole', async (t) => {
  const directory = t.testdir()
  await write(directory, state({ 'a.example.org': ['198.51.100.1'] }))
  // A folder blocks the path of the temporary file: permissions alone would not stop root.
  mkdirSync(join(directory, `${FILE}.new`))
  t.match(await write(directory, state({ 'b.example.org': [] })), /EISDIR/)
  t.same(kept(directory), { 'a.example.org': ['198.51.100.1'] })
})

t.test(
  'an incomplete temporary file is not read as a state, and does not block the next write',
  async (t) => {
    const directory = t.testdir({ [`${FILE}.new`]: '{"a.example.org": ["198.51' })
    t.same(kept(directory), {})
    await write(directory, state({ 'b.example.org': [] }))
    t.same(kept(directory), { 'b.example.org': [] })
  },
)

t.test('a missing folder, a folder in place of the file, and garbage all give an empty state', async (t) => {
  const directory = t.testdir()
  t.equal(readSavedNames(join(directory, 'missing')).names.size, 0)
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
    const { names, services } = readSavedNames(directory)
    t.same([[...names.values()].flat(), [...services.values()].flat()], [[], []], JSON.stringify(garbage))
  }
  t.same(kept(t.testdir({ [FILE]: {} })), {})
})

t.test('from a file with invalid entries, the valid ones are read', async (t) => {
  const expires = new Date(UNTIL).toISOString()
  const entry = (address: unknown) => ({ address, expires })
  const written = {
    names: {
      'a.example.org': [
        entry('198.51.100.1'),
        ...['no address', null, 7, {}, '198.51.100.0/24', '::ffff:192.0.2.1'].map(entry),
        ...['198.51.100.4', null, [], 7, { address: '198.51.100.5' }],
        ...['', 'never', '2027-99-99', {}, null].map((until) => ({
          address: '198.51.100.6',
          expires: until,
        })),
        entry('2001:db8::1'),
      ],
      'b.example.org': 'text',
      'c.example.org': null,
    },
    services: {
      '_http._tcp.a.example.org': [
        { name: 'b.example.org', port: 80 },
        ...[0, 65536, -1, '80', null, Number.NaN].map((port) => ({ name: 'c.example.org', port })),
        ...[null, 7, 'text', [], { port: 80 }, { name: 7, port: 80 }],
      ],
      '_http._tcp.b.example.org': { name: 'b.example.org', port: 80 },
    },
  }
  const directory = t.testdir({ [FILE]: JSON.stringify(written) })
  t.same(kept(directory), {
    'a.example.org': ['198.51.100.1', '2001:db8::1'],
    'b.example.org': [],
    'c.example.org': [],
  })
  t.same(
    [...readSavedNames(directory).services],
    [
      ['_http._tcp.a.example.org', [{ name: 'b.example.org', port: 80 }]],
      ['_http._tcp.b.example.org', []],
    ],
  )
})

t.test('a file of an earlier version is not read', async (t) => {
  const directory = t.testdir({ [FILE]: JSON.stringify({ 'a.example.org': ['198.51.100.1'] }) })
  t.same(kept(directory), {})
})

t.test('a changed state is written once', async (t) => {
  const its = keeping(t)
  its.file.change()
  its.file.change()
  await its.file.write()
  await its.file.write()
  t.same([its.asked, its.names()], [1, ['n1.example.org']])
})

t.test('an unchanged state is written each hour: its expiry times move', async (t) => {
  const its = keeping(t)
  await its.file.tick(0)
  await its.file.tick(HOUR / 2)
  t.equal(its.asked, 1)
  await its.file.tick(HOUR + 1000)
  t.equal(its.asked, 2)
})

t.test('the end writes a changed state, even right after another write', async (t) => {
  const its = keeping(t)
  its.file.change()
  await its.file.write()
  its.file.change()
  await its.file.write()
  t.same(its.names(), ['n2.example.org'])
})

t.test('concurrent writes run in turn, and the last state stays', async (t) => {
  const its = keeping(t)
  const writes = Array.from({ length: 10 }, () => {
    its.file.change()
    return its.file.write()
  })
  await Promise.all(writes)
  t.same(its.names(), [`n${its.asked}.example.org`])
  t.same(readdirSync(its.directory), ['addresses.json'])
})

t.test('a change during a write is written by the next one', async (t) => {
  const its = keeping(t)
  its.file.change()
  const written = its.file.write()
  await Promise.resolve()
  its.file.change()
  await written
  await its.file.write()
  t.equal(its.asked, 2)
})

t.test(
  'a write error is logged once, and the write is repeated at intervals until it succeeds',
  async (t) => {
    const its = keeping(t)
    const obstacle = join(its.directory, 'addresses.json.new')
    mkdirSync(obstacle)
    its.file.change()
    for (let i = 0; i < 3; i++) await its.file.tick(i * 60_000)
    t.equal(its.asked, 3)
    t.equal(its.errors.length, 1)
    await its.file.tick(125_000)
    t.equal(its.asked, 3, 'the write is not repeated each second')
    rmdirSync(obstacle)
    await its.file.tick(130_000)
    t.same(its.names(), ['n4.example.org'])
    mkdirSync(obstacle)
    its.file.change()
    await its.file.write()
    t.equal(its.errors.length, 2, 'a new error is logged')
  },
)
