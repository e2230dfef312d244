import t from 'tap'
import { formatAddress, formatPrefix } from '../../src/core/packet/address-text.js'
import {
  formatDestination,
  parseAddress,
  parseDestination,
  parseHostName,
  parsePrefix,
} from '../../src/text/parse-address.js'
import type { Parsed } from '../../src/text/parsed.js'

function parsedOf<T>(parsed: Parsed<T>): T {
  if (parsed.ok) return parsed.value
  throw new Error(parsed.reason)
}

const reasonOf = (parsed: Parsed<unknown>): string | undefined => (parsed.ok ? undefined : parsed.reason)

t.test('addresses become words in host order, and these become the shortest text', async (t) => {
  const cases: [string, number[], string?][] = [
    ['192.0.2.1', [0xc0000201, 0, 0, 0]],
    ['255.255.255.255', [0xffffffff, 0, 0, 0]],
    ['2001:db8::1', [0x20010db8, 0, 0, 1]],
    ['2001:DB8:0:0:1:0:0:1', [0x20010db8, 0, 0x00010000, 1], '2001:db8::1:0:0:1'],
    ['::', [0, 0, 0, 0]],
    ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff]],
  ]
  for (const [text, words, shortest = text] of cases) {
    const address = parsedOf(parseAddress(text))
    t.same([...address.words], words, text)
    t.equal(formatAddress(address.family, address.words), shortest)
  }
})

t.test('an ambiguous address is refused', async (t) => {
  for (const text of [
    '010.0.0.1',
    '0x0a.0.0.1',
    '10.1',
    '167772161',
    '10.0.0.256',
    '10.0.0.1.',
    ' 10.0.0.1',
    '1::2::3',
    '00001::',
    ':::',
    '',
  ]) {
    t.equal(reasonOf(parseAddress(text)), 'is not an IPv4 or IPv6 address', text)
  }
  t.match(reasonOf(parseAddress('fe80::1%eth0')), /interface/)
  t.equal(reasonOf(parseAddress('::ffff:192.0.2.1')), 'is an IPv4 address in IPv6 form: write 192.0.2.1')
  t.equal(reasonOf(parseAddress('::ffff:c000:201')), 'is an IPv4 address in IPv6 form: write 192.0.2.1')
})

t.test('prefixes keep their length, and a single address is a prefix of full length', async (t) => {
  for (const text of [
    '203.0.113.0/24',
    '0.0.0.0/0',
    '2001:db8::/32',
    '::/0',
    '192.0.2.0/25',
    '2001:db8:0:8000::/49',
  ]) {
    t.equal(formatPrefix(parsedOf(parsePrefix(text))), text)
  }
  t.equal(parsedOf(parsePrefix('192.0.2.1')).length, 32)
  t.equal(formatPrefix(parsedOf(parsePrefix('2001:db8::1/128'))), '2001:db8::1')
})

t.test('an impossible prefix is refused, with the prefix that may be meant', async (t) => {
  for (const text of [
    '10.0.0.0/33',
    '2001:db8::/129',
    '10.0.0.0/',
    '10.0.0.0/08',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '10.0.0.0/1e1',
  ]) {
    t.match(reasonOf(parsePrefix(text)), /impossible prefix length/, text)
  }
  t.match(
    reasonOf(parsePrefix('203.0.113.7/24')),
    'write 203.0.113.0/24 for the network, or 203.0.113.7 for one address',
  )
  t.match(reasonOf(parsePrefix('2001:db8::1/64')), 'write 2001:db8::/64 for')
})

t.test('host names follow RFC 1123, and are converted to one spelling', async (t) => {
  t.equal(parsedOf(parseHostName('Mirror.Example.ORG.')), 'mirror.example.org')
  t.equal(parsedOf(parseHostName('apt-cache')), 'apt-cache')
  t.equal(parsedOf(parseHostName('4you.example')), '4you.example')
  t.equal(
    parsedOf(parseHostName('apt_repo.example_.org')),
    'apt_repo.example_.org',
    'programs take underscores',
  )
  for (const text of [
    '-a.example',
    'a-.example',
    'a..example',
    '.example',
    '_http.example',
    '_http._tcp.example',
    `${'a'.repeat(64)}.example`,
    'a/b',
    '.',
    '',
  ]) {
    t.ok(reasonOf(parseHostName(text)), text)
  }
  t.match(reasonOf(parseHostName('1.2.3.400')), /neither a host name nor an IPv4 address/)
  t.match(reasonOf(parseHostName(`${'a.'.repeat(127)}example`)), /too long/)
})

t.test('common mistakes have their own messages: URLs, ports, spaces, letters outside ASCII', async (t) => {
  t.equal(
    reasonOf(parseHostName('https://mirror.example.org/debian')),
    'is a URL: write only the host, mirror.example.org',
  )
  t.match(reasonOf(parseHostName('mirror.example.org:80')), /has a port/)
  t.match(reasonOf(parseHostName('a.example b.example')), /has a space/)
  t.equal(
    reasonOf(parseHostName('b\u00fccher.example')),
    'is written in its ASCII form: xn--bcher-kva.example',
  )
})

t.test(
  'a destination is a prefix, a name or a wildcard, and its text is parsed to the same destination',
  async (t) => {
    const cases: [string, string][] = [
      ['192.0.2.1', 'prefix'],
      ['2001:db8::/32', 'prefix'],
      ['api.example.org', 'name'],
      ['*.example.org', 'wildcard'],
      ['cafe', 'name'],
    ]
    for (const [text, kind] of cases) {
      const destination = parsedOf(parseDestination(text))
      t.equal(destination.kind, kind)
      t.equal(formatDestination(destination), text)
    }
  },
)

t.test('a mistyped address is not taken for a name', async (t) => {
  for (const text of ['10.0.0', '10.0.0.256', '1.2.3.4.5', '2001:db8:::1', '10.0.0.0/33'])
    t.ok(reasonOf(parseDestination(text)), text)
})

t.test('a wildcard replaces the whole first label, and never a whole top-level domain', async (t) => {
  t.match(reasonOf(parseDestination('*')), /would allow everything/)
  t.match(reasonOf(parseDestination('*.org')), /top-level domain/)
  for (const text of ['a*.example.org', 'a.*.org', '*.*.example.org', '**.example.org', '*example.org']) {
    t.match(reasonOf(parseDestination(text)), /star in the wrong place/, text)
  }
  t.ok(reasonOf(parseDestination('*.-a.example')))
})
