/**
 * The NFQUEUE messages (include/uapi/linux/netfilter/nfnetlink_queue.h): what the kernel says of a packet,
 * and what it is told. Pure: bytes to values and back.
 */
import {
  align,
  HOST_LE,
  MessageBuilder,
  NFGENMSG_LEN,
  NLA_HDRLEN,
  NLM_F_REQUEST,
  NLMSG_HDRLEN,
} from './netlink-message.js'

// include/uapi/linux/netfilter/nfnetlink.h: #define NFNL_SUBSYS_QUEUE 3
const NFNL_SUBSYS_QUEUE = 3
// enum nfqnl_msg_types { NFQNL_MSG_PACKET, NFQNL_MSG_VERDICT, NFQNL_MSG_CONFIG, NFQNL_MSG_VERDICT_BATCH }
const NFQNL_MSG_PACKET = (NFNL_SUBSYS_QUEUE << 8) | 0
const NFQNL_MSG_VERDICT = (NFNL_SUBSYS_QUEUE << 8) | 1
const NFQNL_MSG_CONFIG = (NFNL_SUBSYS_QUEUE << 8) | 2
const NFQNL_MSG_VERDICT_BATCH = (NFNL_SUBSYS_QUEUE << 8) | 3

// enum nfqnl_attr_type
const NFQA_PACKET_HDR = 1
const NFQA_VERDICT_HDR = 2
const NFQA_MARK = 3
const NFQA_IFINDEX_INDEV = 5
const NFQA_IFINDEX_OUTDEV = 6
const NFQA_PAYLOAD = 10
const NFQA_CAP_LEN = 13
const NFQA_SKB_INFO = 14
const NFQA_UID = 16
const NFQA_GID = 17

// #define NFQA_SKB_GSO (1 << 1): the kernel still cuts the packet into segments
const NFQA_SKB_GSO = 1 << 1

// enum nfqnl_attr_config
const NFQA_CFG_CMD = 1
const NFQA_CFG_PARAMS = 2
const NFQA_CFG_QUEUE_MAXLEN = 3
const NFQA_CFG_MASK = 4
const NFQA_CFG_FLAGS = 5
// enum nfqnl_msg_config_cmds, enum nfqnl_config_mode
const NFQNL_CFG_CMD_BIND = 1
const NFQNL_COPY_PACKET = 2
// #define NFQA_CFG_F_FAIL_OPEN (1 << 0), NFQA_CFG_F_GSO (1 << 2), NFQA_CFG_F_UID_GID (1 << 3)
export const NFQA_CFG_F_FAIL_OPEN = 1 << 0
export const NFQA_CFG_F_GSO = 1 << 2
export const NFQA_CFG_F_UID_GID = 1 << 3

/** include/uapi/linux/netfilter.h: #define NF_DROP 0. The packet is gone. */
export const NF_DROP = 0
/** #define NF_ACCEPT 1. The packet goes on *behind* the hook that queued it: rules below never see it. */
export const NF_ACCEPT = 1
/** #define NF_REPEAT 4. The packet goes through the hook again: change its mark, or it is queued for ever. */
export const NF_REPEAT = 4

/** The length of an attribute has 16 bits. */
const MAX_ATTRIBUTE = 0xffff - NLA_HDRLEN

export type Verdict = typeof NF_DROP | typeof NF_ACCEPT | typeof NF_REPEAT

/** Not of the kernel: no verdict yet. The packet waits until `Queue.release` gives it one. */
export const HELD = -1

/**
 * One packet as the queue shows it. The object and the bytes are reused: both are valid until the handler
 * returns.
 */
export class QueuedPacket {
  /** The kernel's number of the packet in its queue. */
  id = 0
  /** Protocol family of the hook: 2 AF_INET, 10 AF_INET6. */
  family = 0
  /** EtherType, e.g. 0x0800; 0 where there is none. */
  hardwareProtocol = 0
  /** Netfilter hook: 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting. */
  hook = 0
  /** The packet's mark. Assign to it to change it along with the verdict. */
  mark = 0
  /** Owner of the sending socket in the *initial* user namespace, or -1 where the kernel names none. */
  uid = -1
  gid = -1
  /** Interface indexes, 0 where there is none. */
  inDevice = 0
  outDevice = 0
  /** The packet from its network header on: `bytes` from `start` to `end`; cut at the copy range. */
  bytes: Uint8Array = new Uint8Array()
  start = 0
  end = 0
  /** Length of the packet in bytes before it was cut. */
  length = 0
  /** Whether the kernel will still cut the packet into segments: only with the option `gso`. */
  isLarge = false
  /**
   * Set it to make the kernel send the bytes that were seen, from `start` to `end`, as they are in `bytes` then. A
   * program can change the pages of a packet while it waits (sendfile(2), MSG_ZEROCOPY). The kernel computes no
   * checksum of them. Only where `canSendBytes` is true, and not with HELD.
   */
  sendsBytes = false

  /** Whether all bytes of the packet were seen, and the kernel can take them back. */
  get canSendBytes(): boolean {
    return !this.isLarge && this.end - this.start >= this.length && this.length <= MAX_ATTRIBUTE
  }
}

/**
 * Reads one datagram of a queue into `packet`.
 * @returns `packet`, `other` for a message that is not a packet, `malformed` where a length does not fit or
 *   the packet has no number
 */
export function parsePacket(
  view: DataView,
  bytes: Uint8Array,
  start: number,
  end: number,
  packet: QueuedPacket,
): 'packet' | 'other' | 'malformed' {
  if (end - start < NLMSG_HDRLEN + NFGENMSG_LEN) return 'other'
  if (view.getUint16(start + 4, HOST_LE) !== NFQNL_MSG_PACKET) return 'other'
  const messageEnd = start + view.getUint32(start, HOST_LE)
  if (messageEnd > end) return 'malformed'
  reset(packet, bytes, view.getUint8(start + NLMSG_HDRLEN))
  let at = start + NLMSG_HDRLEN + NFGENMSG_LEN
  while (at + NLA_HDRLEN <= messageEnd) {
    const length = view.getUint16(at, HOST_LE)
    if (length < NLA_HDRLEN || at + length > messageEnd) return 'malformed'
    if (!readAttribute(view, at, length, packet)) return 'malformed'
    at += align(length)
  }
  if (packet.length === 0) packet.length = packet.end - packet.start
  return packet.id === -1 ? 'malformed' : 'packet'
}

function reset(packet: QueuedPacket, bytes: Uint8Array, family: number): void {
  packet.id = -1
  packet.family = family
  packet.hardwareProtocol = 0
  packet.hook = 0
  packet.mark = 0
  packet.uid = -1
  packet.gid = -1
  packet.inDevice = 0
  packet.outDevice = 0
  packet.bytes = bytes
  packet.start = 0
  packet.end = 0
  packet.length = 0
  packet.isLarge = false
  packet.sendsBytes = false
}

/** One attribute that stands at `at`; false where it is shorter than its type. */
function readAttribute(view: DataView, at: number, length: number, packet: QueuedPacket): boolean {
  const value = at + NLA_HDRLEN
  const type = view.getUint16(at + 2, HOST_LE) & 0x3fff
  if (type === NFQA_PAYLOAD) {
    packet.start = value
    packet.end = at + length
    return true
  }
  if (length < NLA_HDRLEN + 4) return true
  switch (type) {
    case NFQA_PACKET_HDR:
      // struct nfqnl_msg_packet_hdr { __be32 packet_id; __be16 hw_protocol; __u8 hook; } packed
      if (length < NLA_HDRLEN + 7) return false
      packet.id = view.getUint32(value)
      packet.hardwareProtocol = view.getUint16(value + 4)
      packet.hook = view.getUint8(value + 6)
      break
    case NFQA_MARK:
      packet.mark = view.getUint32(value)
      break
    case NFQA_IFINDEX_INDEV:
      packet.inDevice = view.getUint32(value)
      break
    case NFQA_IFINDEX_OUTDEV:
      packet.outDevice = view.getUint32(value)
      break
    case NFQA_CAP_LEN:
      packet.length = view.getUint32(value)
      break
    case NFQA_SKB_INFO:
      packet.isLarge = (view.getUint32(value) & NFQA_SKB_GSO) !== 0
      break
    case NFQA_UID:
      packet.uid = view.getUint32(value)
      break
    case NFQA_GID:
      packet.gid = view.getUint32(value)
      break
  }
  return true
}

export interface QueueConfig {
  readonly number: number
  /** Bytes of each packet to copy, 0 to 65,535. */
  readonly copyRange: number
  /** Packets that may wait in the kernel. */
  readonly maxLength: number
  /** NFQA_CFG_F_* */
  readonly flags: number
}

const be32 = (value: number) => Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value)

/** One message that binds a queue and sets all of it, so that no packet meets a queue half set up. */
export function bindRequest(config: QueueConfig): Uint8Array {
  // struct nfqnl_msg_config_cmd { __u8 command; __u8 _pad; __be16 pf; };
  // struct nfqnl_msg_config_params { __be32 copy_range; __u8 copy_mode; } packed
  return new MessageBuilder(NFQNL_MSG_CONFIG, NLM_F_REQUEST)
    .nfgenmsg(0, config.number)
    .attribute(NFQA_CFG_CMD, Uint8Array.of(NFQNL_CFG_CMD_BIND, 0, 0, 0))
    .attribute(NFQA_CFG_PARAMS, Uint8Array.of(...be32(config.copyRange), NFQNL_COPY_PACKET))
    .u32(NFQA_CFG_QUEUE_MAXLEN, config.maxLength)
    .u32(NFQA_CFG_MASK, config.flags)
    .u32(NFQA_CFG_FLAGS, config.flags)
    .finish()
}

// nlmsghdr, nfgenmsg, NFQA_VERDICT_HDR { __be32 verdict; __be32 id; }, NFQA_MARK
const VERDICT_LENGTH = NLMSG_HDRLEN + NFGENMSG_LEN + NLA_HDRLEN + 8
const VERDICT_WITH_MARK_LENGTH = VERDICT_LENGTH + NLA_HDRLEN + 4

/**
 * Collects the verdicts of a batch for one send. Neighbours with the same verdict and the same new mark
 * become one NFQNL_MSG_VERDICT_BATCH, so under a flood of equal verdicts the kernel reads one message, not
 * sixty-four. That message decides *every* waiting packet up to its number (the kernel compares numbers as a
 * signed difference, so they may wrap), and packets come in the order of their numbers: it decides exactly
 * the run as long as no older packet was left undecided. Whoever leaves one undecided calls `stopRuns()`.
 */
export class VerdictWriter {
  /** What to send: the first `length` bytes. */
  bytes: Uint8Array
  length = 0
  #view: DataView
  readonly #number: number
  readonly #capacity: number
  #lastStart = -1
  #lastVerdict = 0
  #lastMark = -1
  #runs = true

  /** @param number the queue's @param capacity verdicts in a batch at most */
  constructor(number: number, capacity: number) {
    this.#number = number
    this.#capacity = capacity
    this.bytes = new Uint8Array(capacity * VERDICT_WITH_MARK_LENGTH)
    this.#view = new DataView(this.bytes.buffer)
  }

  clear(): void {
    this.length = 0
    this.#lastStart = -1
  }

  /** From now on one message a packet: an older packet is undecided, which a run would decide too. */
  stopRuns(): void {
    this.#runs = false
    this.#lastStart = -1
  }

  /** @param id above all those added before @param mark the packet's new mark, or -1 to leave it as it is */
  add(id: number, verdict: Verdict, mark: number): void {
    if (this.#lastStart >= 0 && verdict === this.#lastVerdict && mark === this.#lastMark) {
      this.#view.setUint16(this.#lastStart + 4, NFQNL_MSG_VERDICT_BATCH, HOST_LE)
      this.#view.setUint32(this.#lastStart + 28, id)
      return
    }
    this.#lastStart = this.#runs ? this.length : -1
    this.#lastVerdict = verdict
    this.#lastMark = mark
    this.length += this.#write(this.length, id, verdict, mark)
  }

  /**
   * Adds a verdict with the bytes that the kernel must send (NFQA_PAYLOAD).
   * @param id, mark as in `add` @param packet `bytes` from `start` to `end`, where `canSendBytes` is true
   */
  addWithBytes(id: number, verdict: Verdict, mark: number, { bytes, start, end }: QueuedPacket): void {
    const at = this.length
    const attribute = NLA_HDRLEN + end - start
    this.#grow(at + VERDICT_WITH_MARK_LENGTH + align(attribute))
    const payload = at + this.#write(at, id, verdict, mark)
    this.#view.setUint16(payload, attribute, HOST_LE)
    this.#view.setUint16(payload + 2, NFQA_PAYLOAD, HOST_LE)
    this.bytes.set(bytes.subarray(start, end), payload + NLA_HDRLEN)
    this.bytes.fill(0, payload + attribute, payload + align(attribute))
    this.length = payload + align(attribute)
    this.#view.setUint32(at, this.length - at, HOST_LE)
    this.#lastStart = -1
  }

  #grow(length: number): void {
    // The verdicts that may follow in this batch must fit too.
    const needed = length + this.#capacity * VERDICT_WITH_MARK_LENGTH
    if (needed <= this.bytes.length) return
    const larger = new Uint8Array(Math.max(needed, 2 * this.bytes.length))
    larger.set(this.bytes.subarray(0, this.length))
    this.bytes = larger
    this.#view = new DataView(larger.buffer)
  }

  #write(at: number, id: number, verdict: Verdict, mark: number): number {
    const view = this.#view
    const length = mark < 0 ? VERDICT_LENGTH : VERDICT_WITH_MARK_LENGTH
    view.setUint32(at, length, HOST_LE)
    view.setUint16(at + 4, NFQNL_MSG_VERDICT, HOST_LE)
    view.setUint16(at + 6, NLM_F_REQUEST, HOST_LE)
    view.setUint32(at + 8, 0)
    view.setUint32(at + 12, 0)
    view.setUint32(at + 16, this.#number)
    view.setUint16(at + 20, NLA_HDRLEN + 8, HOST_LE)
    view.setUint16(at + 22, NFQA_VERDICT_HDR, HOST_LE)
    view.setUint32(at + 24, verdict)
    view.setUint32(at + 28, id)
    if (mark < 0) return length
    view.setUint16(at + 32, NLA_HDRLEN + 4, HOST_LE)
    view.setUint16(at + 34, NFQA_MARK, HOST_LE)
    view.setUint32(at + 36, mark)
    return length
  }
}
