/** sock_diag(7): this host's sockets as messages (include/uapi/linux/inet_diag.h). Pure: bytes to values. */
import {
  HOST_LE,
  MessageBuilder,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  NLMSG_ERROR,
  NLMSG_HDRLEN,
} from 'node-netfilter-queue'
import { type Connection, type Family, IPPROTO_TCP, type SocketState, type Words } from '../core/types.js'

// include/uapi/linux/sock_diag.h: #define SOCK_DIAG_BY_FAMILY 20
const SOCK_DIAG_BY_FAMILY = 20
// include/linux/socket.h
export const AF_INET = 2
export const AF_INET6 = 10
// include/net/tcp_states.h; an unconnected UDP socket counts as TCP_CLOSE.
const TCP_ESTABLISHED = 1
const TCP_SYN_SENT = 2
const TCP_FIN_WAIT1 = 4
const TCP_FIN_WAIT2 = 5
export const TCP_CLOSE = 7
const TCP_CLOSE_WAIT = 8
const TCP_LAST_ACK = 9
export const TCP_LISTEN = 10
const TCP_CLOSING = 11

/** States in which data may still pass, or will: one end, or both, may have closed. */
export const OPEN_STATES = [
  TCP_ESTABLISHED,
  TCP_SYN_SENT,
  TCP_FIN_WAIT1,
  TCP_FIN_WAIT2,
  TCP_CLOSE_WAIT,
  TCP_LAST_ACK,
  TCP_CLOSING,
] as const
// #define INET_DIAG_NOCOOKIE (~0U)
const INET_DIAG_NOCOOKIE = 0xffffffff

// struct inet_diag_req_v2 { __u8 sdiag_family, sdiag_protocol, idiag_ext, pad; __u32 idiag_states;
//   struct inet_diag_sockid { __be16 idiag_sport, idiag_dport; __be32 idiag_src[4], idiag_dst[4];
//     __u32 idiag_if, idiag_cookie[2]; } id; };
const REQUEST_LENGTH = 56
// struct inet_diag_msg { __u8 idiag_family, idiag_state, idiag_timer, idiag_retrans; struct inet_diag_sockid id;
//   __u32 idiag_expires, idiag_rqueue, idiag_wqueue, idiag_uid, idiag_inode; };
export const DIAG_MESSAGE_LENGTH = 72

/** A request for all sockets of a family and protocol in one of these states. */
export function diagRequest(family: number, protocol: number, states: readonly number[]): Uint8Array {
  const body = new Uint8Array(REQUEST_LENGTH)
  body[0] = family
  body[1] = protocol
  const mask = states.reduce((bits, state) => bits | (1 << state), 0)
  new DataView(body.buffer).setUint32(4, mask, HOST_LE)
  return new MessageBuilder(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP).raw(body).finish()
}

/**
 * The local port of a struct inet_diag_msg to which others can send; undefined where it is cut short, or the socket is
 * bound to a loopback address.
 */
export function openPort(view: DataView, payload: number, end: number): number | undefined {
  if (payload + DIAG_MESSAGE_LENGTH > end || isLoopback(view, payload)) return undefined
  return view.getUint16(payload + 4)
}

/** RFC 1122, 3.2.1.3: 127.0.0.0/8; RFC 4291, 2.5.3: ::1, and 2.5.5.2: IPv4 in IPv6. */
function isLoopback(view: DataView, payload: number): boolean {
  const word = (index: number) => view.getUint32(payload + 8 + index * 4)
  if (view.getUint8(payload) !== AF_INET6) return word(0) >>> 24 === 127
  if (word(0) !== 0 || word(1) !== 0) return false
  return (word(2) === 0 && word(3) === 1) || (word(2) === 0xffff && word(3) >>> 24 === 127)
}

/** The ends in a struct inet_diag_msg; undefined where it is cut short. IPv4 on an IPv6 socket is told as IPv4. */
export function connectionOf(view: DataView, payload: number, end: number): Connection | undefined {
  if (payload + DIAG_MESSAGE_LENGTH > end) return undefined
  const words = (at: number) =>
    Uint32Array.from([0, 4, 8, 12], (offset) => view.getUint32(payload + at + offset))
  const [local, remote] = [words(8), words(24)]
  const ports = { localPort: view.getUint16(payload + 4), remotePort: view.getUint16(payload + 6) }
  const ipv4 = (word: number) => Uint32Array.of(word, 0, 0, 0)
  if (view.getUint8(payload) !== AF_INET6)
    return { family: 4, local: ipv4(local[0]!), remote: ipv4(remote[0]!), ...ports }
  // RFC 4291, 2.5.5.2: ::ffff:0:0/96
  const mapped = remote[0] === 0 && remote[1] === 0 && remote[2] === 0xffff
  if (mapped) return { family: 4, local: ipv4(local[3]!), remote: ipv4(remote[3]!), ...ports }
  return { family: 6, local, remote, ...ports }
}

/** A question for the one TCP socket with these two ends; made once, and set anew for each question. */
export class LookUp {
  readonly message: Uint8Array
  readonly #view: DataView

  constructor() {
    const body = new Uint8Array(REQUEST_LENGTH)
    body[1] = IPPROTO_TCP
    this.message = new MessageBuilder(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST).raw(body).finish()
    this.#view = new DataView(this.message.buffer, this.message.byteOffset + NLMSG_HDRLEN)
    this.#view.setUint32(48, INET_DIAG_NOCOOKIE, HOST_LE)
    this.#view.setUint32(52, INET_DIAG_NOCOOKIE, HOST_LE)
  }

  /** @param device index of the device that the packet leaves by: 0 finds no socket that is bound to one */
  set(
    family: Family,
    local: Words,
    localPort: number,
    remote: Words,
    remotePort: number,
    device: number,
  ): void {
    const view = this.#view
    view.setUint8(0, family === 4 ? AF_INET : AF_INET6)
    view.setUint16(8, localPort)
    view.setUint16(10, remotePort)
    for (let i = 0; i < 4; i++) {
      view.setUint32(12 + i * 4, local[i]!)
      view.setUint32(28 + i * 4, remote[i]!)
    }
    view.setUint32(44, device, HOST_LE)
  }
}

const ENOENT = 2

/**
 * Reads the answer to a LookUp. Where no socket has these two ends the kernel names the one that listens there, or none
 * (ENOENT). A socket that is still calling (SYN_SENT) has no client.
 */
export function socketState(view: DataView, length: number): SocketState {
  if (length < NLMSG_HDRLEN + 4) return 'unknown'
  if (view.getUint16(4, HOST_LE) === NLMSG_ERROR)
    return view.getInt32(NLMSG_HDRLEN, HOST_LE) === -ENOENT ? 'none' : 'unknown'
  if (length < NLMSG_HDRLEN + DIAG_MESSAGE_LENGTH) return 'unknown'
  const state = view.getUint8(NLMSG_HDRLEN + 1)
  if (state === TCP_ESTABLISHED || state === TCP_CLOSE_WAIT) return 'established'
  return state === TCP_LISTEN || state === TCP_CLOSE || state === TCP_SYN_SENT ? 'none' : 'transient'
}

/** Whether the answer to a LookUp names a socket that listens. */
export function isListening(view: DataView, length: number): boolean {
  if (length < NLMSG_HDRLEN + DIAG_MESSAGE_LENGTH || view.getUint16(4, HOST_LE) === NLMSG_ERROR) return false
  return view.getUint8(NLMSG_HDRLEN + 1) === TCP_LISTEN
}
