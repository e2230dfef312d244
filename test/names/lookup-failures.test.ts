import t from 'tap'
import { LookupFailures } from '../../src/names/lookup-failures.js'

const NOW = 1_800_000_000_000

t.test('without failures there is no line', async (t) => {
  t.equal(new LookupFailures().line(NOW), undefined)
})

t.test('failures of many names give one line, with the reason of one of them', async (t) => {
  const failures = new LookupFailures()
  failures.note('a.example.org', 'query ETIMEOUT')
  failures.note('b.example.org', 'query ESERVFAIL')
  failures.note('c.example.org', 'query ESERVFAIL')
  t.match(failures.line(NOW), /^a\.example\.org and 2 other names cannot be looked up \(query ETIMEOUT\)/)
  t.equal(failures.line(NOW + 60_000), undefined, 'the line is not repeated')
})

t.test('a name that fails twice counts once, and a single name is named alone', async (t) => {
  const failures = new LookupFailures()
  for (let i = 0; i < 100; i++) failures.note('a.example.org', `try ${i}`)
  t.match(failures.line(NOW), /^a\.example\.org cannot be looked up \(try 99\)/)
})

t.test('two lines are at least ten seconds apart, and no failure is lost between them', async (t) => {
  const failures = new LookupFailures()
  failures.note('a.example.org', 'no')
  t.ok(failures.line(NOW))
  failures.note('b.example.org', 'no')
  t.equal(failures.line(NOW + 9999), undefined)
  t.match(failures.line(NOW + 10_000), /^b\.example\.org cannot/)
})
