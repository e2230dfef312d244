/** Encodes and decodes sock_diag(7) messages (include/uapi/linux/inet_diag.h). Pure: bytes to values. */
import {
  eachAttribute,
  HOST_LE,
  MessageBuilder,
  NLM_F_DUMP,
  NLM_F_REQUEST,
} from 'node-netfilter-queue/system'
import { type Connection, type Initiator, IPPROTO_TCP, isLoopback, isMapped } from '../../core/packet/ip.js'

// include/uapi/linux/sock_diag.h: #define SOCK_DIAG_BY_FAMILY 20
export const SOCK_DIAG_BY_FAMILY = 20
// #define SOCK_DESTROY 21
export const SOCK_DESTROY = 21
// include/linux/socket.h
export const AF_INET = 2
export const AF_INET6 = 10
// include/net/tcp_states.h; an unconnected UDP socket counts as TCP_CLOSE.
export const TCP_ESTABLISHED = 1
export const TCP_SYN_SENT = 2
const TCP_FIN_WAIT1 = 4
const TCP_FIN_WAIT2 = 5
export const TCP_CLOSE = 7
export const TCP_CLOSE_WAIT = 8
const TCP_LAST_ACK = 9
export const TCP_LISTEN = 10
const TCP_CLOSING = 11

/** The states in which data may still pass, or will: one end, or both, may have closed. */
export const OPEN_STATES = [
  TCP_ESTABLISHED,
  TCP_SYN_SENT,
  TCP_FIN_WAIT1,
  TCP_FIN_WAIT2,
  TCP_CLOSE_WAIT,
  TCP_LAST_ACK,
  TCP_CLOSING,
] as const

// enum INET_DIAG_NONE, INET_DIAG_MEMINFO, INET_DIAG_INFO: the attribute, and its bit in idiag_ext plus one
const INET_DIAG_INFO = 2
export const EXTENSION_INFO = 1 << (INET_DIAG_INFO - 1)

// struct inet_diag_req_v2 { __u8 sdiag_family, sdiag_protocol, idiag_ext, pad; __u32 idiag_states;
//   struct inet_diag_sockid { __be16 idiag_sport, idiag_dport; __be32 idiag_src[4], idiag_dst[4];
//     __u32 idiag_if, idiag_cookie[2]; } id; };
export const REQUEST_LENGTH = 56
// struct inet_diag_msg { __u8 idiag_family, idiag_state, idiag_timer, idiag_retrans; struct inet_diag_sockid
// id;   __u32 idiag_expires, idiag_rqueue, idiag_wqueue, idiag_uid, idiag_inode; };
export const DIAG_MESSAGE_LENGTH = 72

// enum { INET_DIAG_REQ_NONE, INET_DIAG_REQ_BYTECODE }
const INET_DIAG_REQ_BYTECODE = 1

/** A request for all sockets of a family and protocol in one of these states. @param filter as port-filters.ts makes it */
export function diagRequest(
  family: number,
  protocol: number,
  states: readonly number[],
  filter?: Uint8Array,
): Uint8Array {
  const body = new Uint8Array(REQUEST_LENGTH)
  body[0] = family
  body[1] = protocol
  if (protocol === IPPROTO_TCP) body[2] = EXTENSION_INFO
  const mask = states.reduce((bits, state) => bits | (1 << state), 0)
  new DataView(body.buffer).setUint32(4, mask, HOST_LE)
  const message = new MessageBuilder(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP).raw(body)
  return (filter === undefined ? message : message.attribute(INET_DIAG_REQ_BYTECODE, filter)).finish()
}

/** Reads the local port of a struct inet_diag_msg. Returns undefined when the message is cut short. */
export const localPort = (view: DataView, payload: number, end: number): number | undefined =>
  payload + DIAG_MESSAGE_LENGTH > end ? undefined : view.getUint16(payload + 4)

/**
 * Reads the local port of a struct inet_diag_msg. Returns undefined when the message is cut short, or when
 * the socket is bound to a loopback address, so that other hosts cannot send to it.
 */
export function openPort(view: DataView, payload: number, end: number): number | undefined {
  if (payload + DIAG_MESSAGE_LENGTH > end || isBoundToLoopback(view, payload)) return undefined
  return view.getUint16(payload + 4)
}

/** Offsets of idiag_uid and idiag_inode in struct inet_diag_msg; the latter is 0 when no program has the socket. */
const IDIAG_UID = 64
export const IDIAG_INODE = 68

/** Reads the id of the user who made the socket. */
export const ownerIn = (view: DataView, payload: number): number =>
  view.getUint32(payload + IDIAG_UID, HOST_LE)

/** Reads the local port of a struct inet_diag_msg, if root made the socket. */
export function portOfRoot(view: DataView, payload: number, end: number): number | undefined {
  if (payload + DIAG_MESSAGE_LENGTH > end || ownerIn(view, payload) !== 0) return undefined
  return view.getUint16(payload + 4)
}

function isBoundToLoopback(view: DataView, payload: number): boolean {
  const words = addressAt(view, payload + 8)
  if (view.getUint8(payload) !== AF_INET6) return isLoopback({ family: 4, words })
  if (isMapped(words)) return isLoopback({ family: 4, words: ipv4(words[3]!) })
  return isLoopback({ family: 6, words })
}

/** Reads the 16 bytes of an address; for IPv4 the first four count. */
const addressAt = (view: DataView, at: number) =>
  Uint32Array.from([0, 4, 8, 12], (offset) => view.getUint32(at + offset))

const ipv4 = (word: number) => Uint32Array.of(word, 0, 0, 0)

/** A connection, the end that opened it, and the index of the device that its socket is bound to, or 0. */
export type SocketConnection = Connection & { readonly initiator: Initiator; readonly device: number }

/**
 * Reads a connection from a struct inet_diag_msg. Returns undefined when it is cut short. IPv4 on an IPv6
 * socket becomes IPv4.
 */
export function connectionOf(view: DataView, payload: number, end: number): SocketConnection | undefined {
  if (payload + DIAG_MESSAGE_LENGTH > end) return undefined
  const [local, remote] = [addressAt(view, payload + 8), addressAt(view, payload + 24)]
  const ports = {
    localPort: view.getUint16(payload + 4),
    remotePort: view.getUint16(payload + 6),
    device: view.getUint32(payload + 40, HOST_LE),
    initiator: initiatorOf(view, payload, end),
  }
  if (view.getUint8(payload) !== AF_INET6)
    return { family: 4, local: ipv4(local[0]!), remote: ipv4(remote[0]!), ...ports }
  if (isMapped(remote)) return { family: 4, local: ipv4(local[3]!), remote: ipv4(remote[3]!), ...ports }
  return { family: 6, local, remote, ...ports }
}

// struct tcp_info (include/uapi/linux/tcp.h): __u8 tcpi_state at 0, __u32 tcpi_unacked at 24,
// __u64 tcpi_bytes_acked at 120, __u32 tcpi_notsent_bytes at 144, __u64 tcpi_bytes_sent at 200, tcpi_bytes_retrans
// at 208 (these two since Linux 4.19)
const TCPI_STATE = 0
const TCPI_UNACKED = 24
const TCPI_BYTES_ACKED = 120
const TCPI_NOTSENT_BYTES = 144
const TCPI_BYTES_SENT = 200
const TCPI_BYTES_RETRANS = 208
const TCP_INFO_LENGTH = 216
// struct inet_diag_msg: idiag_wqueue is write_seq - snd_una (net/ipv4/tcp_diag.c)
const IDIAG_WQUEUE = 60

/**
 * The counters of a connection that show which end opened it. The kernel counts the SYN of the caller as an
 * acknowledged byte, and not as a sent one: for the calling end, acknowledged bytes and bytes on the way are
 * one more than sent bytes; for the other end, they are the same. A FIN counts like a SYN.
 */
export class Figures {
  #state = 0
  #unacked = 0
  #notSent = 0
  #acked = 0
  #sent = 0
  #queued = 0

  /** Reads the counters of a struct inet_diag_msg. @returns whether it has any */
  read(view: DataView, payload: number, end: number): boolean {
    const info = infoOf(view, payload + DIAG_MESSAGE_LENGTH, end)
    if (info === undefined) return false
    this.#queued = view.getUint32(payload + IDIAG_WQUEUE, HOST_LE)
    this.#state = view.getUint8(info + TCPI_STATE)
    this.#unacked = view.getUint32(info + TCPI_UNACKED, HOST_LE)
    this.#notSent = view.getUint32(info + TCPI_NOTSENT_BYTES, HOST_LE)
    this.#acked = u64(view, info + TCPI_BYTES_ACKED)
    this.#sent = u64(view, info + TCPI_BYTES_SENT) - u64(view, info + TCPI_BYTES_RETRANS)
    return true
  }

  copy(other: Figures): void {
    this.#state = other.#state
    this.#unacked = other.#unacked
    this.#notSent = other.#notSent
    this.#acked = other.#acked
    this.#sent = other.#sent
    this.#queued = other.#queued
  }

  equals(other: Figures): boolean {
    return (
      this.#queued === other.#queued &&
      this.#state === other.#state &&
      this.#unacked === other.#unacked &&
      this.#notSent === other.#notSent &&
      this.#acked === other.#acked &&
      this.#sent === other.#sent
    )
  }

  /**
   * Whether bytes are on the way. Their number is outside of tcp_info, and the kernel reads it a moment
   * earlier: such counters are certain to fit together only when the next look-up finds the same ones.
   */
  get isMoving(): boolean {
    return this.#unacked > 0
  }

  /**
   * The end that opened the connection, if these are the counters of one instant. A segment that this host
   * itself dropped on its way out counts as sent twice: so acknowledged bytes may be fewer for both ends
   * (`Opened` knows those that this host opened).
   */
  get initiator(): Initiator {
    const onItsWay = this.isMoving ? this.#queued - this.#notSent : 0
    const ahead = this.#acked + onItsWay - this.#sent - this.#fin
    return ahead === 1 ? 'this-host' : ahead <= 0 ? 'other-end' : 'unknown'
  }

  /** 1 when the FIN has been sent, which is always the last. */
  get #fin(): number {
    if (this.#state === TCP_FIN_WAIT2) return 1
    const isClosing =
      this.#state === TCP_FIN_WAIT1 || this.#state === TCP_LAST_ACK || this.#state === TCP_CLOSING
    return isClosing && this.#notSent === 0 ? 1 : 0
  }
}

/** Scratch for `initiatorOf`. */
const figures = new Figures()

/** Finds the end that opened the connection of a struct inet_diag_msg, as far as one look-up shows it. */
function initiatorOf(view: DataView, payload: number, end: number): Initiator {
  if (view.getUint8(payload + 1) === TCP_SYN_SENT) return 'this-host'
  return figures.read(view, payload, end) && !figures.isMoving ? figures.initiator : 'unknown'
}

/** Finds the offset of the struct tcp_info among the attributes, if it is whole. */
export function infoOf(view: DataView, start: number, end: number): number | undefined {
  let found: number | undefined
  eachAttribute(view, start, end, (type, value, stop) => {
    if (type === INET_DIAG_INFO && stop - value >= TCP_INFO_LENGTH) found = value
  })
  return found
}

/** Reads a __u64: exact up to 2^53, which no connection reaches. */
function u64(view: DataView, at: number): number {
  const [low, high] = HOST_LE ? [0, 4] : [4, 0]
  return view.getUint32(at + low, HOST_LE) + view.getUint32(at + high, HOST_LE) * 0x100000000
}
