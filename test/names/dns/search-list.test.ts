import t from 'tap'
import { NO_SEARCH, searched, shortened } from '../../../src/names/dns/search-list.js'

const SEARCH = { domains: ['a.example.org', 'b.example.org'], ndots: 1 }

t.test('a short name is completed by each search domain, and asked for as it is at last', async (t) => {
  t.same(searched('db', SEARCH), ['db.a.example.org', 'db.b.example.org', 'db'])
  t.same(searched('db.dc1', SEARCH), ['db.dc1'], 'a name with a dot is complete')
  t.same(searched('db.dc1', { ...SEARCH, ndots: 2 }), [
    'db.dc1.a.example.org',
    'db.dc1.b.example.org',
    'db.dc1',
  ])
  t.same(searched('db', { ...SEARCH, ndots: 0 }), ['db'])
  t.same(searched('db', NO_SEARCH), ['db'])
})

t.test('a completed name leads to the short one, and no other name does', async (t) => {
  t.same(shortened('db.a.example.org', SEARCH), ['db'])
  t.same(shortened('db.dc1.a.example.org', SEARCH), [], 'it has a dot')
  t.same(shortened('db.dc1.a.example.org', { ...SEARCH, ndots: 2 }), ['db.dc1'])
  for (const name of ['a.example.org', '.a.example.org', 'db.c.example.org', 'dba.example.org', 'db'])
    t.same(shortened(name, SEARCH), [], name)
})

t.test('the number of domains and the length of a name are bounded', async (t) => {
  const domains = Array.from({ length: 50 }, (_, i) => `d${i}.example.org`)
  t.equal(searched('db', { domains, ndots: 1 }).length, 7)
  t.same(shortened('db.d9.example.org', { domains, ndots: 1 }), [])
  t.same(searched('db', { domains: [`${'a.'.repeat(124)}org`], ndots: 1 }), ['db'])
})
