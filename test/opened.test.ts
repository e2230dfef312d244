import t from 'tap'
import type { Connection, Family } from '../src/core/types.js'
import { Connections, Opened, type Witnesses } from '../src/opened.js'
import { words } from './core/packets.js'

const SEED = Uint32Array.of(0x243f6a88, 0x85a308d3)
const CAPACITY = 65_536

const WEB = { 4: words('198.51.100.1'), 6: words('2001:db8::1') }
const PEER = { 4: words('203.0.113.7'), 6: words('2001:db8:7::7') }

function connection(localPort: number, remotePort: number, family: Family = 4): Connection {
  return { family, local: WEB[family], localPort, remote: PEER[family], remotePort }
}

const CLIENT = connection(443, 50_000)
const OWN = connection(40_000, 8080)

function setOf(...connections: Connection[]): Connections {
  const set = new Connections(SEED)
  for (const each of connections) set.add(each)
  return set
}

/** A port that listens, and what connection tracking has seen of the calls. */
function witnesses({ called = [] as Connection[], came = [] as Connection[] } = {}): Witnesses {
  return { listening: new Set([443]), called: setOf(...called), came: setOf(...came) }
}

t.test('a set of connections tells each from all others, and forgets none', async (t) => {
  const set = setOf(CLIENT, connection(443, 50_000, 6))
  const backwards = { ...CLIENT, local: CLIENT.remote, remote: CLIENT.local }
  const crossed = { ...CLIENT, localPort: CLIENT.remotePort, remotePort: CLIENT.localPort }
  for (const other of [connection(443, 50_001), connection(444, 50_000), OWN, backwards, crossed])
    t.notOk(set.has(other))
  t.ok(set.has(CLIENT))
  t.ok(set.has(connection(443, 50_000, 6)))
  t.notOk(setOf().has(CLIENT))
  const { family, local, localPort, remote, remotePort } = CLIENT
  const silence = set.table.silence(family, 6, local, localPort, remote, remotePort, 1_000_000_000)
  t.ok(silence < Number.POSITIVE_INFINITY, 'not by time either, for whoever looks with a clock')
})

t.test('a connection to a port that listens is a client, even if nobody has told of it', async (t) => {
  const opened = new Opened(SEED)
  opened.find([CLIENT, connection(443, 50_000, 6)], witnesses())
  t.same(opened.connections, [])
  t.equal(opened.set.table.size, 0)
})

t.test('a connection that nothing explains is one that this host has opened', async (t) => {
  const opened = new Opened(SEED)
  const both = [OWN, connection(40_000, 8080, 6)]
  opened.find([CLIENT, ...both], witnesses())
  t.strictSame(opened.connections, both)
  for (const each of both) t.ok(opened.set.has(each))
  t.notOk(opened.set.has(CLIENT))
})

t.test('a client whose port listens no more is one where its call was seen', async (t) => {
  const opened = new Opened(SEED)
  const [seen, unseen] = [connection(8443, 50_000), connection(8443, 50_001)]
  opened.find([seen, unseen], witnesses({ came: [seen] }))
  t.strictSame(opened.connections, [unseen])
})

t.test(
  'a connection that this host was seen to call is its own, even from a port that listens',
  async (t) => {
    const opened = new Opened(SEED)
    for (const family of [4, 6] as const) {
      const own = connection(443, 8080, family)
      opened.find([CLIENT, own], witnesses({ called: [own], came: [own] }))
      t.strictSame(opened.connections, [own], `IPv${family}, and a call of the other end does not change it`)
    }
  },
)

t.test('what was found once stays so, whoever listens on its port or is seen to call later', async (t) => {
  const opened = new Opened(SEED)
  opened.find([OWN], witnesses())
  const later = { ...witnesses({ came: [OWN] }), listening: new Set([443, OWN.localPort]) }
  for (const time of ['once', 'and again']) {
    opened.find([CLIENT, OWN], later)
    t.strictSame(opened.connections, [OWN], time)
    t.ok(opened.set.has(OWN))
  }
})

t.test('what an earlier run has found is known from the start', async (t) => {
  const opened = new Opened(SEED)
  const own = connection(443, 8080)
  opened.remember([own])
  t.ok(opened.set.has(own))
  opened.find([CLIENT, own], witnesses())
  t.strictSame(opened.connections, [own])
})

t.test(
  'a connection without a socket is forgotten, and its ends may be those of a client then',
  async (t) => {
    const opened = new Opened(SEED)
    const own = connection(443, 8080)
    opened.remember([own])
    opened.find([], witnesses({ called: [own] }))
    t.same(opened.connections, [])
    t.equal(opened.set.table.size, 0)
    opened.find([own], witnesses())
    t.same(opened.connections, [])
  },
)

t.test('more than fit are cut off, and those kept are the same in the list and in the set', async (t) => {
  const opened = new Opened(SEED)
  const many = Array.from({ length: CAPACITY + 10 }, (_, i) => connection(1024 + (i % 60_000), 1 + (i >> 15)))
  opened.find(many, witnesses())
  t.equal(opened.connections.length, CAPACITY)
  t.equal(opened.set.table.size, CAPACITY)
  t.equal(opened.set.table.evicted, 0)
  const missing = opened.connections.filter((each) => !opened.set.has(each)).length
  t.equal(missing, 0)
})
