import t from 'tap'
import { SeenNames } from '../../src/core/seen-names.js'
import type { Host } from '../../src/core/types.js'
import { words } from './packets.js'

const host = (address: string): Host => ({ family: address.includes(':') ? 6 : 4, words: words(address) })
const NOW = 1_800_000_000_000
const HOUR = 3_600_000

function nameOf(seen: SeenNames, address: string, now = NOW) {
  const { family, words } = host(address)
  return seen.nameOf(family, words, now)
}

t.test('an address has the name by which it was seen last, for an hour', async (t) => {
  const seen = new SeenNames(10)
  seen.note([host('192.0.2.1'), host('2001:db8::1')], 'a.example.org', NOW)
  seen.note([host('192.0.2.1')], 'b.example.org', NOW)
  t.equal(nameOf(seen, '192.0.2.1'), 'b.example.org')
  t.equal(nameOf(seen, '2001:db8::1'), 'a.example.org')
  t.equal(nameOf(seen, '192.0.2.2'), undefined)
  t.equal(nameOf(seen, '2001:db8::1', NOW + HOUR - 1), 'a.example.org')
  t.equal(nameOf(seen, '2001:db8::1', NOW + HOUR), undefined)
})

t.test('an IPv4 address and the IPv6 address of the same first word are two', async (t) => {
  const seen = new SeenNames(10)
  seen.note([host('32.1.13.184')], 'four.example.org', NOW)
  t.equal(nameOf(seen, '2001:db8::'), undefined)
})

t.test('however many addresses are seen, those seen last are kept, and no more than that', async (t) => {
  const seen = new SeenNames(3)
  for (let i = 1; i <= 4; i++) seen.note([host(`192.0.2.${i}`)], `${i}.example.org`, NOW)
  seen.note([host('192.0.2.2')], 'again.example.org', NOW)
  seen.note([host('192.0.2.5')], '5.example.org', NOW)
  t.same(
    [1, 2, 3, 4, 5].map((i) => nameOf(seen, `192.0.2.${i}`)),
    [undefined, 'again.example.org', undefined, '4.example.org', '5.example.org'],
  )
})
