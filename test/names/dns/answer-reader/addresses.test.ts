import type { Answer } from 'dns-packet'
import { TRUNCATED_RESPONSE } from 'dns-packet'
import t from 'tap'
import { isElsewhere } from '../../../../src/names/dns/answer-reader.js'
import { host, many } from '../../addresses.js'
import { a, aaaa, asked, cname, NXDOMAIN, response, SERVFAIL } from '../answers.js'
import { hostsOf, NAME, nothing, read, texts } from './reading.js'

t.test(
  'an answer gives the addresses of the name, in both families, and how long they may be kept',
  async (t) => {
    t.same(read([a(NAME, '198.51.100.1'), a(NAME, '198.51.100.2'), aaaa(NAME, '2001:db8::1')]), {
      ...nothing,
      hosts: ['198.51.100.1', '198.51.100.2', '2001:db8::1'],
      ttl: 60,
    })
  },
)

t.test('aliases are followed in any order of the records, and are returned', async (t) => {
  const answers = [
    a('c.example.net', '198.51.100.1'),
    cname('b.example.net', 'c.example.net'),
    cname(NAME, 'b.example.net'),
  ]
  const expected = {
    ...nothing,
    hosts: ['198.51.100.1'],
    aliases: ['b.example.net', 'c.example.net'],
    ttl: 60,
  }
  t.same(read(answers), expected)
  t.same(read(answers.toReversed()), expected)
})

t.test('an alias without an address is returned: some clients ask for the rest themselves', async (t) => {
  t.same(read([cname(NAME, 'b.example.net', 30)]), { ...nothing, aliases: ['b.example.net'], ttl: 30 })
})

t.test('the shortest TTL of the records that lead to the address counts, and no other TTL', async (t) => {
  const way = (...ttls: readonly [number, number, number]) =>
    read([
      cname(NAME, 'b.example.net', ttls[0]),
      a('b.example.net', '198.51.100.1', ttls[1]),
      a('b.example.net', '198.51.100.2', ttls[2]),
      a('c.example.net', '198.51.100.3', 1),
    ])?.ttl
  t.equal(way(10, 20, 30), 10)
  t.equal(way(30, 10, 20), 10)
  t.equal(way(30, 20, 10), 10)
  t.equal(way(0, 20, 10), 0)
})

t.test('records of other names are not believed', async (t) => {
  t.equal(read([a('evil.example.net', '198.51.100.66')]), undefined)
  t.same(hostsOf([a(NAME, '198.51.100.1'), a('evil.example.net', '198.51.100.66')]), ['198.51.100.1'])
  t.same(
    read([
      a(NAME, '198.51.100.1'),
      cname('evil.example.net', 'x.example.net'),
      a('x.example.net', '198.51.100.66'),
    ]),
    { ...nothing, hosts: ['198.51.100.1'], ttl: 60 },
    'the aliases of other names are not believed either',
  )
  t.same(
    hostsOf([a(NAME, '198.51.100.1'), a(`x.${NAME}`, '198.51.100.66'), a('example.org', '198.51.100.67')]),
    ['198.51.100.1'],
  )
})

t.test('records of another class are not believed', async (t) => {
  t.equal(read([{ type: 'A', name: NAME, class: 'CH', data: '198.51.100.1', ttl: 60 }]), undefined)
})

t.test('names are equal in upper and lower case, and with a dot at the end', async (t) => {
  t.same(read([cname('MIRROR.Example.ORG', 'B.example.NET.'), a('b.EXAMPLE.net', '198.51.100.1')]), {
    ...nothing,
    hosts: ['198.51.100.1'],
    aliases: ['b.example.net'],
    ttl: 60,
  })
})

t.test('an answer with a failure code gives nothing, whatever records it has', async (t) => {
  const answers = [cname(NAME, 'b.example.net'), a('b.example.net', '198.51.100.1')]
  for (const rcode of [SERVFAIL, NXDOMAIN, 1, 5, 15])
    t.equal(read(answers, { flags: rcode }), undefined, `the failure code is ${rcode}`)
})

t.test('a truncated answer gives nothing: the program asks again by TCP', async (t) => {
  t.equal(read([a(NAME, '198.51.100.1')], { flags: TRUNCATED_RESPONSE }), undefined)
})

t.test('an answer without records, or with other types only, gives nothing', async (t) => {
  t.equal(read([]), undefined)
  t.equal(read([{ type: 'TXT', name: NAME, data: '198.51.100.1' }]), undefined)
  t.equal(read([{ type: 'NS', name: NAME, data: 'ns.example.org' }]), undefined)
})

t.test('aliases that form a circle give nothing, and the reader ends', async (t) => {
  t.equal(read([cname(NAME, NAME), a(NAME, '198.51.100.1')]), undefined)
  t.equal(
    read([
      cname(NAME, 'b.example.net'),
      cname('b.example.net', 'c.example.net'),
      cname('c.example.net', 'b.example.net'),
      a('c.example.net', '198.51.100.1'),
    ]),
    undefined,
  )
  t.equal(
    read([cname(NAME, 'B.example.net'), cname('b.example.net', 'B.EXAMPLE.NET')]),
    undefined,
    'the circle differs in upper and lower case',
  )
})

/** Makes a chain of this number of aliases to an address. */
const way = (length: number): Answer[] => [
  ...Array.from({ length }, (_, i) => cname(i === 0 ? NAME : `n${i}.example.net`, `n${i + 1}.example.net`)),
  a(length === 0 ? NAME : `n${length}.example.net`, '198.51.100.1'),
]

t.test('a chain of more than 16 aliases is refused', async (t) => {
  t.same(read(way(16))?.aliases.length, 16)
  t.equal(read(way(17)), undefined)
  t.equal(read(way(1000)), undefined)
})

t.test('an answer of 64 addresses is accepted, one of 65 is refused', async (t) => {
  const answers = (count: number) => many(count).map((text) => a(NAME, text))
  t.same(hostsOf(answers(64)), many(64))
  t.equal(read(answers(65)), undefined)
  t.equal(read(answers(1000)), undefined)
  t.equal(
    read([
      ...many(40).map((text) => a(NAME, text)),
      ...Array.from({ length: 25 }, (_, i) => aaaa(NAME, `2001:db8::${i + 1}`)),
    ]),
    undefined,
    'the limit counts both families together',
  )
})

t.test('addresses that reach no other host are not learned, but the others are', async (t) => {
  const here = [
    ...['0.0.0.0', '0.1.2.3', '127.0.0.1', '127.255.255.255', '169.254.169.254', '169.254.0.0'],
    ...['224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255'],
  ]
  const here6 = [
    ...[
      '::',
      '::1',
      '::ffff:192.0.2.1',
      '::ffff:169.254.169.254',
      '::192.0.2.1',
      'fe80::1',
      'febf::1',
      'ff02::1',
    ],
  ]
  for (const text of [...here, ...here6]) {
    const record = text.includes(':') ? aaaa(NAME, text) : a(NAME, text)
    t.same(hostsOf([record, a(NAME, '198.51.100.1')]), ['198.51.100.1'], text)
    t.equal(read([record]), undefined, `${text} is the only address`)
  }
})

t.test('addresses next to those networks are ordinary addresses', async (t) => {
  for (const text of [
    '1.0.0.0',
    '126.255.255.255',
    '128.0.0.0',
    '169.253.255.255',
    '169.255.0.0',
    '223.255.255.255',
  ])
    t.ok(isElsewhere(host(text)), text)
  for (const text of [
    '0:1::',
    '2001:db8::1',
    'fdff::1',
    'fe7f:ffff::',
    'fec0::',
    'feff:ffff::',
    '7f00::1',
    'a9fe::1',
  ])
    t.ok(isElsewhere(host(text)), text)
  for (const text of ['10.0.0.1', '172.16.0.1', '192.168.0.1', '100.64.0.1', 'fd00::1'])
    t.ok(isElsewhere(host(text)), `${text} may be the address of an own mirror`)
})

t.test('every TTL is limited to a day', async (t) => {
  const ttl = (written: number) => read([a(NAME, '198.51.100.1', written)])?.ttl
  t.same([0, 1, 86_400, 86_401, 0x7fffffff, 0xffffffff].map(ttl), [0, 1, 86_400, 86_400, 86_400, 86_400])
})

t.test('reading a message leaves its bytes unchanged', async (t) => {
  const bytes = response(asked(NAME), [a(NAME, '198.51.100.1')])
  const before = Buffer.from(bytes)
  texts(bytes)
  t.same(bytes, before)
})

t.test('an answer of more than 3,072 bytes is not read', async (t) => {
  const sized = (bytes: number) => {
    const rest = bytes - response(asked(NAME), [a(NAME, '198.51.100.1'), padding(0)]).length
    return response(asked(NAME), [a(NAME, '198.51.100.1'), padding(rest)])
  }
  const padding = (length: number): Answer => ({ type: 'NULL', name: '', data: Buffer.alloc(length) })
  t.equal(sized(3072).length, 3072)
  t.not(texts(sized(3072)), undefined)
  t.equal(texts(sized(3073)), undefined)
})
