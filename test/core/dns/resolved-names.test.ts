import t from 'tap'
import { ResolvedNames } from '../../../src/core/dns/resolved-names.js'
import type { Address } from '../../../src/core/packet/ip.js'
import { words } from '../packets.js'

const host = (address: string): Address => ({ family: address.includes(':') ? 6 : 4, words: words(address) })
const NOW = 1_800_000_000_000
const HOUR = 3_600_000
const [ROOT, WWW, RESOLVER] = [0, 33, 101]

function nameOf(seen: ResolvedNames, address: string, askers: readonly number[] = [ROOT], now = NOW) {
  const { family, words } = host(address)
  return seen.nameOf(family, words, askers, now)
}

t.test('for an hour, an address has the name for which its user last received it', async (t) => {
  const seen = new ResolvedNames(10, 10)
  seen.note([host('192.0.2.1'), host('2001:db8::1')], 'a.example.org', ROOT, NOW)
  seen.note([host('192.0.2.1')], 'b.example.org', ROOT, NOW)
  t.equal(nameOf(seen, '192.0.2.1'), 'b.example.org')
  t.equal(nameOf(seen, '2001:db8::1'), 'a.example.org')
  t.equal(nameOf(seen, '192.0.2.2'), undefined)
  t.equal(nameOf(seen, '2001:db8::1', [ROOT], NOW + HOUR - 1), 'a.example.org')
  t.equal(nameOf(seen, '2001:db8::1', [ROOT], NOW + HOUR), undefined)
})

t.test('a name that a user gives to an address does not count for other users', async (t) => {
  const seen = new ResolvedNames(10, 10)
  seen.note([host('203.0.113.5')], 'api.example.org', ROOT, NOW)
  seen.note([host('203.0.113.5')], 'api-example.net', WWW, NOW)
  t.equal(nameOf(seen, '203.0.113.5'), 'api.example.org')
  t.equal(nameOf(seen, '203.0.113.5', [WWW]), 'api-example.net')
  t.equal(nameOf(seen, '203.0.113.5', [1000]), undefined)
})

t.test(
  'an address of a user who asked no resolver has the name that a resolver on this host received',
  async (t) => {
    const seen = new ResolvedNames(10, 10)
    seen.note([host('203.0.113.5'), host('203.0.113.6')], 'for-others.example.org', RESOLVER, NOW)
    seen.note([host('203.0.113.5')], 'own.example.org', WWW, NOW)
    t.equal(nameOf(seen, '203.0.113.5', [WWW, RESOLVER]), 'own.example.org')
    t.equal(nameOf(seen, '203.0.113.6', [WWW, RESOLVER]), 'for-others.example.org')
    t.equal(nameOf(seen, '203.0.113.5', [WWW, RESOLVER], NOW + HOUR), undefined)
  },
)

t.test('an IPv4 address and the IPv6 address with the same first word are different', async (t) => {
  const seen = new ResolvedNames(10, 10)
  seen.note([host('32.1.13.184')], 'four.example.org', ROOT, NOW)
  t.equal(nameOf(seen, '2001:db8::'), undefined)
})

t.test('for any number of addresses and users, a bounded number of the newest is kept', async (t) => {
  const seen = new ResolvedNames(3, 3)
  for (let i = 1; i <= 4; i++) seen.note([host(`192.0.2.${i}`)], `${i}.example.org`, ROOT, NOW)
  seen.note([host('192.0.2.2')], 'again.example.org', ROOT, NOW)
  seen.note([host('192.0.2.5')], '5.example.org', ROOT, NOW)
  t.same(
    [1, 2, 3, 4, 5].map((i) => nameOf(seen, `192.0.2.${i}`)),
    [undefined, 'again.example.org', undefined, '4.example.org', '5.example.org'],
  )
  for (const uid of [1, 2, ROOT, 3]) seen.note([host('192.0.2.9')], `${uid}.example.org`, uid, NOW)
  t.same(seen.askers, [3, ROOT, 2])
  t.same(
    [0, 1, 2, 3].map((uid) => nameOf(seen, '192.0.2.9', [uid])),
    ['0.example.org', undefined, '2.example.org', '3.example.org'],
  )
  t.equal(nameOf(seen, '192.0.2.9', seen.askers), '3.example.org')
})
