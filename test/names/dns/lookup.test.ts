import t, { type Test } from 'tap'
import { confirm, lookup, lookupService, parseHostsFile } from '../../../src/names/dns/lookup.js'
import { many, textOf } from '../addresses.js'
import { dnsError, Zone } from './zone.js'

const FILE = `
127.0.0.1\tlocalhost
198.51.100.1  mirror.example.org mirror   # the near one
2001:db8::1 mirror.example.org
 198.51.100.2 OTHER.example.org
#198.51.100.3 mirror.example.org
fe80::1%eth0 mirror.example.org
198.51.100 mirror.example.org
mirror.example.org
198.51.100.4
`

const addresses = (name: string, text = FILE) => parseHostsFile(text, name).map(textOf)

t.test(
  'all addresses of a name are read from /etc/hosts, in both families, at any place of the line',
  async (t) => {
    t.same(addresses('mirror.example.org'), ['198.51.100.1', '2001:db8::1'])
    t.same(addresses('mirror'), ['198.51.100.1'])
    t.same(addresses('localhost'), ['127.0.0.1'])
  },
)

t.test('names are equal in upper and lower case', async (t) => {
  t.same(addresses('other.example.org'), ['198.51.100.2'])
})

t.test('comments, lines without a name and unusable addresses are skipped', async (t) => {
  t.same(addresses('198.51.100.4'), [])
  t.same(addresses('near'), [], 'a word of a comment is no name')
  t.same(addresses('example.org'), [], 'a part of a name is no name')
  t.same(addresses(''), [])
  t.same(addresses('mirror', ''), [])
})

t.test('a file with Windows line endings is read', async (t) => {
  t.same(addresses('mirror', '198.51.100.1 mirror\r\n198.51.100.2 mirror\r\n'), [
    '198.51.100.1',
    '198.51.100.2',
  ])
})

const NAME = 'mirror.example.org'
const SERVICE = '_http._tcp.mirror.example.org'
const texts = async (name = NAME) => (await lookup(name)).hosts.map(textOf)

/** Look-ups use TCP, and UDP when the resolver accepts no TCP. */
const WAYS = ['TCP', 'UDP'] as const
function zoneBy(t: Test, way: (typeof WAYS)[number]): Zone {
  const zone = Zone.install(t)
  zone.takesTcp = way === 'TCP'
  return zone
}

for (const way of WAYS) {
  t.test(`a name is looked up in both families, over ${way}`, async (t) => {
    const zone = zoneBy(t, way)
    zone.set(NAME, ['198.51.100.1', '198.51.100.2'], ['2001:db8::1'])
    t.same(await texts(), ['198.51.100.1', '198.51.100.2', '2001:db8::1'])
    t.same(zone.asked, [`A ${NAME}`, `AAAA ${NAME}`])
    t.same(zone.askedByUdp, way === 'UDP' ? zone.asked : [])
  })

  t.test(`when one family fails or has no address, the other one is used, over ${way}`, async (t) => {
    const zone = zoneBy(t, way)
    for (const none of [undefined, dnsError('ETIMEOUT'), dnsError('ESERVFAIL')]) {
      zone.set(NAME, ['198.51.100.1'], none)
      t.same(await texts(), ['198.51.100.1'])
      zone.set(NAME, none, ['2001:db8::1'])
      t.same(await texts(), ['2001:db8::1'])
    }
  })

  t.test(`addresses of this host, of its link and of no host are left out, over ${way}`, async (t) => {
    const zone = zoneBy(t, way)
    zone.set(NAME, ['169.254.169.254', '198.51.100.1', '127.0.0.1'], ['::1', 'fe80::1', '::ffff:192.0.2.1'])
    t.same(await texts(), ['198.51.100.1'])
    zone.set(NAME, ['127.0.0.1'])
    await t.rejects(lookup(NAME), { message: 'it has no address of another host, or too many' })
  })

  t.test(`an answer over ${way} is kept for a day at most`, async (t) => {
    const zone = zoneBy(t, way)
    zone.set(NAME, ['198.51.100.1'], ['2001:db8::1'])
    zone.ttl = 0x7fffffff
    t.equal((await lookup(NAME)).ttl, 86_400)
    zone.ttl = 7
    t.equal((await lookup(NAME)).ttl, 7)
  })

  t.test(`an answer with too many addresses is refused, over ${way}`, async (t) => {
    const zone = zoneBy(t, way)
    zone.set(NAME, many(64))
    t.equal((await lookup(NAME)).hosts.length, 64)
    zone.set(NAME, many(129))
    await t.rejects(lookup(NAME), /too (many|long)/)
    zone.set(NAME, many(1000))
    await t.rejects(lookup(NAME), /too (many|long)/)
  })

  t.test(`a service look-up returns hosts and ports, over ${way}`, async (t) => {
    const zone = zoneBy(t, way)
    zone.setService(SERVICE, [
      ['A.example.org', 80],
      ['b.example.org.', 8080],
    ])
    t.same((await lookupService(SERVICE)).targets, [
      { name: 'a.example.org', port: 80 },
      { name: 'b.example.org', port: 8080 },
    ])
    t.same(zone.askedByUdp, way === 'UDP' ? zone.asked : [])
  })

  t.test(`a target that is no host name allows nothing, over ${way}`, async (t) => {
    const zone = zoneBy(t, way)
    const places = ['0.0.0.0/0', '10.0.0.0/8', '198.51.100.66', '2001:db8::66', '*.example.org', '*', '', '.']
    zone.setService(SERVICE, [
      ...places.map((place) => [place, 80] as const),
      ['a.example.org', 0],
      ['b.example.org', 80],
    ])
    t.same((await lookupService(SERVICE)).targets, [{ name: 'b.example.org', port: 80 }])
    zone.setService(SERVICE, [['.', 0]])
    t.same((await lookupService(SERVICE)).targets, [])
  })

  t.test(`an answer with too many targets is refused, over ${way}`, async (t) => {
    const zone = zoneBy(t, way)
    const targets = (count: number) =>
      Array.from({ length: count }, (_, i) => [`t${i}.example.org`, 80] as const)
    zone.setService(SERVICE, targets(16))
    t.equal((await lookupService(SERVICE)).targets.length, 16)
    zone.setService(SERVICE, targets(17))
    t.equal((await lookupService(SERVICE)).targets.length, 0)
  })
}

t.test('a look-up without any address fails with the reason', async (t) => {
  const zone = Zone.install(t)
  await t.rejects(lookup(NAME), { message: 'it has no address' })
  zone.set(NAME, [], [])
  await t.rejects(lookup(NAME), { message: 'it has no address' })
  zone.set(NAME, dnsError('ESERVFAIL'))
  await t.rejects(lookup(NAME), { message: '198.51.100.53: it answers SERVFAIL' })
  zone.down = dnsError('ETIMEOUT')
  await t.rejects(lookup(NAME), { message: '198.51.100.53: query ETIMEOUT' })
  zone.takesTcp = false
  await t.rejects(lookup(NAME), { code: 'ETIMEOUT' })
  zone.down = undefined
  zone.set(NAME, [], [])
  await t.rejects(lookup(NAME), { message: 'it has no address' })
})

t.test('when the resolver accepts TCP, no query is sent over UDP, even when the look-up fails', async (t) => {
  const zone = Zone.install(t)
  for (const trouble of ['ENOTFOUND', 'ENODATA', 'ESERVFAIL', 'ETIMEOUT']) {
    zone.set(NAME, dnsError(trouble), dnsError(trouble))
    zone.setService(SERVICE, dnsError(trouble))
    await t.rejects(lookup(NAME))
    await lookupService(SERVICE).catch(() => {})
  }
  t.equal(zone.asked.length, 12)
  t.same(zone.askedByUdp, [])
})

t.test('a confirmation uses TCP only', async (t) => {
  const zone = Zone.install(t)
  zone.set(NAME, ['198.51.100.1'], ['2001:db8::1'])
  t.same((await confirm(NAME)).hosts.map(textOf), ['198.51.100.1', '2001:db8::1'])
  zone.takesTcp = false
  await t.rejects(confirm(NAME), { message: '198.51.100.53: it takes no TCP connection' })
  t.same(zone.askedByUdp, [])
})

t.test('no resolver is asked for names of /etc/hosts', async (t) => {
  const zone = Zone.install(t)
  for (const way of [lookup, confirm]) t.ok((await way('localhost')).hosts.map(textOf).includes('127.0.0.1'))
  t.same(zone.asked, [])
})

t.test('a missing service is no failure; a resolver that does not answer is one', async (t) => {
  const zone = Zone.install(t)
  t.same(await lookupService(SERVICE), { targets: [], ttl: 300 })
  zone.setService(SERVICE, dnsError('ENODATA'))
  t.same(await lookupService(SERVICE), { targets: [], ttl: 300 })
  zone.takesTcp = false
  t.same(await lookupService(SERVICE), { targets: [], ttl: 300 })
  for (const code of ['ETIMEOUT', 'ESERVFAIL', 'ECONNREFUSED']) {
    zone.setService(SERVICE, dnsError(code))
    zone.takesTcp = true
    await t.rejects(lookupService(SERVICE), /^198\.51\.100\.53: /)
    zone.takesTcp = false
    await t.rejects(lookupService(SERVICE), { code })
  }
})

t.test('a service is kept for the TTL of its answer, and a day at most', async (t) => {
  const zone = Zone.install(t)
  zone.setService(SERVICE, [['a.example.org', 80]])
  for (const [ttl, kept] of [
    [7, 7],
    [3600, 3600],
    [0x7fffffff, 86_400],
  ] as const) {
    zone.ttl = ttl
    t.equal((await lookupService(SERVICE)).ttl, kept)
  }
})
