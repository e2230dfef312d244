import { HOST_LE, NLMSG_HDRLEN } from 'node-netfilter-queue/system'
import t from 'tap'
import { formatAddress } from '../../../src/core/packet/address-text.js'
import { IPPROTO_TCP, IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import {
  deleteRequest,
  dumpRequest,
  Flow,
  IPCTNL_MSG_CT_DELETE,
  IPCTNL_MSG_CT_NEW,
  readFlow,
  TCP_CONNTRACK_ESTABLISHED,
  TCP_CONNTRACK_LAST_ACK,
} from '../../../src/kernel/conntrack/wire.js'
import { seededRandom } from '../../core/random.js'
import * as vectors from '../../vectors/conntrack.js'

// These states are defined in include/uapi/linux/netfilter/nf_conntrack_tcp.h.
const TCP_CONNTRACK_SYN_SENT = 1
const TCP_CONNTRACK_TIME_WAIT = 7
// The bits come from include/uapi/linux/netfilter/nf_conntrack_common.h: IPS_SEEN_REPLY = (1 << 1),
// IPS_ASSURED = (1 << 2)
const IPS_SEEN_REPLY = 2
const IPS_ASSURED = 4

/** The vectors come from a little-endian kernel. */
const skip = HOST_LE ? false : 'the captured messages are little-endian'

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
const typeOf = (bytes: Uint8Array) => viewOf(bytes).getUint16(4, HOST_LE)

function read(bytes: Uint8Array, flow = new Flow()): Flow | undefined {
  return readFlow(viewOf(bytes), NLMSG_HDRLEN, bytes.length, flow) ? flow : undefined
}

/** Returns `answering end -> calling end`. */
function ends(flow: Flow | undefined): string | undefined {
  if (!flow) return undefined
  const { family, source, sourcePort, destination, destinationPort } = flow
  return `${formatAddress(family, source)} ${sourcePort} -> ${formatAddress(family, destination)} ${destinationPort}`
}

t.test(
  'a connection is read in the direction of its replies: from the called end to the calling end',
  { skip },
  async (t) => {
    const expected = '192.0.2.1 443 -> 198.51.100.7 51000'
    const { tcp4New, tcp4Dumped, tcp4Closing, tcp4Destroyed } = vectors
    for (const [name, bytes] of Object.entries({ tcp4New, tcp4Dumped, tcp4Closing, tcp4Destroyed })) {
      t.equal(ends(read(bytes)), expected, name)
      t.match(read(bytes), { family: 4, protocol: IPPROTO_TCP })
    }
    t.equal(ends(read(vectors.tcp6)), '2001:db8::1 443 -> 2001:db8:7::7 51000')
    t.match(read(vectors.tcp6), { family: 6, protocol: IPPROTO_TCP, tcpState: TCP_CONNTRACK_ESTABLISHED })
    t.equal(ends(read(vectors.udp4)), '192.0.2.1 53 -> 198.51.100.7 51001')
    t.match(read(vectors.udp4), { family: 4, protocol: IPPROTO_UDP, tcpState: 0 })
    t.equal(ends(read(vectors.udp6Destroyed)), '2001:db8::1 53 -> 2001:db8:7::7 51001')
    t.match(read(vectors.udp6Destroyed), { family: 6, protocol: IPPROTO_UDP, tcpState: 0 })
  },
)

t.test(
  'behind address translation, the called end is the end that sends the answers',
  { skip },
  async (t) => {
    t.equal(ends(read(vectors.tcp4Translated)), '192.0.2.1 443 -> 198.51.100.7 51002')
  },
)

t.test('the TCP state and the connection status are read', { skip }, async (t) => {
  t.match(read(vectors.tcp4New), { tcpState: TCP_CONNTRACK_SYN_SENT })
  t.equal(read(vectors.tcp4New)!.status & (IPS_SEEN_REPLY | IPS_ASSURED), 0)
  t.match(read(vectors.tcp4Dumped), { tcpState: TCP_CONNTRACK_ESTABLISHED })
  t.equal(read(vectors.tcp4Dumped)!.status & (IPS_SEEN_REPLY | IPS_ASSURED), IPS_SEEN_REPLY | IPS_ASSURED)
  t.match(read(vectors.tcp4Closing), { tcpState: TCP_CONNTRACK_LAST_ACK })
  t.match(read(vectors.tcp4Destroyed), { tcpState: TCP_CONNTRACK_TIME_WAIT })
})

t.test('the message types of the kernel are those of this program', { skip }, async (t) => {
  t.equal(typeOf(vectors.tcp4New), IPCTNL_MSG_CT_NEW)
  t.equal(typeOf(vectors.tcp4Dumped), IPCTNL_MSG_CT_NEW)
  t.equal(typeOf(vectors.tcp4Destroyed), IPCTNL_MSG_CT_DELETE)
})

t.test('reading a message leaves nothing of the previous message', { skip }, async (t) => {
  const reused = new Flow()
  read(vectors.tcp6, reused)
  t.same(read(vectors.udp4, reused), read(vectors.udp4))
  t.equal(readFlow(viewOf(vectors.udp4), NLMSG_HDRLEN, NLMSG_HDRLEN + 4, reused), false)
  t.same(reused, new Flow(), 'the message has no attributes')
})

t.test(
  'a message that is cut anywhere is refused or read up to its last complete attribute; nothing throws',
  { skip },
  async (t) => {
    for (const [name, whole] of Object.entries(vectors)) {
      const expected = ends(read(whole))
      let readable = 0
      for (let length = NLMSG_HDRLEN; length < whole.length; length++) {
        // The bytes are a copy: reading behind the cut would throw.
        const flow = read(whole.slice(0, length))
        if (flow === undefined) continue
        readable++
        if (ends(flow) !== expected) t.fail(`${name} cut at ${length} was read as ${ends(flow)}`)
      }
      t.ok(
        readable > 0 && readable < 40,
        `${name}: the message is cut between the attributes behind the addresses`,
      )
    }
  },
)

t.test('a length that does not fit is refused in every nested attribute', { skip }, async (t) => {
  // These are the offsets of the length fields of all attributes, down to the ports and the TCP state.
  const lengthFields = [20, 24, 28, 36, 44, 48, 56, 64, 72, 76, 80, 88, 96, 100, 108, 116, 148, 152, 156]
  for (const at of lengthFields)
    for (const wrong of [0, 3, 0x1000, 0xffff]) {
      const bytes = vectors.tcp4New.slice()
      viewOf(bytes).setUint16(at, wrong, HOST_LE)
      // The original tuple is skipped as a whole: only its own length matters.
      const skipped = at > 20 && at < 72
      t.equal(read(bytes) === undefined, !skipped, `the length at ${at} is ${wrong}`)
    }
})

t.test('random bytes in a message never throw', { skip }, async (t) => {
  const random = seededRandom(20)
  const all = Object.values(vectors)
  for (let i = 0; i < 20_000; i++) {
    const bytes = all[i % all.length]!.slice()
    for (let changes = 1 + random(4); changes > 0; changes--)
      bytes[NLMSG_HDRLEN + random(bytes.length - NLMSG_HDRLEN)] = random(256)
    read(bytes)
  }
  t.pass('no round threw')
})

t.test(
  'addresses, ports and protocols that are too short for their type are refused',
  { skip },
  async (t) => {
    // Each attribute of the reply tuple is replaced by a header with the shortest length.
    for (const [what, at] of Object.entries({
      source: 80,
      destination: 88,
      protocol: 100,
      sourcePort: 108,
    })) {
      const bytes = vectors.tcp4New.slice()
      viewOf(bytes).setUint16(at, 4, HOST_LE)
      t.equal(read(bytes), undefined, what)
    }
  },
)

t.test('the request for a dump has the bytes that the kernel answered', { skip }, async (t) => {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
  t.equal(hex(dumpRequest(2)), '140000000101010300000000000000000200 0000'.replaceAll(' ', ''))
  t.equal(hex(dumpRequest(10)), '140000000101010300000000000000000a00 0000'.replaceAll(' ', ''))
})

t.test('a dump of one protocol asks for its number, and for nothing else', { skip }, async (t) => {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
  const expected = (family: string, protocol: string) =>
    [
      // These bytes are struct nlmsghdr: length 56, IPCTNL_MSG_CT_GET, REQUEST|DUMP; then struct nfgenmsg.
      `38000000 0101 0103 00000000 00000000 ${family}000000`,
      // These bytes are CTA_TUPLE_ORIG { CTA_TUPLE_PROTO { CTA_PROTO_NUM } }.
      `1000 0180 0c00 0280 0500 0100 ${protocol}000000`,
      // These bytes are CTA_FILTER { CTA_FILTER_ORIG_FLAGS: CTA_FILTER_FLAG(CTA_PROTO_NUM),
      // CTA_FILTER_REPLY_FLAGS: none }.
      '1400 1980 0800 0100 08000000 0800 0200 00000000',
    ]
      .join('')
      .replaceAll(' ', '')
  t.equal(hex(dumpRequest(2, IPPROTO_UDP)), expected('02', '11'))
  t.equal(hex(dumpRequest(10, IPPROTO_TCP)), expected('0a', '06'))
  t.equal(hex(dumpRequest(2, undefined)), hex(dumpRequest(2)))
})

t.test('a request to forget a flow names it by its ends and its id', { skip }, async (t) => {
  const request = deleteRequest(viewOf(vectors.tcp4Dumped), NLMSG_HDRLEN, vectors.tcp4Dumped.length)
  t.equal(
    Buffer.from(request).toString('hex'),
    (
      '50000000 0201 0100 00000000 00000000 02000000' +
      '34000180 1400018008000100c633640708000200c0000201 1c000280050001000600000006000200c73800000600030001bb0000' +
      '08000c003d5c0df2'
    ).replaceAll(' ', ''),
  )
})
