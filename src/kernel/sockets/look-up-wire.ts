/** Encodes requests for single sockets, and decodes their answers (include/uapi/linux/inet_diag.h). Pure: bytes to values. */
import {
  HOST_LE,
  MessageBuilder,
  NLM_F_REQUEST,
  NLMSG_ERROR,
  NLMSG_HDRLEN,
} from 'node-netfilter-queue/system'
import { type Family, IPPROTO_TCP, type SocketState, type Words } from '../../core/packet/ip.js'
import {
  AF_INET,
  AF_INET6,
  DIAG_MESSAGE_LENGTH,
  EXTENSION_INFO,
  infoOf,
  REQUEST_LENGTH,
  SOCK_DIAG_BY_FAMILY,
  TCP_CLOSE,
  TCP_CLOSE_WAIT,
  TCP_ESTABLISHED,
  TCP_LISTEN,
  TCP_SYN_SENT,
} from './sock-diag-wire.js'

// #define INET_DIAG_NOCOOKIE (~0U)
const INET_DIAG_NOCOOKIE = 0xffffffff
// struct tcp_info (include/uapi/linux/tcp.h): __u32 tcpi_last_ack_recv at 56
const TCPI_LAST_ACK_RECV = 56

/**
 * A request for the one socket with these two ends. It is made once and set again for each request. For UDP,
 * it is the socket that would receive a packet from the local end to the remote one (net/ipv4/udp_diag.c:
 * udp_dump_one).
 */
export class LookUp {
  readonly message: Uint8Array
  readonly #view: DataView

  /** @param type, flags of the message, beside NLM_F_REQUEST */
  constructor(protocol = IPPROTO_TCP, type = SOCK_DIAG_BY_FAMILY, flags = 0) {
    const body = new Uint8Array(REQUEST_LENGTH)
    body[1] = protocol
    if (protocol === IPPROTO_TCP) body[2] = EXTENSION_INFO
    this.message = new MessageBuilder(type, NLM_F_REQUEST | flags).raw(body).finish()
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

  /** Asks for one socket only, by the number that `cookieOf` has read. */
  setCookie([low, high]: Cookie): void {
    this.#view.setUint32(48, low, HOST_LE)
    this.#view.setUint32(52, high, HOST_LE)
  }
}

/** The number of a socket, in two words. */
export type Cookie = readonly [low: number, high: number]

/** Reads the number of the socket in a struct inet_diag_msg. */
export const cookieAt = (view: DataView, payload: number): Cookie => [
  view.getUint32(payload + 44, HOST_LE),
  view.getUint32(payload + 48, HOST_LE),
]

/**
 * Reads the number of the socket from the answer to a LookUp (idiag_cookie). Returns undefined when it is no connection to
 * this remote port: the kernel may have answered with a listening socket.
 */
export function cookieOf(view: DataView, length: number, remotePort: number): Cookie | undefined {
  if (length < NLMSG_HDRLEN + DIAG_MESSAGE_LENGTH || view.getUint16(4, HOST_LE) === NLMSG_ERROR)
    return undefined
  const isConnection =
    view.getUint8(NLMSG_HDRLEN + 1) !== TCP_LISTEN && view.getUint16(NLMSG_HDRLEN + 6) === remotePort
  if (!isConnection) return undefined
  return cookieAt(view, NLMSG_HDRLEN)
}

/** Reads the milliseconds since the last acknowledgement from the answer to a LookUp (tcpi_last_ack_recv). */
export function lastAckOf(view: DataView, length: number): number | undefined {
  const info = infoOf(view, NLMSG_HDRLEN + DIAG_MESSAGE_LENGTH, length)
  return info === undefined ? undefined : view.getUint32(info + TCPI_LAST_ACK_RECV, HOST_LE)
}

const ENOENT = 2

/**
 * Reads the state from the answer to a LookUp. When no socket has these two ends, the kernel answers with the
 * one that listens there, or with none (ENOENT). A socket that is still connecting has no client.
 */
export function socketState(view: DataView, length: number): SocketState {
  if (length < NLMSG_HDRLEN + 4) return 'unknown'
  if (view.getUint16(4, HOST_LE) === NLMSG_ERROR)
    return view.getInt32(NLMSG_HDRLEN, HOST_LE) === -ENOENT ? 'none' : 'unknown'
  if (length < NLMSG_HDRLEN + DIAG_MESSAGE_LENGTH) return 'unknown'
  const state = view.getUint8(NLMSG_HDRLEN + 1)
  if (state === TCP_LISTEN || state === TCP_CLOSE || state === TCP_SYN_SENT) return 'none'
  return state === TCP_ESTABLISHED || state === TCP_CLOSE_WAIT ? 'established' : 'transient'
}

/** Whether the answer to a LookUp is a listening socket. */
export function isListening(view: DataView, length: number): boolean {
  if (length < NLMSG_HDRLEN + DIAG_MESSAGE_LENGTH || view.getUint16(4, HOST_LE) === NLMSG_ERROR) return false
  return view.getUint8(NLMSG_HDRLEN + 1) === TCP_LISTEN
}
