/** Tests requests that are answered within the call, and socket filters, on a real kernel. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import {
  HOST_LE,
  MessageBuilder,
  messages,
  NETLINK_NETFILTER,
  NETLINK_ROUTE,
  NETLINK_SOCK_DIAG,
  type NetlinkError,
  NetlinkSocket,
  type NetlinkSocketOptions,
  NLA_F_NESTED,
  NLM_F_DUMP,
  NLM_F_REQUEST,
} from 'node-netfilter-queue/system'
import { binding } from '../src/binding.js'
import { statusOf } from '../src/netlink-message.js'
import { HOST, shell } from './helper.js'

const LO = 1
const MISSING = 9999
// The numbers come from include/uapi/linux/rtnetlink.h: RTM_GETLINK 18, RTM_DELLINK 17; enum
// rtnetlink_groups: RTNLGRP_LINK 1
const RTM_DELLINK = 17
const RTM_GETLINK = 18
const RTNLGRP_LINK = 1

/** Builds a request for one device. The index is at offset 4 of struct ifinfomsg. */
function linkRequest(index: number): Uint8Array {
  const body = new DataView(new ArrayBuffer(16))
  body.setInt32(4, index, HOST_LE)
  return new MessageBuilder(RTM_GETLINK, NLM_F_REQUEST).raw(new Uint8Array(body.buffer)).finish()
}

/**
 * Builds a request that no kernel answers: its result is success, and it asks for no acknowledgement
 * (NLMSG_NOOP 1).
 */
const unanswered = () => new MessageBuilder(1, NLM_F_REQUEST).finish()

/** Returns the code of the error that `work` throws, or `done`. */
function codeOf(work: () => unknown): string {
  try {
    work()
    return 'done'
  } catch (error) {
    return (error as NetlinkError).code ?? (error as Error).name
  }
}

/** Exchanges a request, and returns the type of the answer and, for NLMSG_ERROR, its errno. */
function ask(socket: NetlinkSocket, request: Uint8Array, answer = new Uint8Array(8192)) {
  const length = socket.exchange(request, answer, 'asking')
  const [message] = messages(new DataView(answer.buffer, answer.byteOffset), 0, length)
  if (!message) throw new Error('the answer is no message')
  return { length, type: message.type, status: message.type === 2 ? statusOf(message) : undefined, message }
}

/** Returns the index of the device in an answer. */
const indexIn = ({ message }: ReturnType<typeof ask>) => message.view.getInt32(message.payload + 4, HOST_LE)

const withSocket = <T>(options: NetlinkSocketOptions, work: (socket: NetlinkSocket) => T): T => {
  const socket = new NetlinkSocket(options)
  try {
    return work(socket)
  } finally {
    socket.close()
  }
}

const address = (text: string) => Uint8Array.from(text.split('.'), Number)
const port = (number: number) => Uint8Array.of(number >> 8, number & 0xff)

/**
 * Builds a request for all UDP sockets with a local port, over IPv4 in every state. @param protocol instead
 * of UDP
 */
function udpPortRequest(local: number, protocol = 17): Uint8Array {
  const body = new Uint8Array(56)
  body.set([2, protocol])
  body.fill(0xff, 4, 8)
  body.set(port(local), 8)
  return new MessageBuilder(20, NLM_F_REQUEST | NLM_F_DUMP).raw(body).finish()
}

/** Builds a struct inet_diag_req_v2 for one TCP socket over IPv4; INET_DIAG_NOCOOKIE is all ones. */
function diagRequest(host: string, local: number, remote: number): Uint8Array {
  const body = new Uint8Array(56)
  // The bytes are sdiag_family AF_INET and sdiag_protocol IPPROTO_TCP.
  body.set([2, 6])
  body.set([...port(local), ...port(remote)], 8)
  body.set(address(host), 12)
  body.set(address(host), 28)
  body.fill(0xff, 48)
  // Message type 20 is SOCK_DIAG_BY_FAMILY.
  return new MessageBuilder(20, NLM_F_REQUEST).raw(body).finish()
}

const nested = (...attributes: [type: number, value: Uint8Array][]) => {
  const builder = new MessageBuilder(0, 0)
  for (const [type, value] of attributes) builder.attribute(type, value)
  return builder.finish().subarray(16)
}

/**
 * Builds an IPCTNL_MSG_CT_GET for one UDP flow over IPv4: CTA_TUPLE_ORIG 1 { CTA_TUPLE_IP 1, CTA_TUPLE_PROTO
 * 2 }.
 */
function flowRequest(host: string, from: number, to: number): Uint8Array {
  const ends = nested([1, address(host)], [2, address(host)])
  const proto = nested([1, Uint8Array.of(17)], [2, port(from)], [3, port(to)])
  const tuple = nested([1 | NLA_F_NESTED, ends], [2 | NLA_F_NESTED, proto])
  return new MessageBuilder((1 << 8) | 1, NLM_F_REQUEST)
    .nfgenmsg(2, 0)
    .attribute(1 | NLA_F_NESTED, tuple)
    .finish()
}

/** Encodes a list of struct sock_filter { __u16 code; __u8 jt, jf; __u32 k; }. */
function program(...instructions: [code: number, yes: number, no: number, k: number][]): Uint8Array {
  const bytes = new Uint8Array(instructions.length * 8)
  const view = new DataView(bytes.buffer)
  for (const [i, [code, yes, no, k]] of instructions.entries()) {
    view.setUint16(i * 8, code, HOST_LE)
    bytes.set([yes, no], i * 8 + 2)
    view.setUint32(i * 8 + 4, k, HOST_LE)
  }
  return bytes
}

// The opcodes are BPF_RET|BPF_K 0x06, BPF_LD|BPF_B|BPF_ABS 0x30, BPF_JMP|BPF_JEQ|BPF_K 0x15, BPF_LD|BPF_IMM
// 0x00.
const NOTHING = program([0x06, 0, 0, 0])
const ALL = program([0x06, 0, 0, 0xffffffff])
/** Passes removals only: the lower byte of nlmsg_type, at 4 (5 on a big-endian host), identifies them. */
const REMOVALS = program(
  [0x30, 0, 0, HOST_LE ? 4 : 5],
  [0x15, 0, 1, RTM_DELLINK],
  [0x06, 0, 0, 0xffffffff],
  [0x06, 0, 0, 0],
)
const BAD = {
  empty: new Uint8Array(0),
  odd: program([0x06, 0, 0, 0], [0x06, 0, 0, 0]).subarray(0, 12),
  endless: program([0x00, 0, 0, 0]),
  jumpsOut: program([0x15, 5, 5, 0], [0x06, 0, 0, 0]),
  unknown: program([0xffff, 0, 0, 0], [0x06, 0, 0, 0]),
  // The number of instructions does not fit into 16 bits: the lower 16 bits are 1.
  long: program(...Array<[number, number, number, number]>(65_537).fill([0x06, 0, 0, 0])),
}

async function sendDatagram(from: number, to: number): Promise<void> {
  const socket = createSocket('udp4').bind(from, HOST)
  await once(socket, 'listening')
  await new Promise((resolve) => socket.send('x', to, HOST, resolve))
  socket.close()
}

const descriptors = () => readdirSync('/proc/self/fd').length

/** Returns the events that a listener with this filter receives when a device is created and removed. */
async function eventsWith(filter: Uint8Array | undefined) {
  const types: number[] = []
  let batches = 0
  const socket = new NetlinkSocket({
    protocol: NETLINK_ROUTE,
    groups: [RTNLGRP_LINK],
    ...(filter && { filter }),
    onMessage: ({ type }) => types.push(type),
    onBatchEnd: () => batches++,
  })
  shell('ip link add made type veth peer name other; ip link del made')
  // The kernel has sent all events when the command has ended: they are read in the next turns of the loop.
  for (let turn = 0; turn < 100; turn++) await setImmediate()
  socket.close()
  return { types: [...new Set(types)].sort(), batches }
}

export const netlinkScenarios = {
  /** Returns the answers of exchange(): a socket, a flow, and an error for each that does not exist. */
  async exchangeAnswers() {
    shell(`ip link set lo up; ip addr add ${HOST}/32 dev lo
      iptables -w -A OUTPUT -m conntrack --ctstate INVALID -j DROP`)
    const server = createServer().listen(443, HOST)
    await once(server, 'listening')
    const client = connect(443, HOST)
    const [accepted] = (await once(server, 'connection')) as [Socket]
    await sendDatagram(40_000, 9)
    const { localPort } = client
    const sockets = new NetlinkSocket({ protocol: NETLINK_SOCK_DIAG })
    const flows = new NetlinkSocket({ protocol: NETLINK_NETFILTER })
    const { view, payload } = ask(sockets, diagRequest(HOST, 443, localPort!)).message
    const report = {
      // struct inet_diag_msg: idiag_state at 1, idiag_dport at 6
      state: view.getUint8(payload + 1),
      itsClient: view.getUint16(payload + 6) === localPort,
      noSocket: ask(sockets, diagRequest(HOST, 444, localPort!)).status,
      flow: ask(flows, flowRequest(HOST, 40_000, 9)).type,
      noFlow: ask(flows, flowRequest(HOST, 40_000, 10)).status,
    }
    for (const socket of [client, accepted]) socket.destroy()
    for (const each of [server, sockets, flows]) each.close()
    return report
  },

  /**
   * Returns the errors of exchange(): no answer, an answer that does not fit, a closed socket; and whether
   * the socket works afterwards.
   */
  async exchangeErrors() {
    const socket = new NetlinkSocket({ protocol: NETLINK_ROUTE })
    const small = new Uint8Array(64).fill(0xaa)
    const report = {
      unanswered: codeOf(() => ask(socket, unanswered())),
      afterUnanswered: indexIn(ask(socket, linkRequest(LO))),
      tooSmall: codeOf(() => ask(socket, linkRequest(LO), small.subarray(0, 32))),
      behind: small.subarray(32).every((byte) => byte === 0xaa),
      noRoom: codeOf(() => ask(socket, linkRequest(LO), new Uint8Array(0))),
      afterTooSmall: ask(socket, linkRequest(MISSING)).status,
      exact: ask(socket, linkRequest(MISSING), new Uint8Array(ask(socket, linkRequest(MISSING)).length))
        .status,
      oneShort: codeOf(() =>
        ask(socket, linkRequest(MISSING), new Uint8Array(ask(socket, linkRequest(MISSING)).length - 1)),
      ),
      // The request is longer than the send buffer.
      tooLong: codeOf(() => ask(socket, new Uint8Array(64 * 1024 * 1024))),
    }
    socket.close()
    return { ...report, closed: codeOf(() => ask(socket, linkRequest(LO))) }
  },

  /** Exchanges after earlier requests whose answers were never read, one of them longer than the other. */
  async exchangeStale() {
    const late: number[] = []
    const options = { protocol: NETLINK_ROUTE, onMessage: ({ type }: { type: number }) => late.push(type) }
    const socket = new NetlinkSocket(options)
    const asked = new Set<number>()
    for (let round = 0; round < 100; round++) {
      for (const stale of [linkRequest(MISSING), linkRequest(LO)]) socket.send(stale)
      asked.add(indexIn(ask(socket, linkRequest(LO))))
    }
    const nothingLeft = codeOf(() => ask(socket, unanswered()))
    const request = await socket.request(linkRequest(LO), 'asking as before').then(() => 'done')
    await setImmediate()
    socket.close()
    return { asked: [...asked], nothingLeft, request, late }
  },

  /** Passes arguments that the types forbid: they must be refused, and must not end the process. */
  async exchangeOdd() {
    const exchange = binding.exchange as (...odd: unknown[]) => number
    const setFilter = binding.setFilter as (...odd: unknown[]) => number
    const handle = binding.open(NETLINK_ROUTE, new Uint8Array(64), new Int32Array(1), () => {})
    const answer = new Uint8Array(4096)
    const transferred = new Uint8Array(4096)
    structuredClone(transferred.buffer, { transfer: [transferred.buffer] })
    const noBytes = [undefined, null, 7, 'text', {}, [1, 2], new DataView(answer.buffer), answer.buffer]
    const noHandle = [undefined, null, 7, {}, answer]
    const report = {
      noRequest: noBytes.map((odd) => exchange(handle, odd, answer)),
      noAnswer: noBytes.map((odd) => exchange(handle, linkRequest(LO), odd)),
      noHandle: noHandle.map((odd) => exchange(odd, linkRequest(LO), answer)),
      fewer: [exchange(), exchange(handle), exchange(handle, linkRequest(LO))],
      transferred: exchange(handle, linkRequest(LO), transferred),
      onlyReceives: exchange(handle, new Uint8Array(0), answer),
      filter: noBytes.map((odd) => setFilter(handle, odd)),
      filterNoHandle: noHandle.map((odd) => setFilter(odd, ALL)),
    }
    binding.close(handle as never)
    return { ...report, closed: [exchange(handle, linkRequest(LO), answer), setFilter(handle, ALL)] }
  },

  /** Reads a dump with enough parts for several datagrams; the request after it has its own answer. */
  async exchangeDumps() {
    shell('ip link set lo up')
    const sockets = Array.from({ length: 300 }, () => createSocket({ type: 'udp4', reuseAddr: true }))
    for (const each of sockets) await new Promise<void>((resolve) => each.bind(40_000, '127.0.0.1', resolve))
    const socket = new NetlinkSocket({ protocol: NETLINK_SOCK_DIAG })
    const answer = new Uint8Array(32_768)
    const count = (port: number) => {
      let found = 0
      socket.exchangeDump(udpPortRequest(port), answer, 'listing', () => {
        found++
      })
      return found
    }
    const report = {
      found: [count(40_000), count(40_001), count(40_000)],
      refused: codeOf(() => socket.exchangeDump(udpPortRequest(40_000, 255), answer, 'listing', () => {})),
      after: count(40_000),
    }
    for (const each of sockets) each.close()
    socket.close()
    return report
  },

  /** Runs many exchanges: they must leave neither descriptors nor datagrams. */
  async exchangeMany() {
    const before = descriptors()
    const right = withSocket({ protocol: NETLINK_ROUTE }, (socket) => {
      const answer = new Uint8Array(8192)
      let right = 0
      for (let i = 0; i < 20_000; i++) {
        const found = i % 2 === 0
        const { type, status } = ask(socket, linkRequest(found ? LO : MISSING), answer)
        if (found ? type === 16 : status === -19) right++
      }
      return right
    })
    return { right, left: descriptors() - before }
  },

  async filters() {
    return {
      without: await eventsWith(undefined),
      all: await eventsWith(ALL),
      nothing: await eventsWith(NOTHING),
      removals: await eventsWith(REMOVALS),
      // The filter applies to answers as well.
      answers: withSocket({ protocol: NETLINK_ROUTE, filter: ALL }, (socket) =>
        indexIn(ask(socket, linkRequest(LO))),
      ),
      noAnswers: withSocket({ protocol: NETLINK_ROUTE, filter: NOTHING }, (socket) =>
        codeOf(() => ask(socket, linkRequest(LO))),
      ),
    }
  },

  async badFilters() {
    const before = descriptors()
    const refused = Object.entries(BAD).map(([name, filter]) => {
      const open = () =>
        new NetlinkSocket({ protocol: NETLINK_ROUTE, groups: [RTNLGRP_LINK], filter }).close()
      return [name, codeOf(open)]
    })
    return { ...Object.fromEntries(refused), left: descriptors() - before }
  },
}
