/** Whose a socket is, by sock_diag(7) (include/uapi/linux/inet_diag.h). Pure: bytes to values. */
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
// struct inet_diag_msg: __u8 idiag_state at 1, __be16 idiag_sport at 4, __u32 idiag_wqueue at 60, idiag_uid at 64,
// idiag_inode at 68
const IDIAG_STATE = 1
const IDIAG_SPORT = 4
const IDIAG_WQUEUE = 60
const IDIAG_UID = 64
const IDIAG_INODE = 68

/** Whose a socket is. */
export interface SocketOwner {
  /** User id, as this process's user namespace has it. */
  readonly uid: number
  /** The inode of the socket, as in /proc/PID/fd; 0 where no file is open on it any more. */
  readonly inode: number
  /** The number of the cgroup in which it was made; undefined where the kernel does not tell. */
  readonly cgroup: number | undefined
}

/** What a struct inet_diag_msg tells; undefined where it is cut short. */
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
 * What the answer to a look-up of a connection tells. Where there is none, the kernel says so (NLMSG_ERROR, with the whole
 * question behind it), or names who listens.
 */
export function callerOf(view: DataView, length: number): SocketOwner | undefined {
  const owner = answeredOwner(view, length)
  const state = owner && view.getUint8(NLMSG_HDRLEN + IDIAG_STATE)
  return state === TCP_LISTEN || state === TCP_CLOSE ? undefined : owner
}

/** The same of a look-up of UDP: whose the socket is that was found, if it is sending. */
export function senderOf(view: DataView, length: number): SocketOwner | undefined {
  const owner = answeredOwner(view, length)
  return owner !== undefined && isSending(view, NLMSG_HDRLEN) ? owner : undefined
}

function answeredOwner(view: DataView, length: number): SocketOwner | undefined {
  if (length < NLMSG_HDRLEN || view.getUint16(4, HOST_LE) !== SOCK_DIAG_BY_FAMILY) return undefined
  return ownerOf(view, NLMSG_HDRLEN, length)
}

/**
 * Whether anything that the UDP socket of a whole struct inet_diag_msg has sent is still in this host (net/ipv4/udp_diag.c:
 * idiag_wqueue is sk_wmem_alloc_get): for the sender of a packet that waits in a queue, it is that packet at least.
 */
export const isSending = (view: DataView, payload: number): boolean =>
  view.getUint32(payload + IDIAG_WQUEUE, HOST_LE) > 0

/** The local port of a struct inet_diag_msg that is whole. */
export const portOf = (view: DataView, payload: number): number => view.getUint16(payload + IDIAG_SPORT)

/** A question for all UDP sockets with one local port; made once a family, and set anew for each question. */
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
