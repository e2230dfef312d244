import t from 'tap'
import type { ConfiguredDestination } from '../../src/config/types.js'
import type { Address } from '../../src/core/packet/ip.js'
import type { Mirror } from '../../src/host/mirrors/mirror.js'
import { type Knowledge, listMirrors } from '../../src/telemetry/mirror-status.js'

const PORTS = [
  { first: 80, last: 80 },
  { first: 8000, last: 8080 },
]
const UNTIL = Date.UTC(2027, 0, 1)
const origin = { file: 'main.yaml', line: 3 }
const named = (name: string): ConfiguredDestination => ({ kind: 'name', name, origin })
const below = (domain: string): ConfiguredDestination => ({ kind: 'wildcard', domain, origin })
const host = (number: number): Address => ({ family: 4, words: Uint32Array.of(0xc6336400 + number, 0, 0, 0) })

/** Makes a knowledge of names with a number of addresses each. */
function knowing(names: Readonly<Record<string, number>>): Knowledge {
  return {
    targets: (service) =>
      service === '_http._tcp.example.org' ? [{ name: 'moved.example.org', port: 8080 }] : [],
    addresses: (name) =>
      Array.from({ length: names[name] ?? 0 }, (_, index) => ({ host: host(index), expires: UNTIL })),
    names: () => Object.keys(names),
  }
}

const list = (hosts: ConfiguredDestination[], knowledge: Knowledge, found: readonly Mirror[] = []) =>
  listMirrors({ mirrors: { discover: true, root: '/', users: [], hosts, ports: PORTS } }, found, knowledge)

t.test(
  'a mirror has its origin, its ports and its addresses; a wildcard has those of the names below it',
  async (t) => {
    const knowledge = knowing({
      'a.example.org': 1,
      'b.a.example.org': 1,
      'example.org': 1,
      'aexample.org': 1,
    })
    const { mirrors, moreMirrors } = await list(
      [named('a.example.org'), below('example.org'), named('none.example.org')],
      knowledge,
    )
    const address = { address: '198.51.100.0', until: '2027-01-01T00:00:00.000Z' }
    const common = { ports: ['80', '8000-8080'], found: 'main.yaml:3' }
    t.strictSame(mirrors, [
      { host: 'a.example.org', ...common, addresses: [address] },
      {
        host: '*.example.org',
        ...common,
        addresses: [
          { name: 'a.example.org', ...address },
          { name: 'b.a.example.org', ...address },
        ],
      },
      { host: 'none.example.org', ...common, addresses: [] },
    ])
    t.equal(moreMirrors, 0)
  },
)

t.test('the targets of a service follow the name of the service', async (t) => {
  const service = '_http._tcp.example.org'
  const found = [
    {
      host: 'example.org',
      port: 80,
      service,
      manager: 'apt' as const,
      origin: { file: 'sources.list', line: 1 },
    },
  ]
  const { mirrors } = await list([], knowing({ 'moved.example.org': 1 }), found)
  t.match(mirrors, [
    { host: 'example.org', ports: ['80'], manager: 'apt', found: 'sources.list:1' },
    { host: 'moved.example.org', ports: ['8080'], service, addresses: [{ address: '198.51.100.0' }] },
  ])
})

t.test(
  'an answer is bounded, has the number of omitted addresses, and has an address of each mirror',
  async (t) => {
    const hosts = Array.from({ length: 1500 }, (_, index) => named(`host${index}.example.org`))
    const names = Object.fromEntries(hosts.map((each) => [(each as { name: string }).name, 10]))
    const { mirrors, moreMirrors } = await list(hosts, knowing(names))
    t.same([mirrors.length, moreMirrors], [1000, 500])
    const counts = mirrors.map(({ addresses, more = 0 }) => [addresses.length, addresses.length + more])
    t.ok(counts.every(([listed, all]) => listed! >= 1 && all === 10))
    t.ok(counts.reduce((sum, [listed]) => sum + listed!, 0) <= 3000)
  },
)

t.test('for any number of names, packets are judged in between', async (t) => {
  const names = Object.fromEntries(
    Array.from({ length: 100_000 }, (_, index) => [`host${index}.example.org`, 1]),
  )
  let turns = 0
  let isDone = false
  const others = () => {
    turns++
    if (!isDone) setImmediate(others)
  }
  setImmediate(others)
  const { mirrors } = await list([below('example.org'), below('org')], knowing(names))
  isDone = true
  t.ok(turns >= 1000, `${turns} turns of the loop passed`)
  t.equal(mirrors[0]!.addresses.length + mirrors[0]!.more!, 100_000)
})
