import t from 'tap'
import { Aliases } from '../../src/names/cname-aliases.js'

const NOW = 1_800_000_000_000
const CDN = 'cdn.example.net'
const origins = (aliases: Aliases, name = CDN) => [...aliases.originsOf(name)].toSorted()

t.test('the names that lead to an alias are known, each listed once', async (t) => {
  const aliases = new Aliases()
  for (const origin of ['b.example.org', 'a.example.org', 'a.example.org']) aliases.note(CDN, origin, NOW + 1)
  t.same(origins(aliases), ['a.example.org', 'b.example.org'])
  t.same([aliases.has(CDN), aliases.has('a.example.org')], [true, false])
  t.same(origins(aliases, 'other.example.net'), [])
})

t.test(
  'an alias is removed when its time is over; a later answer can extend the time, not shorten it',
  async (t) => {
    const aliases = new Aliases()
    aliases.note(CDN, 'a.example.org', NOW + 1000)
    aliases.note(CDN, 'a.example.org', NOW + 2000)
    aliases.note(CDN, 'a.example.org', NOW + 10)
    aliases.expire(NOW + 1999)
    t.equal(aliases.has(CDN), true)
    aliases.expire(NOW + 2000)
    t.same([aliases.has(CDN), origins(aliases)], [false, []])
  },
)

t.test('a name that no longer leads to the alias is removed when its own time is over', async (t) => {
  const aliases = new Aliases()
  aliases.note(CDN, 'a.example.org', NOW + 1000)
  aliases.note(CDN, 'b.example.org', NOW + 5000)
  aliases.expire(NOW + 1000)
  t.same(origins(aliases), ['b.example.org'])
})

t.test(
  'an alias stays while an allowed name leads to it, and the names that are no longer allowed are removed',
  async (t) => {
    const aliases = new Aliases()
    aliases.note(CDN, 'a.example.org', NOW + 1000)
    aliases.note(CDN, 'b.example.org', NOW + 1000)
    aliases.note('far.example.net', 'b.example.org', NOW + 1000)
    aliases.keep((name) => name === 'a.example.org')
    t.same([aliases.has(CDN), aliases.has('far.example.net')], [true, false])
  },
)

t.test('aliases are bounded: the alias with the oldest answer is removed', async (t) => {
  const aliases = new Aliases()
  for (let i = 0; i < 5000; i++) {
    aliases.note(`n${i}.example.net`, 'a.example.org', NOW + 1000)
    aliases.note(CDN, 'a.example.org', NOW + 1000)
  }
  const known = Array.from({ length: 5000 }, (_, i) => aliases.has(`n${i}.example.net`))
  t.equal(known.filter(Boolean).length, 4095)
  t.same([aliases.has(CDN), known[904], known[905]], [true, false, true])
})

t.test('the names that lead to one alias are bounded: a wildcard has any number of them', async (t) => {
  const aliases = new Aliases()
  for (let i = 0; i < 5000; i++) aliases.note(CDN, `n${i}.example.org`, NOW + 1000)
  t.ok(origins(aliases).length <= 64, `${origins(aliases).length} names are kept`)
  t.ok(origins(aliases).includes('n4999.example.org'), 'the newest names are kept')
})
