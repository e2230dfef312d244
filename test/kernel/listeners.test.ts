import { HOST_LE } from 'node-netfilter-queue'
import t from 'tap'
import { IPPROTO_TCP, IPPROTO_UDP } from '../../src/core/types.js'
import { diagRequest, localPort } from '../../src/kernel/listeners.js'

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
