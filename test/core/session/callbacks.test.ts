import t from 'tap'
import { type Family, IPPROTO_TCP, IPPROTO_UDP, type SocketState } from '../../../src/core/packet/ip.js'
import { decode, Packet } from '../../../src/core/packet/packet.js'
import { type CallbackSpec, Callbacks } from '../../../src/core/session/callbacks.js'
import { ipv4, ipv6, tcp, udp, words } from '../packets.js'

const UDP_TIMEOUT = 10
const LOCAL = words('192.0.2.1')
const CLIENT = words('198.51.100.2')
const FTP: CallbackSpec = {
  service: { protocol: 'tcp', port: 21 },
  protocol: 'tcp',
  ports: [{ first: 1024, last: 65535 }],
  perSession: 2,
}
const TFTP: CallbackSpec = { ...FTP, service: { protocol: 'udp', port: 69 }, protocol: 'udp' }

function read(bytes: Uint8Array): Packet {
  const packet = new Packet()
  const malformed = decode(bytes, 0, bytes.length, bytes.length, packet)
  if (malformed) throw new Error(malformed)
  return packet
}

const call = (destinationPort: number, destination = '198.51.100.2') =>
  read(ipv4({ destination }, tcp({ sourcePort: 20, destinationPort })))
const datagram = (destinationPort: number) =>
  read(ipv4({ protocol: IPPROTO_UDP }, udp({ sourcePort: 40000, destinationPort })))

/** Simulates a kernel with the same state for every socket, and counts the look-ups. */
function kernel(state: SocketState) {
  const asked: number[] = []
  const lookUp = (_f: Family, _l: Uint32Array, _lp: number, _r: Uint32Array, remotePort: number) => {
    asked.push(remotePort)
    return state
  }
  return { asked, lookUp }
}

/** Returns the callbacks of a host with one FTP session. */
function withSession(specs: readonly CallbackSpec[] = [FTP], port = 21): Callbacks {
  const callbacks = new Callbacks(specs, UDP_TIMEOUT)
  callbacks.seen(4, IPPROTO_TCP, LOCAL, port, CLIENT, 50000, 0)
  return callbacks
}

const SENDER = { device: 7 }
const CONNECTED = kernel('established').lookUp

t.test('a client with a session allows callbacks, only to the ports of the callback', async (t) => {
  t.ok(withSession().allow(call(1024), SENDER, CONNECTED, 0))
  t.notOk(withSession().allow(call(1023), SENDER, CONNECTED, 0))
  t.notOk(withSession().allow(datagram(2000), SENDER, CONNECTED, 0), 'another protocol is refused')
})

t.test('other hosts and clients without a session allow no callbacks', async (t) => {
  t.notOk(new Callbacks([FTP], UDP_TIMEOUT).allow(call(2000), SENDER, CONNECTED, 0))
  t.notOk(withSession().allow(call(2000, '198.51.100.3'), SENDER, CONNECTED, 0))
  t.notOk(
    withSession([FTP], 22).allow(call(2000), SENDER, CONNECTED, 0),
    'the session belongs to another service',
  )
  t.notOk(withSession([]).allow(call(2000), SENDER, CONNECTED, 0), 'no service has callbacks')
})

t.test('the kernel’s socket must be in an established state now', async (t) => {
  for (const state of ['transient', 'none', 'unknown'] as const) {
    const callbacks = withSession()
    const { asked, lookUp } = kernel(state)
    t.notOk(callbacks.allow(call(2000), SENDER, lookUp, 0), state)
    t.same(asked, [50000])
    t.notOk(callbacks.allow(call(2000), SENDER, CONNECTED, 0), 'the session has ended')
  }
})

t.test(
  'a session allows the configured number of connections; the next session allows as many again',
  async (t) => {
    const callbacks = withSession()
    t.same(
      [1, 2, 3].map(() => callbacks.allow(call(2000), SENDER, CONNECTED, 0)),
      [true, true, false],
    )
    callbacks.seen(4, IPPROTO_TCP, LOCAL, 21, CLIENT, 50000, 1)
    t.notOk(
      callbacks.allow(call(2000), SENDER, CONNECTED, 1),
      'another packet of the same session starts no new session',
    )
    callbacks.seen(4, IPPROTO_TCP, LOCAL, 21, CLIENT, 50001, 1)
    t.ok(callbacks.allow(call(2000), SENDER, CONNECTED, 1))
  },
)

t.test('a client has separate sessions with two addresses of this host', async (t) => {
  const callbacks = withSession([{ ...FTP, perSession: 1 }])
  callbacks.seen(4, IPPROTO_TCP, words('192.0.2.2'), 21, CLIENT, 50000, 0)
  t.same(
    [1, 2, 3].map(() => callbacks.allow(call(2000), SENDER, CONNECTED, 0)),
    [true, true, false],
  )
})

t.test('a UDP session lasts until its timeout', async (t) => {
  const callbacks = new Callbacks([{ ...TFTP, perSession: 9 }], UDP_TIMEOUT)
  callbacks.seen(4, IPPROTO_UDP, LOCAL, 69, CLIENT, 50000, 100)
  const { asked, lookUp } = kernel('none')
  t.ok(callbacks.allow(datagram(2000), SENDER, lookUp, 109))
  t.notOk(callbacks.allow(call(2000), SENDER, lookUp, 109), 'another protocol is refused')
  callbacks.seen(4, IPPROTO_UDP, LOCAL, 69, CLIENT, 50000, 105)
  t.ok(callbacks.allow(datagram(2000), SENDER, lookUp, 114), 'the client has sent another packet')
  t.notOk(callbacks.allow(datagram(2000), SENDER, lookUp, 115))
  t.same(asked, [], 'UDP has no socket to look up')
})

t.test('TCP and UDP services on the same port are separate', async (t) => {
  const both = { ...FTP, service: { protocol: 'udp', port: 21 } } as const
  const callbacks = new Callbacks([both], UDP_TIMEOUT)
  callbacks.seen(4, IPPROTO_TCP, LOCAL, 21, CLIENT, 50000, 0)
  t.notOk(callbacks.allow(call(2000), SENDER, CONNECTED, 0))
  callbacks.seen(4, IPPROTO_UDP, LOCAL, 21, CLIENT, 50000, 0)
  t.ok(callbacks.allow(call(2000), SENDER, CONNECTED, 0))
})

t.test('IPv6 clients differ by their whole address', async (t) => {
  const callbacks = new Callbacks([FTP], UDP_TIMEOUT)
  callbacks.seen(6, IPPROTO_TCP, words('2001:db8::1'), 21, words('2001:db8:2::2'), 50000, 0)
  const to = (destination: string) =>
    read(ipv6({ destination }, tcp({ sourcePort: 20, destinationPort: 2000 })))
  t.notOk(callbacks.allow(to('2001:db8:2::3'), SENDER, CONNECTED, 0))
  t.notOk(callbacks.allow(to('2001:db8:3::2'), SENDER, CONNECTED, 0))
  t.ok(callbacks.allow(to('2001:db8:2::2'), SENDER, CONNECTED, 0))
})

t.test(
  'the number of sessions of one client and of all clients is bounded; the oldest are evicted',
  async (t) => {
    const callbacks = new Callbacks([{ ...FTP, perSession: 1 }], UDP_TIMEOUT)
    for (let port = 1; port <= 100; port++) callbacks.seen(4, IPPROTO_TCP, LOCAL, 21, CLIENT, port, 0)
    let allowed = 0
    while (allowed < 1000 && callbacks.allow(call(2000), SENDER, CONNECTED, 0)) allowed++
    t.equal(allowed, 64)
    const remote = (n: number) => Uint32Array.of(0xc6120000 + n, 0, 0, 0)
    for (let n = 0; n < 17_000; n++) callbacks.seen(4, IPPROTO_TCP, LOCAL, 21, remote(n), 50000, 0)
    t.notOk(callbacks.allow(call(2000, '198.18.0.0'), SENDER, CONNECTED, 0), 'the first client was evicted')
    t.ok(
      callbacks.allow(call(2000, '198.18.66.103'), SENDER, CONNECTED, 0),
      'the last client has its session',
    )
    for (let n = 0; n < 300_000; n++) callbacks.seen(4, IPPROTO_TCP, LOCAL, 21, remote(n % 4096), n >> 12, 0)
    let remembered = 0
    for (let n = 0; n < 4096; n++) {
      const client = `198.18.${n >> 8}.${n & 255}`
      while (callbacks.allow(call(2000, client), SENDER, CONNECTED, 0)) remembered++
    }
    t.equal(remembered, 16_384)
  },
)

t.test('for one packet the kernel is asked about a few sessions only', async (t) => {
  const callbacks = new Callbacks([FTP], UDP_TIMEOUT)
  for (let port = 1; port <= 64; port++) callbacks.seen(4, IPPROTO_TCP, LOCAL, 21, CLIENT, port, 0)
  const { asked, lookUp } = kernel('none')
  t.notOk(callbacks.allow(call(2000), SENDER, lookUp, 0))
  t.same(asked, [64, 63, 62, 61, 60, 59, 58, 57], 'the newest sessions come first')
})
