import t from 'tap'
import { type Family, IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import {
  type Packet,
  TCPHDR_ACK,
  TCPHDR_FIN,
  TCPHDR_RST,
  TCPHDR_SYN,
} from '../../../src/core/packet/packet.js'
import type { Sender } from '../../../src/core/packet/sender.js'
import { type Inbound, noteOpening, replyKindOf } from '../../../src/core/session/client-replies.js'
import { type Clients, clients, TCP_TIMEOUT, UDP_TIMEOUT } from '../clients.js'
import { icmp, ipv4, ipv6, tcp, udp, words } from '../packets.js'
import { read } from '../policy/judging.js'

const WORKER: Sender = {
  uid: 33,
  known: false,
  isReply: false,
  isForeign: false,
  isQuarantined: false,
  device: 7,
  isOf: () => false,
}
const KERNEL: Sender = {
  uid: -1,
  known: false,
  isReply: false,
  isForeign: false,
  isQuarantined: false,
  device: 7,
  isOf: () => false,
}

/** Returns whether a packet counts as a reply to a client. */
const isReply = (packet: Packet, sender: Sender, inbound: Inbound) =>
  replyKindOf(packet, sender, inbound) !== 'none'

const PORTS = { sourcePort: 443, destinationPort: 51000 }
const ack = (flags = TCPHDR_ACK, ports = PORTS) => read(ipv4({}, tcp({ ...ports, flags })))
const datagram = (ports = PORTS) => read(ipv4({ protocol: IPPROTO_UDP }, udp(ports)))
/** Returns the arguments of the tables for both ends of these packets. */
const ends = (protocol: typeof IPPROTO_TCP | typeof IPPROTO_UDP) =>
  [4 as Family, protocol, words('192.0.2.1'), 443, words('198.51.100.2'), 51000] as const

/** Returns a host that serves TCP and UDP port 443. */
function server(): Clients {
  const made = clients()
  made.services.tcp[443] = 1
  made.services.udp[443] = 1
  return made
}

t.test('a bare SYN is never a reply, even when its ports are those of a client', async (t) => {
  const host = server()
  host.sessions.seen(...ends(IPPROTO_TCP), host.now)
  host.socket = 'established'
  for (const flags of [TCPHDR_SYN, TCPHDR_SYN | TCPHDR_FIN, TCPHDR_SYN | TCPHDR_RST, TCPHDR_SYN | 0xc0])
    for (const sender of [WORKER, KERNEL])
      t.notOk(isReply(ack(flags), sender, host), `the flags are ${flags}`)
  for (const flags of [TCPHDR_SYN | TCPHDR_ACK, TCPHDR_ACK, TCPHDR_ACK | TCPHDR_FIN, TCPHDR_RST])
    t.ok(isReply(ack(flags), WORKER, host), `the flags are ${flags}`)
})

t.test('a client that was seen within a minute is believed without asking the kernel', async (t) => {
  const host = server()
  host.sessions.seen(...ends(IPPROTO_TCP), host.now)
  t.ok(isReply(ack(), WORKER, host))
  host.now += 59
  t.ok(isReply(ack(), WORKER, host))
  t.same(host.asked, [])
})

t.test(
  'a client that was not seen for a minute is looked up: the socket decides, and the answer is remembered',
  async (t) => {
    for (const state of ['established', 'transient'] as const) {
      const host = server()
      host.sessions.seen(...ends(IPPROTO_TCP), host.now)
      host.now += 60
      host.socket = state
      t.ok(isReply(ack(), WORKER, host))
      t.same(
        host.asked,
        [[443, 51000, 7]],
        'the look-up has both ports, and the device that the packet leaves by',
      )
      t.ok(isReply(ack(), WORKER, host))
      t.equal(host.asked.length, 1, 'one look-up a minute is enough')
      t.equal(host.sessions.sizeOf(IPPROTO_TCP, 'socket'), 1)
    }
  },
)

t.test('a client whose socket is gone is removed, and packets to it are no replies', async (t) => {
  const host = server()
  host.sessions.seen(...ends(IPPROTO_TCP), host.now)
  host.now += 60
  t.notOk(isReply(ack(), WORKER, host))
  t.equal(host.sessions.size, 0)
})

t.test('a client that is not in the table is found by its socket', async (t) => {
  const host = server()
  t.notOk(isReply(ack(), WORKER, host), 'the kernel has no socket')
  host.socket = 'established'
  t.ok(isReply(ack(), WORKER, host))
})

t.test("when the kernel cannot be asked, the table is believed until the session's timeout", async (t) => {
  const host = server()
  host.socket = 'unknown'
  t.notOk(isReply(ack(), WORKER, host), 'the table does not have this client')
  host.sessions.seen(...ends(IPPROTO_TCP), host.now)
  host.now += TCP_TIMEOUT - 1
  t.ok(isReply(ack(), WORKER, host))
  host.now++
  t.notOk(isReply(ack(), WORKER, host))
})

t.test('packets from a port without a listener are no replies', async (t) => {
  const host = clients()
  host.services.udp[443] = 1
  host.socket = 'established'
  host.sessions.seen(...ends(IPPROTO_TCP), host.now)
  t.notOk(isReply(ack(), WORKER, host))
  t.notOk(isReply(ack(TCPHDR_SYN | TCPHDR_ACK), KERNEL, host))
  t.same(host.asked, [
    [443, 0, 7],
    [443, 0, 7],
  ])
  host.listening = true
  t.ok(isReply(ack(), WORKER, host), 'a program listens on the port now')
  t.notOk(isReply(ack(TCPHDR_SYN), WORKER, host))
})

t.test('the kernel’s own SYN-ACK needs no socket: during a flood of SYNs the kernel has none', async (t) => {
  const host = server()
  t.equal(replyKindOf(ack(TCPHDR_SYN | TCPHDR_ACK), KERNEL, host), 'handshake')
  t.notOk(isReply(ack(TCPHDR_SYN | TCPHDR_ACK), WORKER, host), 'a program has forged it')
  t.notOk(isReply(ack(TCPHDR_ACK), KERNEL, host), 'a later packet needs a socket')
})

t.test('a connection that this host opened is no client, whatever state its socket has', async (t) => {
  const host = server()
  host.socket = 'established'
  host.sessions.seen(...ends(IPPROTO_TCP), host.now)
  host.opened.seen(...ends(IPPROTO_TCP), 0)
  t.notOk(isReply(ack(), WORKER, host))
  t.notOk(isReply(ack(TCPHDR_SYN | TCPHDR_ACK), KERNEL, host))
  t.ok(
    isReply(ack(TCPHDR_ACK, { ...PORTS, destinationPort: 51001 }), WORKER, host),
    'other connections are clients',
  )
})

t.test('a UDP reply needs a service port and a client that was seen within the timeout', async (t) => {
  const host = clients()
  host.sessions.seen(...ends(IPPROTO_UDP), host.now)
  host.socket = 'established'
  t.notOk(isReply(datagram(), WORKER, host), 'no service uses the port')
  host.services.tcp[443] = 1
  t.notOk(isReply(datagram(), WORKER, host), 'a TCP service is no UDP service')
  host.services.udp[443] = 1
  t.ok(isReply(datagram(), WORKER, host))
  t.notOk(isReply(datagram({ ...PORTS, destinationPort: 51001 }), WORKER, host), 'the other end is no client')
  host.now += UDP_TIMEOUT
  t.notOk(isReply(datagram(), WORKER, host), 'the session has timed out')
  t.same(host.asked, [], 'UDP has no socket to look up')
})

t.test('packets to IPv6 clients are replies as well', async (t) => {
  const host = server()
  host.socket = 'established'
  const six = (flags: number) => read(ipv6({}, tcp({ ...PORTS, flags })))
  t.ok(isReply(six(TCPHDR_ACK), WORKER, host))
  t.notOk(isReply(six(TCPHDR_SYN), WORKER, host))
  t.equal(host.sessions.size, 1)
})

t.test('packets of protocols without ports are no replies', async (t) => {
  const host = server()
  host.services.tcp.fill(1)
  host.services.udp.fill(1)
  host.socket = 'established'
  t.notOk(isReply(read(ipv4({ protocol: IPPROTO_ICMP }, icmp(8))), WORKER, host))
})

t.test('a client that is found by its socket counts for the callbacks of its service', async (t) => {
  const host = clients([
    {
      service: { protocol: 'tcp', port: 443 },
      protocol: 'tcp',
      ports: [{ first: 1, last: 65535 }],
      perSession: 1,
    },
  ])
  host.services.tcp[443] = 1
  host.socket = 'established'
  const call = ack(TCPHDR_SYN, { sourcePort: 20, destinationPort: 2000 })
  t.notOk(host.callbacks.allow(call, KERNEL, host.lookUp, host.now))
  isReply(ack(), WORKER, host)
  t.ok(host.callbacks.allow(call, KERNEL, host.lookUp, host.now))
})

t.test(
  'packets of an opened connection are no replies, for any state of its socket and any service port',
  async (t) => {
    for (const isService of [1, 0]) {
      const host = server()
      host.socket = 'established'
      host.services.tcp[443] = isService
      noteOpening(ack(TCPHDR_SYN), host)
      host.services.tcp[443] = 1
      host.sessions.seen(...ends(IPPROTO_TCP), host.now)
      t.notOk(isReply(ack(), WORKER, host), 'the table does not make it a client')
      const other = ack(TCPHDR_ACK, { ...PORTS, destinationPort: 51001 })
      t.ok(isReply(other, WORKER, host), 'other connections are clients')
    }
  },
)

t.test('only bare SYNs are noted as opened connections', async (t) => {
  const host = server()
  for (const flags of [TCPHDR_SYN | TCPHDR_ACK, TCPHDR_ACK, TCPHDR_RST]) noteOpening(ack(flags), host)
  noteOpening(datagram(), host)
  t.equal(host.opened.size, 0)
})
