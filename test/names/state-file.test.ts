import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Target } from '../../src/names/dns/answer-reader.js'
import { readState, type State, writeState } from '../../src/names/state-file.js'
import { host, textOf } from './addresses.js'

const FILE = 'addresses.json'
const UNTIL = Date.UTC(2027, 0, 1)

/** What there is to keep: addresses of names, and targets of services. */
const state = (
  names: Record<string, readonly string[]>,
  services: Record<string, readonly Target[]> = {},
): State => ({
  names: new Map(
    Object.entries(names).map(([name, texts]) => [
      name,
      texts.map((text) => ({ host: host(text), expires: UNTIL })),
    ]),
  ),
  services: new Map(Object.entries(services)),
})

/** The addresses that were kept, as text. */
const kept = (directory: string) =>
  Object.fromEntries(
    [...readState(directory).names].map(([name, entries]) => [name, entries.map(({ host }) => textOf(host))]),
  )

t.test('what is written is read again, and replaces what was there', async (t) => {
  const directory = t.testdir()
  await writeState(
    directory,
    state({ 'a.example.org': ['198.51.100.1', '2001:db8::1'], 'b.example.org': [] }),
  )
  t.same(kept(directory), { 'a.example.org': ['198.51.100.1', '2001:db8::1'], 'b.example.org': [] })
  await writeState(directory, state({ 'c.example.org': ['198.51.100.2'] }))
  t.same(kept(directory), { 'c.example.org': ['198.51.100.2'] })
})

t.test('a missing folder is made, and nothing is left beside the file', async (t) => {
  const directory = join(t.testdir(), 'checkvalve')
  await writeState(directory, state({ 'a.example.org': ['198.51.100.1'] }))
  t.same(readdirSync(directory), [FILE])
  t.equal(statSync(join(directory, FILE)).mode & 0o007, 0, 'and it is nothing for everybody to read')
})

t.test('an operator can read the file', async (t) => {
  const directory = t.testdir()
  const services = { '_http._tcp.a.example.org': [{ name: 'b.example.org', port: 80 }] }
  await writeState(directory, state({ 'a.example.org': ['198.51.100.1'] }, services))
  t.same(JSON.parse(readFileSync(join(directory, FILE), 'utf8')), {
    names: { 'a.example.org': [{ address: '198.51.100.1', expires: '2027-01-01T00:00:00.000Z' }] },
    services,
  })
  t.match(readFileSync(join(directory, FILE), 'utf8'), /\n +"address": "198\.51\.100\.1",\n/, 'line by line')
})

t.test('until when an address counts, and the targets of services, are kept as well', async (t) => {
  const directory = t.testdir()
  const targets = [
    { name: 'b.example.org', port: 80 },
    { name: 'c.example.org', port: 8080 },
  ]
  await writeState(
    directory,
    state({ 'a.example.org': ['198.51.100.1'] }, { '_http._tcp.a.example.org': targets, empty: [] }),
  )
  const { names, services } = readState(directory)
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

t.test('names that mean something to JavaScript are names like any other', async (t) => {
  const directory = t.testdir()
  // As computed keys: written plainly, __proto__ would set a prototype in the test itself.
  const names = { ['__proto__']: ['198.51.100.1'], constructor: ['198.51.100.2'] }
  await writeState(directory, state(names))
  t.same([...readState(directory).names.keys()].toSorted(), ['__proto__', 'constructor'])
  t.same(Object.keys(Object.prototype), [])
})

t.test('where no folder can be made, that is said at once', async (t) => {
  await t.rejects(writeState('/proc/checkvalve', state({})), { code: 'ENOENT' })
})

t.test('what was kept stays whole where the new state cannot be written', async (t) => {
  const directory = t.testdir()
  await writeState(directory, state({ 'a.example.org': ['198.51.100.1'] }))
  // A folder in the way of the temporary file: root could write past mere permissions.
  mkdirSync(join(directory, `${FILE}.new`))
  await t.rejects(writeState(directory, state({ 'b.example.org': [] })), { code: 'EISDIR' })
  t.same(kept(directory), { 'a.example.org': ['198.51.100.1'] })
})

t.test('the rest of a write that was cut off is no state, and is no obstacle for the next one', async (t) => {
  const directory = t.testdir({ [`${FILE}.new`]: '{"a.example.org": ["198.51' })
  t.same(kept(directory), {})
  await writeState(directory, state({ 'b.example.org': [] }))
  t.same(kept(directory), { 'b.example.org': [] })
})

t.test('a missing folder, a folder for a file, and garbage all count as nothing', async (t) => {
  const directory = t.testdir()
  t.equal(readState(join(directory, 'missing')).names.size, 0)
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
    const { names, services } = readState(directory)
    t.same([[...names.values()].flat(), [...services.values()].flat()], [[], []], JSON.stringify(garbage))
  }
  t.same(kept(t.testdir({ [FILE]: {} })), {})
})

t.test('of a file with some nonsense in it, what is good is read', async (t) => {
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
    [...readState(directory).services],
    [
      ['_http._tcp.a.example.org', [{ name: 'b.example.org', port: 80 }]],
      ['_http._tcp.b.example.org', []],
    ],
  )
})

t.test('a file of an earlier version is no state', async (t) => {
  const directory = t.testdir({ [FILE]: JSON.stringify({ 'a.example.org': ['198.51.100.1'] }) })
  t.same(kept(directory), {})
})
