import {
  HOST_LE,
  NETLINK_SOCK_DIAG,
  NetlinkError,
  NetlinkSocket,
  NLM_F_ACK,
  NLMSG_ERROR,
  NLMSG_HDRLEN,
} from 'node-netfilter-queue/system'
import type { Connection } from '../../core/packet/ip.js'
import { cookieOf, LookUp } from './look-up-wire.js'
import { IDIAG_INODE, ownerIn, SOCK_DESTROY } from './sock-diag-wire.js'

/** The longest answer to one look-up: bytes. */
const ANSWER_LENGTH = 1024
const ENOENT = 2

/** A connection, the index of the device that its packets leave by, and their user id, or -1 when they have none. */
export type EndedConnection = Connection & { readonly device: number; readonly uid: number }

/**
 * Ends TCP connections of this host at both ends (sock_diag(7), SOCK_DESTROY): the program gets the error ECONNABORTED,
 * and the kernel sends a reset to the other end (RFC 9293, 3.10.5).
 */
export class ConnectionAborter {
  readonly #socket = new NetlinkSocket({ protocol: NETLINK_SOCK_DIAG, slots: 1, slotSize: ANSWER_LENGTH })
  readonly #lookUp = new LookUp()
  readonly #destroy = new LookUp(undefined, SOCK_DESTROY, NLM_F_ACK)
  readonly #answer = new Uint8Array(ANSWER_LENGTH)
  readonly #view = new DataView(this.#answer.buffer)
  /** Whether the kernel can do it (CONFIG_INET_DIAG_DESTROY), and this process may. */
  readonly isSupported: boolean

  constructor() {
    // No socket has port 0.
    this.isSupported = this.#ask(this.#destroy) === -ENOENT
  }

  /**
   * Ends a connection. A socket that only listens at its local end is left alone, and so is one of another user: two
   * sockets may have the same ends when one of them is bound to a device.
   * @returns whether the user has a socket with these ends; or a program has closed it, when the packets have no user
   */
  abort({ family, local, localPort, remote, remotePort, device, uid }: EndedConnection): boolean {
    if (!this.isSupported) return false
    this.#lookUp.set(family, local, localPort, remote, remotePort, device)
    this.#ask(this.#lookUp)
    const cookie = cookieOf(this.#view, this.#length, remotePort)
    if (cookie === undefined || !isOf(uid, this.#view)) return false
    this.#destroy.set(family, local, localPort, remote, remotePort, device)
    this.#destroy.setCookie(cookie)
    return this.#ask(this.#destroy) === 0
  }

  close(): void {
    this.#socket.close()
  }

  #length = 0

  /** @returns the status of the answer: 0, or a negative errno; what was asked for is in `#view` */
  #ask({ message }: LookUp): number {
    this.#length = 0
    try {
      this.#length = this.#socket.exchange(message, this.#answer, 'ending a connection')
    } catch (error) {
      if (error instanceof NetlinkError) return -error.errno
      throw error
    }
    const isStatus = this.#length >= NLMSG_HDRLEN + 4 && this.#view.getUint16(4, HOST_LE) === NLMSG_ERROR
    return isStatus ? this.#view.getInt32(NLMSG_HDRLEN, HOST_LE) : 0
  }
}

/** Whether the socket in the answer is the user's, or of no program any more. */
const isOf = (uid: number, view: DataView): boolean =>
  uid === -1 ? view.getUint32(NLMSG_HDRLEN + IDIAG_INODE, HOST_LE) === 0 : ownerIn(view, NLMSG_HDRLEN) === uid
