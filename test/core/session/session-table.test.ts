import t from 'tap'
import { halfSipHash } from '../../../src/core/bounded/siphash.js'
import { IPPROTO_TCP, IPPROTO_UDP, type Words } from '../../../src/core/packet/ip.js'
import { SOURCES } from '../../../src/core/session/session-table.js'
import { words } from '../packets.js'
import { client, has, type Key, LOCAL, SEED, sizeOf, table, tcpClient, udpClient } from './sessions.js'

t.test('a session is known after it was seen, and unknown after it was removed', async (t) => {
  const sessions = table(10)
  t.notOk(has(sessions, ...tcpClient(1), 0))
  sessions.seen(...tcpClient(1), 0)
  t.ok(has(sessions, ...tcpClient(1), 0))
  t.ok(sessions.remove(...tcpClient(1)))
  t.notOk(has(sessions, ...tcpClient(1), 0))
  t.notOk(sessions.remove(...tcpClient(1)))
})

t.test('sessions that differ in any part of the key are different', async (t) => {
  const local = words('2001:db8::1')
  const remote = words('2001:db8:2::2')
  const known: Key = [6, IPPROTO_TCP, local, 443, remote, 50000]
  const sessions = table(10)
  sessions.seen(...known, 0)
  const others: Key[] = [
    [4, IPPROTO_TCP, local, 443, remote, 50000],
    [6, IPPROTO_UDP, local, 443, remote, 50000],
    [6, IPPROTO_TCP, local, 444, remote, 50000],
    [6, IPPROTO_TCP, local, 443, remote, 50001],
    [6, IPPROTO_TCP, remote, 443, local, 50000],
    [6, IPPROTO_TCP, local, 50000, remote, 443],
  ]
  for (let word = 0; word < 4; word++) {
    const changed = (address: Words) => address.map((value, i) => (i === word ? value ^ 1 : value))
    others.push([6, IPPROTO_TCP, changed(local), 443, remote, 50000])
    others.push([6, IPPROTO_TCP, local, 443, changed(remote), 50000])
  }
  for (const other of others) t.notOk(has(sessions, ...other, 0), other.join(' '))
  t.ok(has(sessions, ...known, 0))
})

t.test('a session keeps its own copy of the addresses: the caller may reuse the arrays', async (t) => {
  const sessions = table(10)
  const remote = words('203.0.113.9')
  sessions.seen(4, IPPROTO_TCP, LOCAL, 443, remote, 50000, 0)
  remote.fill(0)
  t.ok(has(sessions, 4, IPPROTO_TCP, LOCAL, 443, words('203.0.113.9'), 50000, 0))
})

t.test('a session is known until its timeout, and a look-up does not prolong it', async (t) => {
  const sessions = table(10, 1000, 100)
  sessions.seen(...tcpClient(1), 50)
  sessions.seen(...udpClient(1), 50)
  t.ok(has(sessions, ...udpClient(1), 149))
  t.notOk(has(sessions, ...udpClient(1), 150))
  t.ok(has(sessions, ...tcpClient(1), 1049))
  t.notOk(has(sessions, ...tcpClient(1), 1050))
})

t.test('the silence of a session counts from its last packet', async (t) => {
  const sessions = table(10, 1000, 100)
  t.equal(sessions.silence(...tcpClient(1), 50), Number.POSITIVE_INFINITY)
  sessions.seen(...tcpClient(1), 50)
  t.equal(sessions.silence(...tcpClient(1), 50), 0)
  t.equal(sessions.silence(...tcpClient(1), 1049), 999)
  t.equal(sessions.silence(...tcpClient(1), 1050), Number.POSITIVE_INFINITY)
})

t.test('a session is counted under its last source', async (t) => {
  const sessions = table(3)
  const counts = () => SOURCES.map((source) => sessions.sizeOf(IPPROTO_TCP, source))
  sessions.seen(...tcpClient(1), 0, 'conntrack')
  sessions.seen(...tcpClient(2), 0, 'socket')
  sessions.seen(...tcpClient(3), 0, 'socket')
  t.same(counts(), [1, 2])
  sessions.seen(...tcpClient(1), 1, 'socket')
  sessions.seen(...tcpClient(2), 1, 'conntrack')
  t.same(counts(), [1, 2])
  sessions.remove(...tcpClient(1))
  sessions.seen(...tcpClient(4), 2, 'socket')
  sessions.seen(...tcpClient(5), 2, 'conntrack')
  t.same(counts(), [2, 1], 'the session of client 3 was evicted')
  sessions.clear()
  t.same(counts(), [0, 0])
})

t.test('a packet refreshes its session', async (t) => {
  const sessions = table(10, 1000, 100)
  sessions.seen(...udpClient(1), 0)
  sessions.seen(...udpClient(1), 90)
  t.ok(has(sessions, ...udpClient(1), 189))
  t.equal(sessions.size, 1)
})

t.test('expiry removes the sessions past their timeout, never more than the limit at once', async (t) => {
  const sessions = table(20, 1000, 100)
  for (let n = 0; n < 5; n++) sessions.seen(...udpClient(n), n)
  for (let n = 0; n < 5; n++) sessions.seen(...tcpClient(n), n + 5)
  t.equal(sessions.expire(99, 10), 0)
  t.equal(sessions.expire(102, 2), 2)
  t.equal(sizeOf(sessions, IPPROTO_UDP), 3)
  t.equal(sessions.expire(102, 10), 1)
  t.equal(sessions.expire(1006, 3), 3)
  t.equal(sessions.expire(1006, 10), 1)
  t.same([sizeOf(sessions, IPPROTO_UDP), sizeOf(sessions, IPPROTO_TCP), sessions.size], [0, 3, 3])
  t.equal(sessions.evicted, 0)
})

t.test('a full table evicts the session with the longest silence, and counts it', async (t) => {
  const sessions = table(3, 1000, 1000)
  sessions.seen(...tcpClient(1), 1)
  sessions.seen(...udpClient(2), 2)
  sessions.seen(...tcpClient(3), 3)
  sessions.seen(...tcpClient(1), 4)
  sessions.seen(...tcpClient(4), 5)
  t.notOk(has(sessions, ...udpClient(2), 5))
  sessions.seen(...udpClient(5), 6)
  t.notOk(has(sessions, ...tcpClient(3), 6))
  t.ok(has(sessions, ...tcpClient(1), 6))
  t.same([sessions.size, sessions.evicted], [3, 2])
})

t.test('of a TCP and a UDP session of the same second, the UDP session is evicted', async (t) => {
  const sessions = table(2, 1000, 1000)
  sessions.seen(...tcpClient(1), 1)
  sessions.seen(...udpClient(2), 1)
  sessions.seen(...tcpClient(3), 1)
  t.ok(has(sessions, ...tcpClient(1), 1))
  t.notOk(has(sessions, ...udpClient(2), 1))
})

t.test('no live session is evicted while another one is past its timeout', async (t) => {
  const sessions = table(2, 1000, 100)
  sessions.seen(...tcpClient(1), 1)
  sessions.seen(...udpClient(2), 2)
  sessions.seen(...tcpClient(3), 200)
  t.ok(has(sessions, ...tcpClient(1), 200))
  t.same([sessions.size, sessions.evicted], [2, 0])
})

t.test('a table with capacity 1 holds the newest session', async (t) => {
  const sessions = table(1)
  for (let n = 1; n <= 100; n++) {
    sessions.seen(...client(n, n % 2 === 0 ? IPPROTO_TCP : IPPROTO_UDP), 1)
    t.equal(sessions.size, 1)
    t.ok(has(sessions, ...client(n, n % 2 === 0 ? IPPROTO_TCP : IPPROTO_UDP), 1))
  }
  t.equal(sessions.evicted, 99)
})

t.test('a clock that steps back neither revives a session nor loses one', async (t) => {
  const sessions = table(3, 1000, 100)
  sessions.seen(...udpClient(1), 500)
  sessions.seen(...udpClient(2), 3)
  t.ok(has(sessions, ...udpClient(1), 0))
  t.ok(has(sessions, ...udpClient(2), 599))
  t.equal(sessions.expire(0, 10), 0)
  t.equal(sessions.expire(600, 10), 2)
  sessions.seen(...udpClient(3), 0)
  t.ok(has(sessions, ...udpClient(3), 699))
})

t.test('a cleared table is empty and can be used again', async (t) => {
  const sessions = table(4)
  for (let n = 0; n < 6; n++) sessions.seen(...tcpClient(n), 0)
  sessions.clear()
  t.same([sessions.size, sessions.evicted], [0, 2])
  for (let n = 0; n < 6; n++) t.notOk(has(sessions, ...tcpClient(n), 0))
  for (let n = 0; n < 4; n++) sessions.seen(...udpClient(n), 0)
  for (let n = 0; n < 4; n++) t.ok(has(sessions, ...udpClient(n), 0))
})

t.test('sessions that all hash to the last slot are found, also after some are removed', async (t) => {
  const capacity = 32
  const colliding: Key[] = []
  for (let port = 0; colliding.length < capacity; port++) {
    const key = Uint32Array.of(LOCAL[0]!, words('203.0.113.7')[0]!, (443 << 16) | port)
    const hash = halfSipHash(SEED, key, 3, 0) >>> 0
    if (Math.floor((hash / 0x100000000) * capacity * 2) === capacity * 2 - 1) colliding.push(tcpClient(port))
  }
  const sessions = table(capacity)
  for (const key of colliding) sessions.seen(...key, 0)
  t.ok(colliding.every((key) => has(sessions, ...key, 0)))
  for (const [i, key] of colliding.entries()) if (i % 3 === 0) sessions.remove(...key)
  t.ok(colliding.every((key, i) => has(sessions, ...key, 0) === (i % 3 !== 0)))
})

/** Returns two values for one word of an IPv4 key (local, remote, ports) with the same hash in the table. */
function collision(word: number): [Words, Words] {
  const found = new Map<number, Words>()
  // The table keeps 30 bits of a hash: among some 40,000 keys two are likely to share them.
  for (let n = 0; ; n++) {
    const key = Uint32Array.of(LOCAL[0]!, 0xcb007107, (443 << 16) | 50000)
    key[word] = n
    const hash = halfSipHash(SEED, key, 3, 0) >>> 2
    const other = found.get(hash)
    if (other !== undefined) return [key, other]
    found.set(hash, key)
  }
}

t.test('two sessions with equal hashes are different', async (t) => {
  for (const word of [0, 1, 2]) {
    const [one, other] = collision(word).map(([local, remote, ports]): Key => {
      const addresses = [Uint32Array.of(local!, 0, 0, 0), Uint32Array.of(remote!, 0, 0, 0)] as const
      return [4, IPPROTO_TCP, addresses[0], ports! >>> 16, addresses[1], ports! & 0xffff]
    }) as [Key, Key]
    const sessions = table(4)
    sessions.seen(...one, 0)
    t.notOk(has(sessions, ...other, 0))
    sessions.seen(...other, 0)
    t.equal(sessions.size, 2)
    t.ok(sessions.remove(...one))
    t.ok(has(sessions, ...other, 0))
  }
})

t.test('a session takes at most 64 bytes, at any capacity', async (t) => {
  for (const capacity of [1, 2, 3, 10, 1000, 65_537, 1_000_000]) {
    t.ok(
      table(capacity).byteLength / capacity <= 64,
      `a session takes ${table(capacity).byteLength / capacity} bytes`,
    )
  }
})

t.test('an empty table for a million sessions takes hardly any memory', async (t) => {
  const before = process.memoryUsage().rss
  const sessions = table(1_000_000)
  sessions.seen(...tcpClient(1), 0)
  const grown = process.memoryUsage().rss - before
  t.ok(grown < sessions.byteLength / 3, `the memory grew by ${grown} bytes`)
})

t.test('a capacity out of range is refused', async (t) => {
  for (const capacity of [0, -1, 1.5, Number.NaN, 100_000_001]) t.throws(() => table(capacity), RangeError)
})
