import t from 'tap'
import { NameTable } from '../../../src/core/policy/name-table.js'

function table(...entries: [names: string[], domains: string[], value: string][]): NameTable<string> {
  const made = new NameTable<string>()
  for (const entry of entries) made.add(...entry)
  return made
}

t.test('a name is found exactly as it is written, and no other name is found', async (t) => {
  const names = table([['a.example.org', 'localhost'], [], 'one'])
  for (const name of ['a.example.org', 'localhost']) {
    t.same(names.find(name), ['one'], name)
    t.equal(names.has(name), true, name)
  }
  for (const name of [
    '',
    'example.org',
    'b.a.example.org',
    'aa.example.org',
    'a.example.or',
    'a.example.org.',
  ]) {
    t.same(names.find(name), [], name)
    t.equal(names.has(name), false, name)
  }
})

t.test('a domain matches all names below it, at any depth, but not itself', async (t) => {
  const names = table([[], ['example.org'], 'one'])
  for (const name of ['a.example.org', 'c.b.a.example.org']) {
    t.same(names.find(name), ['one'], name)
    t.equal(names.has(name), true, name)
  }
  for (const name of ['example.org', 'badexample.org', 'example.org.evil.example', 'org', '']) {
    t.same(names.find(name), [], name)
    t.equal(names.has(name), false, name)
  }
})

t.test('a domain of one label matches all names below it', async (t) => {
  const names = table([[], ['internal'], 'one'])
  t.equal(names.has('db.internal'), true)
  t.equal(names.has('internal'), false)
})

t.test(
  'all values of a name are found: its own value first, then those of its domains, the nearest first',
  async (t) => {
    const names = table(
      [[], ['org'], 'far'],
      [['a.b.example.org'], [], 'exact'],
      [[], ['example.org'], 'near'],
      [[], ['b.example.org'], 'nearest'],
      [['a.b.example.org'], [], 'exact too'],
    )
    t.same(names.find('a.b.example.org'), ['exact', 'exact too', 'nearest', 'near', 'far'])
  },
)

t.test('a value is found once, also when several domains have it', async (t) => {
  const names = table([['a.example.org', 'a.example.org'], ['example.org', 'org', 'org'], 'one'])
  names.add(['a.example.org'], [], 'one')
  t.same(names.find('a.example.org'), ['one'])
})

t.test('names of JavaScript properties are ordinary names', async (t) => {
  const names = table([['constructor'], ['__proto__'], 'one'])
  t.equal(names.has('toString'), false)
  t.equal(names.has('a.constructor'), false)
  t.same(names.find('constructor'), ['one'])
  t.same(names.find('a.__proto__'), ['one'])
})
