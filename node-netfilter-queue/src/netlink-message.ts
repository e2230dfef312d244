/**
 * The netlink wire format: headers, attributes and their alignment (include/uapi/linux/netlink.h,
 * RFC 3549). Netlink's own fields are in the byte order of the host; what netfilter puts into
 * attributes is in network order.
 */
import { endianness } from 'node:os'

/** True on little-endian hosts: the last argument of DataView's methods for netlink's own fields. */
export const HOST_LE = endianness() === 'LE'

// struct nlmsghdr { __u32 nlmsg_len; __u16 nlmsg_type, nlmsg_flags; __u32 nlmsg_seq, nlmsg_pid; };
export const NLMSG_HDRLEN = 16
// struct nlattr { __u16 nla_len; __u16 nla_type; };
export const NLA_HDRLEN = 4
// struct nfgenmsg { __u8 nfgen_family; __u8 version; __be16 res_id; };
export const NFGENMSG_LEN = 4

// #define NLMSG_NOOP 0x1, NLMSG_ERROR 0x2, NLMSG_DONE 0x3
export const NLMSG_ERROR = 2
export const NLMSG_DONE = 3

// #define NLM_F_REQUEST 0x01, NLM_F_MULTI 0x02, NLM_F_ACK 0x04, NLM_F_DUMP_INTR 0x10,
// NLM_F_DUMP (0x100|0x200)
export const NLM_F_REQUEST = 0x01
export const NLM_F_MULTI = 0x02
export const NLM_F_ACK = 0x04
export const NLM_F_DUMP_INTR = 0x10
export const NLM_F_DUMP = 0x300

// #define NLA_F_NESTED (1 << 15), NLA_F_NET_BYTEORDER (1 << 14), NLA_TYPE_MASK
export const NLA_F_NESTED = 0x8000
const NLA_TYPE_MASK = 0x3fff

/** Netlink aligns everything to four bytes (NLMSG_ALIGN, NLA_ALIGN). */
export const align = (length: number): number => (length + 3) & ~3

/** One netlink message inside a buffer: `start` is its header, `payload` what follows, `end` behind it. */
export interface Message {
  readonly view: DataView
  readonly start: number
  readonly payload: number
  readonly end: number
  readonly type: number
  readonly flags: number
  readonly sequence: number
}

/**
 * The messages between `start` and `end` of a view, in order.
 * A length that does not fit ends the walk: what came before it stands.
 */
export function* messages(view: DataView, start: number, end: number): Generator<Message, void> {
  let at = start
  while (at + NLMSG_HDRLEN <= end) {
    const length = view.getUint32(at, HOST_LE)
    if (length < NLMSG_HDRLEN || at + length > end) return
    yield {
      view,
      start: at,
      payload: at + NLMSG_HDRLEN,
      end: at + length,
      type: view.getUint16(at + 4, HOST_LE),
      flags: view.getUint16(at + 6, HOST_LE),
      sequence: view.getUint32(at + 8, HOST_LE),
    }
    at += align(length)
  }
}

/**
 * Calls `visit(type, start, end)` for each attribute between `start` and `end`, flags taken off the type.
 * @returns false when a length does not fit; attributes before it were visited
 */
export function eachAttribute(
  view: DataView,
  start: number,
  end: number,
  visit: (type: number, start: number, end: number) => void,
): boolean {
  let at = start
  while (at + NLA_HDRLEN <= end) {
    const length = view.getUint16(at, HOST_LE)
    if (length < NLA_HDRLEN || at + length > end) return false
    visit(view.getUint16(at + 2, HOST_LE) & NLA_TYPE_MASK, at + NLA_HDRLEN, at + length)
    at += align(length)
  }
  return true
}

/**
 * The errno of an NLMSG_ERROR or NLMSG_DONE message, as the kernel sends it: 0 is an acknowledgement,
 * otherwise negative. A message too short to tell counts as success only where the kernel allows it (DONE).
 */
export function statusOf(message: Message): number {
  // struct nlmsgerr { int error; struct nlmsghdr msg; }; NLMSG_DONE carries the same int, or nothing.
  if (message.payload + 4 <= message.end) return message.view.getInt32(message.payload, HOST_LE)
  return message.type === NLMSG_DONE ? 0 : -22
}

/** One attribute with its padding: for a message, or as a part of the value of another (NLA_F_NESTED). */
export function attribute(type: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(align(NLA_HDRLEN + value.length))
  const view = new DataView(bytes.buffer)
  view.setUint16(0, NLA_HDRLEN + value.length, HOST_LE)
  view.setUint16(2, type, HOST_LE)
  bytes.set(value, NLA_HDRLEN)
  return bytes
}

/** Builds one netlink message. `finish()` returns the bytes; the builder is then spent. */
export class MessageBuilder {
  #bytes = new Uint8Array(256)
  #view = new DataView(this.#bytes.buffer)
  #length = NLMSG_HDRLEN

  constructor(type: number, flags: number) {
    this.#view.setUint16(4, type, HOST_LE)
    this.#view.setUint16(6, flags, HOST_LE)
  }

  /** Raw bytes, padded to four: a family's own header, for one. */
  raw(bytes: Uint8Array): this {
    const at = this.#reserve(align(bytes.length))
    this.#bytes.set(bytes, at)
    return this
  }

  /** struct nfgenmsg, which stands before the attributes of every netfilter message. */
  nfgenmsg(family: number, resourceId: number): this {
    return this.raw(Uint8Array.of(family, 0, resourceId >> 8, resourceId & 0xff))
  }

  attribute(type: number, value: Uint8Array): this {
    return this.raw(attribute(type, value))
  }

  /** A 32-bit attribute in network order, as netfilter wants them. */
  u32(type: number, value: number): this {
    return this.attribute(type, Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value))
  }

  /** A zero-terminated string (NLA_NUL_STRING). */
  string(type: number, value: string): this {
    return this.attribute(type, new TextEncoder().encode(`${value}\0`))
  }

  finish(): Uint8Array {
    this.#view.setUint32(0, this.#length, HOST_LE)
    return this.#bytes.subarray(0, this.#length)
  }

  #reserve(length: number): number {
    const at = this.#length
    this.#length += length
    if (this.#length > this.#bytes.length) this.#grow()
    return at
  }

  #grow(): void {
    const bytes = new Uint8Array(this.#length * 2)
    bytes.set(this.#bytes)
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer)
  }
}

/** Writes the sequence number into a finished message. */
export function setSequence(message: Uint8Array, sequence: number): void {
  new DataView(message.buffer, message.byteOffset, message.length).setUint32(8, sequence, HOST_LE)
}
