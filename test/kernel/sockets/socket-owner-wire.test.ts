import { HOST_LE, NLMSG_ERROR } from 'node-netfilter-queue/system'
import t from 'tap'
import { SOCK_DIAG_BY_FAMILY } from '../../../src/kernel/sockets/sock-diag-wire.js'
import {
  callerOf,
  isSending,
  ownerOf,
  portOf,
  UdpPortQuestion,
} from '../../../src/kernel/sockets/socket-owner-wire.js'

const DIAG_MESSAGE_LENGTH = 72
const INET_DIAG_CGROUP_ID = 21

/** Builds a struct inet_diag_msg with attributes behind it. */
function message(...attributes: [type: number, value: Uint8Array][]): DataView {
  const bytes = [...new Uint8Array(DIAG_MESSAGE_LENGTH)]
  for (const [type, value] of attributes) {
    const header = new DataView(new ArrayBuffer(4))
    header.setUint16(0, 4 + value.length, HOST_LE)
    header.setUint16(2, type, HOST_LE)
    bytes.push(...new Uint8Array(header.buffer), ...value, ...new Uint8Array((4 - (value.length % 4)) % 4))
  }
  const view = new DataView(Uint8Array.from(bytes).buffer)
  view.setUint16(4, 40_000)
  view.setUint32(64, 33, HOST_LE)
  view.setUint32(68, 4711, HOST_LE)
  return view
}

function u64(value: bigint): Uint8Array {
  const view = new DataView(new ArrayBuffer(8))
  view.setBigUint64(0, value, HOST_LE)
  return new Uint8Array(view.buffer)
}

const read = (view: DataView, end = view.byteLength) => ownerOf(view, 0, end)

t.test('a socket is read with its user, its inode and its cgroup', async (t) => {
  const mark: [number, Uint8Array] = [15, new Uint8Array(4)]
  const view = message(mark, [INET_DIAG_CGROUP_ID, u64(0x1_0000_0003n)], [22, new Uint8Array(2)])
  t.same(read(view), { uid: 33, inode: 4711, cgroup: 0x1_0000_0003 })
  t.equal(portOf(view, 0), 40_000)
})

t.test('a UDP socket is sending while any of its bytes are on their way', async (t) => {
  const view = message()
  t.notOk(isSending(view, 0))
  // The offsets come from struct inet_diag_msg: __u32 idiag_rqueue at 56, idiag_wqueue at 60
  view.setUint32(56, 1, HOST_LE)
  t.notOk(isSending(view, 0), 'received bytes do not count')
  view.setUint32(60, 1, HOST_LE)
  t.ok(isSending(view, 0))
})

t.test('when the kernel sends no cgroup, or only a part of it, the cgroup is undefined', async (t) => {
  t.same(read(message()), { uid: 33, inode: 4711, cgroup: undefined })
  t.equal(read(message([INET_DIAG_CGROUP_ID, new Uint8Array(4)]))?.cgroup, undefined)
  const view = message([INET_DIAG_CGROUP_ID, u64(3n)])
  for (let end = 0; end < view.byteLength; end++) {
    const owner = read(view, end)
    if (end < DIAG_MESSAGE_LENGTH) t.equal(owner, undefined, `the message has ${end} bytes`)
    else t.same(owner, { uid: 33, inode: 4711, cgroup: undefined }, `the message has ${end} bytes`)
  }
})

/** Builds a struct inet_diag_msg behind its header, as an answer. */
function answer(state: number, type = SOCK_DIAG_BY_FAMILY): DataView {
  const view = new DataView(new ArrayBuffer(16 + DIAG_MESSAGE_LENGTH + 4))
  view.setUint16(4, type, HOST_LE)
  new Uint8Array(view.buffer).set(new Uint8Array(message().buffer), 16)
  view.setUint8(17, state)
  return view
}

t.test('a socket that listens or is closed belongs to no connection', async (t) => {
  // The states come from include/net/tcp_states.h: TCP_ESTABLISHED 1 to TCP_CLOSING 11
  const states = Array.from({ length: 11 }, (_, i) => i + 1)
  const connected = states.filter((state) => callerOf(answer(state), 88)?.uid === 33)
  t.same(connected, [1, 2, 3, 4, 5, 6, 8, 9, 11])
})

t.test(
  'an error with its request behind it is no socket, and neither is an answer that is cut short',
  async (t) => {
    t.equal(callerOf(answer(1, NLMSG_ERROR), 92), undefined)
    for (const length of [0, 15, 16, 87])
      t.equal(callerOf(answer(1), length), undefined, `the answer has ${length} bytes`)
  },
)

t.test('the request for the sockets of a port is a dump of one family, in every state', async (t) => {
  for (const [family, kernels] of [
    [4, 2],
    [6, 10],
  ] as const) {
    const question = new UdpPortQuestion(family)
    question.set(5353)
    const { message } = question
    const view = new DataView(message.buffer, message.byteOffset, message.length)
    // struct nlmsghdr has 16 bytes; the flags are NLM_F_REQUEST | NLM_F_DUMP.
    t.equal(view.getUint16(6, HOST_LE), 0x301)
    t.same([...message.subarray(16, 18)], [kernels, 17])
    t.equal(view.getUint32(20, HOST_LE), 0xffffffff)
    t.equal(view.getUint16(24), 5353)
  }
})
