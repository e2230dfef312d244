/**
 * Decodes the owner of a socket from sock_diag(7) messages (include/uapi/linux/inet_diag.h). Pure: bytes to
 * values.
 */
import {
  eachAttribute,
  HOST_LE,
  MessageBuilder,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  NLMSG_HDRLEN,
} from 'node-netfilter-queue/system'
import { type Family, IPPROTO_UDP } from '../../core/packet/ip.js'
import {
  AF_INET,
  AF_INET6,
  DIAG_MESSAGE_LENGTH,
  REQUEST_LENGTH,
  SOCK_DIAG_BY_FAMILY,
  TCP_CLOSE,
  TCP_LISTEN,
} from './sock-diag-wire.js'

// enum INET_DIAG_...: INET_DIAG_CGROUP_ID is a __u64, since Linux 5.9 and with CONFIG_SOCK_CGROUP_DATA
const INET_DIAG_CGROUP_ID = 21
// struct inet_diag_msg: __u8 idiag_state at 1, __be16 idiag_sport at 4, __u32 idiag_wqueue at 60, idiag_uid
// at 64, idiag_inode at 68
const IDIAG_STATE = 1
const IDIAG_SPORT = 4
const IDIAG_WQUEUE = 60
const IDIAG_UID = 64
const IDIAG_INODE = 68

/** The owner of a socket. */
export interface SocketOwner {
  /** User id in this process's user namespace. */
  readonly uid: number
  /** The inode of the socket, as in /proc/PID/fd; 0 when no file is open on it any more. */
  readonly inode: number
  /** The number of the cgroup in which the socket was made; undefined when the kernel does not report it. */
  readonly cgroup: number | undefined
}

/** Reads the owner from a struct inet_diag_msg. Returns undefined when the message is cut short. */
export function ownerOf(view: DataView, payload: number, end: number): SocketOwner | undefined {
  if (payload + DIAG_MESSAGE_LENGTH > end) return undefined
  let cgroup: number | undefined
  eachAttribute(view, payload + DIAG_MESSAGE_LENGTH, end, (type, value, stop) => {
    if (type === INET_DIAG_CGROUP_ID && stop - value === 8) cgroup = Number(view.getBigUint64(value, HOST_LE))
  })
  return {
    uid: view.getUint32(payload + IDIAG_UID, HOST_LE),
    inode: view.getUint32(payload + IDIAG_INODE, HOST_LE),
    cgroup,
  }
}

/**
 * Reads the owner from the answer to a look-up of a connection. Returns undefined when there is no such
 * socket: the kernel then answers NLMSG_ERROR (with the whole request behind it), or with the listening
 * socket.
 */
export function callerOf(view: DataView, length: number): SocketOwner | undefined {
  const owner = answeredOwner(view, length)
  const state = owner && view.getUint8(NLMSG_HDRLEN + IDIAG_STATE)
  return state === TCP_LISTEN || state === TCP_CLOSE ? undefined : owner
}

/**
 * Reads the owner from the answer to a UDP look-up. Returns undefined when the socket has no packet in this
 * host.
 */
export function senderOf(view: DataView, length: number): SocketOwner | undefined {
  const owner = answeredOwner(view, length)
  return owner !== undefined && isSending(view, NLMSG_HDRLEN) ? owner : undefined
}

function answeredOwner(view: DataView, length: number): SocketOwner | undefined {
  if (length < NLMSG_HDRLEN || view.getUint16(4, HOST_LE) !== SOCK_DIAG_BY_FAMILY) return undefined
  return ownerOf(view, NLMSG_HDRLEN, length)
}

/**
 * Whether a packet that a UDP socket has sent is still in this host (net/ipv4/udp_diag.c: idiag_wqueue is
 * sk_wmem_alloc_get). It is for the sender of a packet that waits in a queue. The struct inet_diag_msg must
 * be whole.
 */
export const isSending = (view: DataView, payload: number): boolean =>
  view.getUint32(payload + IDIAG_WQUEUE, HOST_LE) > 0

/** Reads the local port from a whole struct inet_diag_msg. */
export const portOf = (view: DataView, payload: number): number => view.getUint16(payload + IDIAG_SPORT)

/**
 * A request for all UDP sockets with one local port. It is made once for each family and set again for each
 * request.
 */
export class UdpPortQuestion {
  readonly message: Uint8Array
  readonly #view: DataView

  constructor(family: Family) {
    const body = new Uint8Array(REQUEST_LENGTH)
    body[0] = family === 4 ? AF_INET : AF_INET6
    body[1] = IPPROTO_UDP
    new DataView(body.buffer).setUint32(4, ALL_STATES, HOST_LE)
    this.message = new MessageBuilder(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP).raw(body).finish()
    this.#view = new DataView(this.message.buffer, this.message.byteOffset + NLMSG_HDRLEN)
  }

  set(port: number): void {
    this.#view.setUint16(8, port)
  }
}

// Each state of include/net/tcp_states.h has a bit of its own.
const ALL_STATES = 0xffffffff
