import t from 'tap'
import type { Family, Initiator } from '../../src/core/packet/ip.js'
import type { SocketConnection } from '../../src/kernel/sockets/sock-diag-wire.js'
import { OpenedConnections } from '../../src/sessions/opened-connections.js'
import { words } from '../core/packets.js'

const SEED = Uint32Array.of(0x243f6a88, 0x85a308d3)
const WEB = { 4: words('198.51.100.1'), 6: words('2001:db8::1') }
const PEER = { 4: words('203.0.113.7'), 6: words('2001:db8:7::7') }
const LISTENING = new Set([443])

function connection(
  initiator: Initiator,
  localPort: number,
  remotePort = 50_000,
  family: Family = 4,
): SocketConnection {
  return { family, local: WEB[family], localPort, remote: PEER[family], remotePort, device: 0, initiator }
}

/** Returns whether the packet path takes a connection for one that this host opened. */
function has(
  { table }: OpenedConnections,
  { family, local, localPort, remote, remotePort }: SocketConnection,
): boolean {
  return (
    table.silence(family, 6, local, localPort, remote, remotePort, 1_000_000_000) < Number.POSITIVE_INFINITY
  )
}

t.test('a connection with this host as initiator is opened, even on a listening port', async (t) => {
  const opened = new OpenedConnections(SEED)
  const own = [
    connection('this-host', 40_000),
    connection('this-host', 443),
    connection('this-host', 40_000, 80, 6),
  ]
  opened.find(own, LISTENING)
  t.strictSame(opened.connections, own)
  for (const each of own) t.ok(has(opened, each))
  t.notOk(has(opened, connection('this-host', 40_001)), 'the table has no other connection')
})

t.test(
  'a connection that the other end opened is a client’s, even when the port no longer listens',
  async (t) => {
    const opened = new OpenedConnections(SEED)
    opened.find([connection('other-end', 443), connection('other-end', 40_000)], LISTENING)
    t.same(opened.connections, [])
    t.equal(opened.table.size, 0)
  },
)

t.test('with an unknown initiator, only connections on listening ports are clients’', async (t) => {
  const opened = new OpenedConnections(SEED)
  opened.find([connection('unknown', 443), connection('unknown', 40_000)], LISTENING)
  t.strictSame(opened.connections, [connection('unknown', 40_000)])
})

t.test('a connection whose SYN was seen is opened, whatever state its socket has later', async (t) => {
  const opened = new OpenedConnections(SEED)
  const own = connection('other-end', 443)
  opened.table.seen(4, 6, own.local, own.localPort, own.remote, own.remotePort, 0)
  opened.find([own, connection('other-end', 443, 50_001)], LISTENING)
  t.strictSame(opened.connections, [own])
  opened.find([], LISTENING)
  opened.find([own], LISTENING)
  t.strictSame(opened.connections, [], 'the connection counts only while its socket exists')
})

t.test('a connection without a socket is removed', async (t) => {
  const opened = new OpenedConnections(SEED)
  const [one, other] = [connection('this-host', 40_000), connection('this-host', 40_001)]
  opened.find([one], LISTENING)
  opened.find([other], LISTENING)
  t.strictSame(opened.connections, [other])
  t.notOk(has(opened, one))
})

t.test('connections beyond the capacity are ignored', async (t) => {
  const opened = new OpenedConnections(SEED)
  const many = Array.from({ length: 70_000 }, (_, i) => connection('this-host', 1 + (i >> 16), i & 0xffff))
  opened.find(many, LISTENING)
  t.equal(opened.connections.length, 65_536)
  t.equal(opened.table.size, 65_536)
})

t.test('connections that stay open are not evicted by the connections of a whole day', async (t) => {
  const opened = new OpenedConnections(SEED)
  const lasting = connection('other-end', 443)
  const call = ({ family, local, localPort, remote, remotePort }: SocketConnection) =>
    opened.table.seen(family, 6, local, localPort, remote, remotePort, 0)
  call(lasting)
  let lists = 0
  for (let i = 0; i < 300_000; i++) {
    call(connection('this-host', 1 + (i >> 16), i & 0xffff))
    if (!opened.isCrowded) continue
    lists++
    opened.keepOpen([lasting, connection('this-host', 9)])
  }
  t.ok(has(opened, lasting))
  t.notOk(has(opened, connection('this-host', 9)), 'a connection whose SYN was not seen is not in the table')
  t.ok(lists > 0 && lists < 30, `${lists} lists were read`)
})
