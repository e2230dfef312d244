import { constants } from 'node:os'
import { HOST_LE, NLMSG_ERROR, NLMSG_HDRLEN } from 'node-netfilter-queue/system'
import t from 'tap'
import { type Family, IPPROTO_TCP, IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import { LookUp, socketState } from '../../../src/kernel/sockets/look-up-wire.js'
import { connectionOf, diagRequest, Figures, openPort } from '../../../src/kernel/sockets/sock-diag-wire.js'
import { words } from '../../core/packets.js'

// The constants come from include/linux/socket.h and include/net/tcp_states.h.
const AF_INET = 2
const AF_INET6 = 10
const TCP_CLOSE = 7
const TCP_LISTEN = 10
/** DIAG_MESSAGE is sizeof(struct inet_diag_msg). */
const DIAG_MESSAGE = 72

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

t.test(
  'a request for a list names family, protocol and one state, and no socket',
  { skip: !HOST_LE },
  async (t) => {
    // `head` is struct nlmsghdr: length 72, type 20, flags REQUEST|DUMP; then struct inet_diag_req_v2 with an
    // empty id.
    const head = '48000000 1400 0103 00000000 00000000'
    const empty = '00'.repeat(48)
    t.equal(
      hex(diagRequest(AF_INET, IPPROTO_TCP, [TCP_LISTEN])),
      `${head}02060200 00040000${empty}`.replaceAll(' ', ''),
    )
    t.equal(
      hex(diagRequest(AF_INET6, IPPROTO_UDP, [TCP_CLOSE])),
      `${head}0a110000 80000000${empty}`.replaceAll(' ', ''),
    )
  },
)

t.test('the local port is read in network order, at any offset of the message', async (t) => {
  const bytes = new Uint8Array(100 + DIAG_MESSAGE)
  bytes.set([AF_INET, TCP_LISTEN, 0, 0, 0x01, 0xbb, 0xff, 0xff], 100)
  t.equal(openPort(new DataView(bytes.buffer), 100, bytes.length), 443)
})

t.test('a message cut short has no port, and reading it does not throw', async (t) => {
  for (let length = 0; length < DIAG_MESSAGE; length++)
    t.equal(openPort(new DataView(new ArrayBuffer(length)), 0, length), undefined)
})

/** Builds a struct inet_diag_msg with two ends; sock-diag-wire.ts has its fields. */
function diagMessage(family: number, source: readonly number[], destination: readonly number[]): DataView {
  const view = new DataView(new ArrayBuffer(72))
  view.setUint8(0, family)
  view.setUint16(4, 443)
  view.setUint16(6, 50_000)
  for (const [i, word] of source.entries()) view.setUint32(8 + i * 4, word)
  for (const [i, word] of destination.entries()) view.setUint32(24 + i * 4, word)
  view.setUint32(40, 7, HOST_LE)
  return view
}

t.test('a socket that is bound to a loopback address has no port for other hosts', async (t) => {
  const port = (family: number, ...words: number[]) =>
    openPort(diagMessage(family, words, [0]), 0, DIAG_MESSAGE)
  t.equal(port(AF_INET, 0x7f000001), undefined)
  t.equal(port(AF_INET, 0x7fffffff), undefined)
  t.equal(port(AF_INET6, 0, 0, 0, 1), undefined)
  t.equal(port(AF_INET6, 0, 0, 0xffff, 0x7f000035), undefined)
  const open = [
    [AF_INET, 0],
    [AF_INET, 0x7e000001],
    [AF_INET, 0x80000001],
    [AF_INET, 0xff000001],
    [AF_INET6, 0, 0, 0, 0],
    [AF_INET6, 0, 0, 0, 2],
    [AF_INET6, 0, 0, 1, 1],
    [AF_INET6, 0, 1, 0, 1],
    [AF_INET6, 1, 0, 0, 1],
    [AF_INET6, 0x7f000001, 0, 0, 0],
    [AF_INET6, 0, 0, 0xffff, 0xc6120001],
    [AF_INET6, 0, 1, 0xffff, 0x7f000001],
    [AF_INET6, 0, 0, 0, 0x7f000001],
  ] as const
  for (const [family, ...words] of open) t.equal(port(family, ...words), 443, words.join())
})

t.test('both ends of a connection are read, and IPv4 on an IPv6 socket is IPv4', async (t) => {
  const [here, there] = [0xc6120001, 0xc6120002]
  const ports = { localPort: 443, remotePort: 50_000, device: 7, initiator: 'unknown' }
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

/** Encodes a look-up with addresses as texts. */
function set(question: LookUp, family: Family, local: string, remote: string, device = 0): Uint8Array {
  question.set(family, words(local), 443, words(remote), 50_000, device)
  return question.message
}

t.test('a look-up asks for exactly the socket with these two ends', { skip: !HOST_LE }, async (t) => {
  // `head` is struct nlmsghdr: length 72, type 20, flags REQUEST, no dump; the socket sets seq and pid.
  const head = '48000000 1400 0100 00000000 00000000'
  // The ports 443 and 50,000 are in network order; the cookie is INET_DIAG_NOCOOKIE.
  const [ports, cookie] = ['01bbc350', 'ffffffff ffffffff']
  const rest = '00'.repeat(12)
  const ipv4 = `${head} 02060200 00000000 ${ports} c6120001${rest} c6120002${rest} 00000000 ${cookie}`
  t.equal(hex(set(new LookUp(), 4, '198.18.0.1', '198.18.0.2')), ipv4.replaceAll(' ', ''))
  const [local, remote] = ['20010db8000000010000000200000003', '20010db8000000040000000500000006']
  const ipv6 = `${head} 0a060200 00000000 ${ports} ${local} ${remote} 04030201 ${cookie}`
  t.equal(
    hex(set(new LookUp(), 6, '2001:db8:0:1:0:2:0:3', '2001:db8:0:4:0:5:0:6', 0x01020304)),
    ipv6.replaceAll(' ', ''),
  )
})

t.test('a look-up that is set again has nothing of the previous one', async (t) => {
  const reused = new LookUp()
  const { message } = reused
  set(
    reused,
    6,
    'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    'ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe',
    0xffffffff,
  )
  set(reused, 4, '198.18.0.1', '198.18.0.2')
  t.same(message, set(new LookUp(), 4, '198.18.0.1', '198.18.0.2'))
  set(reused, 6, '2001:db8::1', '2001:db8::2', 7)
  t.same(message, set(new LookUp(), 6, '2001:db8::1', '2001:db8::2', 7))
  t.equal(reused.message, message, 'the message is the same memory')
})

/** Builds an answer of the kernel: a socket in this state. */
function socketIn(state: number): DataView {
  const view = new DataView(new ArrayBuffer(NLMSG_HDRLEN + DIAG_MESSAGE))
  // Type 20 is SOCK_DIAG_BY_FAMILY.
  view.setUint16(4, 20, HOST_LE)
  view.setUint8(NLMSG_HDRLEN, AF_INET)
  view.setUint8(NLMSG_HDRLEN + 1, state)
  return view
}

interface TcpInfo {
  readonly state: number
  readonly wqueue?: number
  readonly notsent?: number
  readonly acked?: number
  readonly sent?: number
  readonly retrans?: number
}

/**
 * Builds a struct inet_diag_msg, an unused attribute, and INET_DIAG_INFO with `length` bytes of struct
 * tcp_info.
 */
function socketWith(info: TcpInfo, length = 240): DataView {
  const view = new DataView(new ArrayBuffer(DIAG_MESSAGE + 8 + 4 + length))
  view.setUint8(0, AF_INET)
  view.setUint8(1, info.state)
  view.setUint32(60, info.wqueue ?? 0, HOST_LE)
  view.setUint16(72, 5, HOST_LE)
  view.setUint16(74, 8, HOST_LE)
  view.setUint16(80, 4 + length, HOST_LE)
  view.setUint16(82, 2, HOST_LE)
  const put = (at: number, value = 0) => {
    if (at + 8 <= length) view.setBigUint64(84 + at, BigInt(value), HOST_LE)
  }
  view.setUint8(84, info.state)
  view.setUint32(84 + 24, (info.wqueue ?? 0) > (info.notsent ?? 0) ? 1 : 0, HOST_LE)
  put(120, info.acked)
  put(200, info.sent)
  put(208, info.retrans)
  if (length >= 148) view.setUint32(84 + 144, info.notsent ?? 0, HOST_LE)
  return view
}

/**
 * Returns which end opened the connection, if the figures belong to one instant; undefined without figures.
 */
function initiatorIn(view: DataView, end = view.byteLength): string | undefined {
  const figures = new Figures()
  return figures.read(view, 0, end) ? figures.initiator : undefined
}

t.test(
  'the end that opened the connection has one byte more acknowledged than it has sent: its SYN',
  async (t) => {
    const GB = 5_000_000_000
    // ESTABLISHED and CLOSE_WAIT are tried: idle, while sending, after losses, after more than 32 bits of
    // bytes.
    for (const state of [1, 8]) {
      for (const info of [
        { acked: 0, sent: 0 },
        { acked: 100, sent: 400, wqueue: 700, notsent: 400 },
        { acked: 100, sent: 150, retrans: 50 },
        { acked: GB, sent: GB + 1448, wqueue: 1448 },
      ]) {
        t.equal(initiatorIn(socketWith({ state, ...info })), 'other-end', JSON.stringify(info))
        t.equal(initiatorIn(socketWith({ state, ...info, acked: info.acked + 1 })), 'this-host')
        for (const off of [2, 1448])
          t.equal(
            initiatorIn(socketWith({ state, ...info, acked: info.acked + off })),
            'unknown',
            `the figure is off by ${off}`,
          )
        for (const dropped of [1, 1448])
          t.equal(
            initiatorIn(socketWith({ state, ...info, sent: info.sent + dropped })),
            'other-end',
            `${dropped} bytes were dropped`,
          )
      }
    }
  },
)

t.test('a FIN counts like a SYN, as soon as it has been sent', async (t) => {
  // In FIN_WAIT1, FIN_WAIT2, LAST_ACK and CLOSING all data was sent.
  for (const state of [4, 5, 9, 11]) {
    t.equal(initiatorIn(socketWith({ state, acked: 101, sent: 100 })), 'other-end')
    t.equal(initiatorIn(socketWith({ state, acked: 102, sent: 100 })), 'this-host')
    t.equal(initiatorIn(socketWith({ state, acked: 103, sent: 100 })), 'unknown')
  }
  // The FIN is the last byte that is not sent.
  for (const state of [4, 9, 11]) {
    const info = { state, sent: 100, wqueue: 50, notsent: 50 }
    t.equal(initiatorIn(socketWith({ ...info, acked: 100 })), 'other-end')
    t.equal(initiatorIn(socketWith({ ...info, acked: 101 })), 'this-host')
  }
})

t.test('when figures are missing, the result is undefined', async (t) => {
  // Before Linux 4.19 the structure ends behind tcpi_delivered_ce.
  t.equal(initiatorIn(socketWith({ state: 1, acked: 1 }, 200)), undefined)
  const whole = socketWith({ state: 1, acked: 1 })
  for (let end = DIAG_MESSAGE; end < whole.byteLength; end++)
    t.equal(initiatorIn(whole, end), undefined, `the message ends at byte ${end}`)
})

t.test('one reading decides which end opened the connection, unless bytes are on their way', async (t) => {
  const initiatorAt = (view: DataView) => connectionOf(view, 0, view.byteLength)?.initiator
  t.equal(initiatorAt(socketWith({ state: 1, acked: 1 })), 'this-host')
  t.equal(initiatorAt(socketWith({ state: 1, acked: 0 })), 'other-end')
  t.equal(
    initiatorAt(socketWith({ state: 1, acked: 1, sent: 10, wqueue: 10 })),
    'unknown',
    'the figures come from two instants',
  )
  t.equal(initiatorAt(socketIn(1)), 'unknown', 'the answer has no figures')
  t.equal(
    initiatorAt(socketWith({ state: 2 })),
    'this-host',
    'an end that is still connecting has opened the connection',
  )
})

t.test('two readings are equal only when all figures are equal', async (t) => {
  const info = { state: 1, acked: 10, sent: 30, retrans: 5, wqueue: 20, notsent: 4 }
  const read = (of: TcpInfo) => {
    const figures = new Figures()
    figures.read(socketWith(of), 0, socketWith(of).byteLength)
    return figures
  }
  const copied = new Figures()
  copied.copy(read(info))
  t.ok(copied.equals(read(info)))
  t.equal(copied.initiator, read(info).initiator)
  t.ok(copied.isMoving)
  for (const key of Object.keys(info) as (keyof TcpInfo)[])
    t.notOk(copied.equals(read({ ...info, [key]: info[key] + 1 })), key)
  t.notOk(copied.equals(read({ ...info, wqueue: 4 })), 'bytes on their way count as a figure')
})

/** Builds an answer of the kernel: NLMSG_ERROR, with the request behind it. */
function refusal(errno: number): DataView {
  const view = new DataView(new ArrayBuffer(NLMSG_HDRLEN + 4 + 72))
  view.setUint16(4, NLMSG_ERROR, HOST_LE)
  view.setInt32(NLMSG_HDRLEN, -errno, HOST_LE)
  return view
}

const whole = (view: DataView) => socketState(view, view.byteLength)

t.test('only a connected client is established; a listening or connecting socket is no client', async (t) => {
  // The states are defined in include/net/tcp_states.h, from TCP_ESTABLISHED = 1.
  const states = {
    ESTABLISHED: 'established',
    SYN_SENT: 'none',
    SYN_RECV: 'transient',
    FIN_WAIT1: 'transient',
    FIN_WAIT2: 'transient',
    TIME_WAIT: 'transient',
    CLOSE: 'none',
    CLOSE_WAIT: 'established',
    LAST_ACK: 'transient',
    LISTEN: 'none',
    CLOSING: 'transient',
    NEW_SYN_RECV: 'transient',
  }
  for (const [index, [name, expected]] of Object.entries(states).entries())
    t.equal(whole(socketIn(index + 1)), expected, name)
})

t.test('"no such socket" is an answer; any other error leaves the state unknown', async (t) => {
  const { ENOENT, EPERM, EINVAL, EBUSY, EOPNOTSUPP, ENOMEM } = constants.errno
  t.equal(whole(refusal(ENOENT)), 'none')
  t.equal(whole(refusal(-ENOENT)), 'unknown', 'a valid error is a negative number')
  for (const errno of [0, EPERM, EINVAL, EBUSY, EOPNOTSUPP, ENOMEM])
    t.equal(whole(refusal(errno)), 'unknown', `the error is ${errno}`)
})

t.test('an answer that is cut short leaves the state unknown, and reading it does not throw', async (t) => {
  const answers: [DataView, needed: number][] = [
    [socketIn(1), NLMSG_HDRLEN + DIAG_MESSAGE],
    [refusal(constants.errno.ENOENT), NLMSG_HDRLEN + 4],
  ]
  for (const [answer, needed] of answers)
    for (let length = 0; length <= answer.byteLength; length++) {
      // The buffer is a copy: reading behind the cut would throw. The rest of a larger buffer must not count.
      const cut = new DataView(answer.buffer.slice(0, length))
      t.equal(socketState(cut, length) === 'unknown', length < needed, `the answer has ${length} bytes`)
      t.equal(
        socketState(answer, length) === 'unknown',
        length < needed,
        `the answer has ${length} bytes of a longer buffer`,
      )
    }
})
