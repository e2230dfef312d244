import t from 'tap'
import { SessionTable } from '../src/core/sessions.js'
import { type Connection, type Family, IPPROTO_TCP } from '../src/core/types.js'
import { Flow } from '../src/kernel/conntrack-wire.js'
import { Opened } from '../src/opened.js'
import { words } from './core/packets.js'

const SEED = Uint32Array.of(0x243f6a88, 0x85a308d3)
const TCP_TIMEOUT = 1000
const NOW = 5000
const SERVES: ReadonlySet<number> = new Set([443])

function host() {
  const sessions = new SessionTable({ capacity: 64, tcpTimeout: TCP_TIMEOUT, udpTimeout: 10, seed: SEED })
  return { sessions, opened: new Opened({ seed: SEED, sessions }) }
}

const WEB = { 4: words('198.51.100.1'), 6: words('2001:db8::1') }
const PEER = { 4: words('203.0.113.7'), 6: words('2001:db8:7::7') }

function connection(localPort: number, remotePort: number, family: Family = 4): Connection {
  return { family, local: WEB[family], localPort, remote: PEER[family], remotePort }
}

const CLIENT = connection(443, 50_000)
const OWN = connection(40_000, 8080)

/** Notes down in `calls` that this host has called: the flow is told as the replies that come back. */
function called(calls: ReturnType<Opened['newCalls']>, { family, ...ends }: Connection): void {
  const flow = new Flow()
  flow.family = family
  flow.source.set(ends.remote)
  flow.sourcePort = ends.remotePort
  flow.destination.set(ends.local)
  flow.destinationPort = ends.localPort
  calls.note(flow)
}

const key = ({ family, local, localPort, remote, remotePort }: Connection) =>
  [family, IPPROTO_TCP, local, localPort, remote, remotePort] as const

const holds = ({ table }: Opened, each: Connection, now = NOW) =>
  table.silence(...key(each), now) < Number.POSITIVE_INFINITY

t.test('a connection to a port that listens is a client, even if nobody has told of it', async (t) => {
  const { opened } = host()
  opened.find([CLIENT, connection(443, 50_000, 6)], SERVES, opened.newCalls(), NOW)
  t.same(opened.connections, [])
  t.equal(opened.table.size, 0)
})

t.test('a connection that nothing explains is one that this host has opened', async (t) => {
  const { opened } = host()
  const both = [OWN, connection(40_000, 8080, 6)]
  opened.find([CLIENT, ...both], SERVES, opened.newCalls(), NOW)
  t.strictSame(opened.connections, both)
  for (const each of both) t.ok(holds(opened, each))
  t.notOk(holds(opened, CLIENT))
})

t.test('a client whose port listens no more is a client while connection tracking knows it', async (t) => {
  const { opened, sessions } = host()
  const client = connection(8443, 50_000)
  sessions.seen(...key(client), NOW)
  opened.find([client], SERVES, opened.newCalls(), NOW + TCP_TIMEOUT - 1)
  t.same(opened.connections, [])
  opened.find([client], SERVES, opened.newCalls(), NOW + TCP_TIMEOUT)
  t.strictSame(opened.connections, [client], 'and not from a time that is long over')
})

t.test('a connection that this host has called is its own, even from a port that listens', async (t) => {
  const { opened, sessions } = host()
  const calls = opened.newCalls()
  for (const family of [4, 6] as const) {
    const own = connection(443, 8080, family)
    called(calls, own)
    // Told of as inbound, too: the word of a call is the stronger one.
    sessions.seen(...key(own), NOW)
    opened.find([CLIENT, own], SERVES, calls, NOW)
    t.strictSame(opened.connections, [own], `IPv${family}`)
  }
})

t.test('calls are those of their list only, and each end is told from the other', async (t) => {
  const { opened } = host()
  const calls = opened.newCalls()
  called(calls, CLIENT)
  const backwards = { ...CLIENT, local: CLIENT.remote, remote: CLIENT.local }
  for (const other of [connection(443, 50_001), connection(443, 50_000, 6), backwards])
    t.notOk(calls.has(other, NOW))
  t.ok(calls.has(CLIENT, NOW))
  t.notOk(opened.newCalls().has(CLIENT, NOW))
  opened.find([CLIENT], SERVES, opened.newCalls(), NOW)
  t.same(opened.connections, [])
})

t.test(
  'what was found once stays so, when its port listens or conntrack has forgotten the call',
  async (t) => {
    const { opened, sessions } = host()
    opened.find([OWN], SERVES, opened.newCalls(), NOW)
    sessions.seen(...key(OWN), NOW)
    for (const later of [1, 100, 10_000_000]) {
      opened.find([OWN], new Set([443, OWN.localPort]), opened.newCalls(), NOW + later)
      t.strictSame(opened.connections, [OWN], `${later} s later`)
      t.ok(holds(opened, OWN, NOW + later + 10_000_000), 'and while nobody looks')
    }
  },
)

t.test('what an earlier run has found is known from the start', async (t) => {
  const { opened } = host()
  const own = connection(443, 8080)
  opened.remember([own], NOW)
  t.ok(holds(opened, own))
  opened.find([CLIENT, own], SERVES, opened.newCalls(), NOW)
  t.strictSame(opened.connections, [own])
})

t.test('a connection without a socket is forgotten, and its ends may serve a client again', async (t) => {
  const { opened } = host()
  const own = connection(443, 8080)
  opened.remember([own], NOW)
  opened.find([], SERVES, opened.newCalls(), NOW)
  t.same(opened.connections, [])
  t.equal(opened.table.size, 0)
  opened.find([own], SERVES, opened.newCalls(), NOW)
  t.same(opened.connections, [])
})

t.test('more than the table holds are cut off, and those kept are the same in list and table', async (t) => {
  const { opened } = host()
  const CAPACITY = 65_536
  const many = Array.from({ length: CAPACITY + 10 }, (_, i) => connection(1024 + (i % 60_000), 1 + (i >> 15)))
  opened.find(many, SERVES, opened.newCalls(), NOW)
  t.equal(opened.connections.length, CAPACITY)
  t.equal(opened.table.size, CAPACITY)
  t.equal(opened.table.evicted, 0)
  const missing = opened.connections.filter((each) => !holds(opened, each)).length
  t.equal(missing, 0)
})
