import { HOST_LE } from 'node-netfilter-queue'
import t from 'tap'
import { IPPROTO_TCP, IPPROTO_UDP } from '../../src/core/types.js'
import { connectionOf, diagRequest, localPort } from '../../src/kernel/sock-diag-wire.js'

// include/linux/socket.h, include/net/tcp_states.h
const AF_INET = 2
const AF_INET6 = 10
const TCP_CLOSE = 7
const TCP_LISTEN = 10
/** sizeof(struct inet_diag_msg). */
const DIAG_MESSAGE = 72

t.test('a request names family, protocol and one state, and no socket', { skip: !HOST_LE }, async (t) => {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
  // struct nlmsghdr: length 72, type 20, flags REQUEST|DUMP; then struct inet_diag_req_v2 with an empty id.
  const head = '48000000 1400 0103 00000000 00000000'
  const empty = '00'.repeat(48)
  t.equal(
    hex(diagRequest(AF_INET, IPPROTO_TCP, TCP_LISTEN)),
    `${head}02060000 00040000${empty}`.replaceAll(' ', ''),
  )
  t.equal(
    hex(diagRequest(AF_INET6, IPPROTO_UDP, TCP_CLOSE)),
    `${head}0a110000 80000000${empty}`.replaceAll(' ', ''),
  )
})

t.test('the local port is read in network order, wherever the message lies', async (t) => {
  const bytes = new Uint8Array(100 + DIAG_MESSAGE)
  bytes.set([AF_INET, TCP_LISTEN, 0, 0, 0x01, 0xbb, 0xff, 0xff], 100)
  t.equal(localPort(new DataView(bytes.buffer), 100, bytes.length), 443)
})

t.test('a message cut short has no port, and reading it does not throw', async (t) => {
  for (let length = 0; length < DIAG_MESSAGE; length++)
    t.equal(localPort(new DataView(new ArrayBuffer(length)), 0, length), undefined)
})

/** struct inet_diag_msg with two ends; see sock-diag-wire.ts for its fields. */
function diagMessage(family: number, source: readonly number[], destination: readonly number[]): DataView {
  const view = new DataView(new ArrayBuffer(72))
  view.setUint8(0, family)
  view.setUint16(4, 443)
  view.setUint16(6, 50_000)
  for (const [i, word] of source.entries()) view.setUint32(8 + i * 4, word)
  for (const [i, word] of destination.entries()) view.setUint32(24 + i * 4, word)
  return view
}

t.test('both ends of a connection are read, and IPv4 on an IPv6 socket is IPv4', async (t) => {
  const [here, there] = [0xc6120001, 0xc6120002]
  const ports = { localPort: 443, remotePort: 50_000 }
  const ipv4 = {
    family: 4,
    local: Uint32Array.of(here, 0, 0, 0),
    remote: Uint32Array.of(there, 0, 0, 0),
    ...ports,
  }
  t.strictSame(connectionOf(diagMessage(2, [here], [there]), 0, 72), ipv4)
  t.strictSame(connectionOf(diagMessage(10, [0, 0, 0xffff, here], [0, 0, 0xffff, there]), 0, 72), ipv4)
  t.strictSame(connectionOf(diagMessage(10, [0x20010db8, 0, 0, 1], [0x20010db8, 0, 0, 2]), 0, 72), {
    family: 6,
    local: Uint32Array.of(0x20010db8, 0, 0, 1),
    remote: Uint32Array.of(0x20010db8, 0, 0, 2),
    ...ports,
  })
  for (let end = 0; end < 72; end++) t.equal(connectionOf(diagMessage(2, [here], [there]), 0, end), undefined)
})
