import { constants } from 'node:os'
import { binding, type Handle } from './binding.js'
import { NetlinkError } from './netlink-error.js'
import {
  HOST_LE,
  type Message,
  messages,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_MULTI,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_HDRLEN,
  setSequence,
  statusOf,
} from './netlink-message.js'
import type { NetlinkSocketOptions, Reply, Slab } from './netlink-socket-options.js'

// include/uapi/asm-generic/socket.h: #define SOL_SOCKET 1, SO_RCVBUF 8, SO_RCVBUFFORCE 33
const SOL_SOCKET = 1
const SO_RCVBUF = 8
const SO_RCVBUFFORCE = 33
// include/linux/socket.h: #define SOL_NETLINK 270
// include/uapi/linux/netlink.h: #define NETLINK_ADD_MEMBERSHIP 1, NETLINK_DROP_MEMBERSHIP 2
const SOL_NETLINK = 270
const NETLINK_ADD_MEMBERSHIP = 1
const NETLINK_DROP_MEMBERSHIP = 2

// include/uapi/linux/netlink.h: the protocols (families) of netlink sockets
/** #define NETLINK_ROUTE 0: links, addresses, routes (rtnetlink(7)). */
export const NETLINK_ROUTE = 0
/** #define NETLINK_SOCK_DIAG 4: the kernel's sockets (sock_diag(7)). */
export const NETLINK_SOCK_DIAG = 4
/** #define NETLINK_NETFILTER 12: queues, connection tracking, nftables (nfnetlink). */
export const NETLINK_NETFILTER = 12

const NOTHING = new Uint8Array(0)

const { ENOBUFS, ECANCELED, EFAULT } = constants.errno

interface Pending {
  readonly doing: string
  readonly onReply: ((message: Message) => void) | undefined
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: unknown) => void
  interrupted: boolean
}

/**
 * A netlink socket of any family, bound in the network namespace of the process.
 * A callback that throws keeps nothing from the others: once the batch is done, the first error is thrown
 * again, as an uncaught exception. Only an `onReply` that throws rejects its own request instead.
 */
export class NetlinkSocket {
  /** Datagrams longer than a slot, which were lost; and times that the receive buffer overran. */
  readonly stats = { truncated: 0, overruns: 0 }
  /** The address that the kernel gave to this socket; requests are answered to it. */
  readonly portId: number
  readonly #options: NetlinkSocketOptions
  readonly #slab: Slab
  readonly #slotSize: number
  readonly #lengths: Int32Array
  readonly #pending = new Map<number, Pending>()
  #handle: Handle | undefined
  #sequence = 0
  #failure: { readonly error: unknown } | undefined

  /** @throws NetlinkError when the kernel has no such netlink family, or the memory or descriptors ran out */
  constructor(options: NetlinkSocketOptions) {
    const slots = options.slots ?? 64
    this.#options = options
    this.#slotSize = options.slotSize ?? 32768
    const bytes = new Uint8Array(slots * this.#slotSize)
    this.#slab = { bytes, view: new DataView(bytes.buffer) }
    this.#lengths = new Int32Array(slots)
    const handle = binding.open(options.protocol, bytes, this.#lengths, (count, errno) =>
      this.#onBatch(count, errno),
    )
    if (typeof handle === 'number') throw new NetlinkError(handle, 'opening a netlink socket')
    this.#handle = handle
    try {
      this.portId = this.#check(binding.portId(handle), 'reading the netlink port id')
      this.#configure(options)
    } catch (error) {
      this.close()
      throw error
    }
  }

  get closed(): boolean {
    return this.#handle === undefined
  }

  /** Sends bytes as they are. @throws NetlinkError */
  send(bytes: Uint8Array, length = bytes.length): void {
    this.#check(binding.send(this.#open(), bytes, length), 'sending to the kernel')
  }

  /**
   * Sends one request and waits for its end: an acknowledgement, or the end of a dump. The kernel runs one
   * dump a socket at a time: a second one is refused with EBUSY.
   * @param message a finished message; NLM_F_ACK is added unless it is a dump; its sequence is set here
   * @param doing what is tried, for the error
   * @param onReply called for each message of the answer, which is valid until the call returns
   * @throws NetlinkError (rejects) with the kernel's errno; what `onReply` threw; ENOBUFS when the answer may
   *   have been lost; ECANCELED when the socket was closed
   */
  request(message: Uint8Array, doing: string, onReply?: (message: Message) => void): Promise<Reply> {
    const view = new DataView(message.buffer, message.byteOffset)
    const flags = view.getUint16(6, HOST_LE)
    const dump = (flags & NLM_F_DUMP) === NLM_F_DUMP
    if (!dump) view.setUint16(6, flags | NLM_F_ACK, HOST_LE)
    const sequence = this.#nextSequence()
    setSequence(message, sequence)
    return new Promise((resolve, reject) => {
      this.#pending.set(sequence, { doing, onReply, resolve, reject, interrupted: false })
      try {
        this.send(message)
      } catch (error) {
        this.#pending.delete(sequence)
        reject(error)
      }
    })
  }

  /**
   * Sends one request and returns with its answer. It is only for what the kernel answers within send(2), as
   * it does look-ups of one thing (sock_diag, conntrack): nothing is waited for. It takes its own socket:
   * what else arrives in that, an event or the answer to a `request`, is passed over.
   * @param message a finished message, no dump; its sequence is set here
   * @param answer takes the datagram that answers: a message, or NLMSG_ERROR
   * @returns the length of the answer in bytes
   * @throws NetlinkError EAGAIN: the kernel has not answered; EMSGSIZE: `answer` is too small; or send(2)'s
   */
  exchange(message: Uint8Array, answer: Uint8Array, doing: string): number {
    const handle = this.#open()
    const view = new DataView(answer.buffer, answer.byteOffset)
    const sequence = this.#nextSequence()
    setSequence(message, sequence)
    let length = binding.exchange(handle, message, answer)
    // An answer that came too late for its own request is passed over.
    while (length >= NLMSG_HDRLEN && view.getUint32(8, HOST_LE) !== sequence)
      length = binding.exchange(handle, NOTHING, answer)
    return this.#check(length, doing)
  }

  /**
   * The same for a dump: the kernel makes its next part when the last one was taken.
   * @param answer takes one part after the other: 32,768 bytes hold any
   * @param onPart called for each message, which is valid until it returns
   * @throws NetlinkError as `exchange`, and with the kernel's errno; what `onPart` threw
   */
  exchangeDump(
    message: Uint8Array,
    answer: Uint8Array,
    doing: string,
    onPart: (message: Message) => void,
  ): void {
    const view = new DataView(answer.buffer, answer.byteOffset, answer.byteLength)
    let length = this.exchange(message, answer, doing)
    for (;;) {
      for (const part of messages(view, 0, length)) {
        if (part.type === NLMSG_DONE || part.type === NLMSG_ERROR) {
          this.#check(statusOf(part), doing)
          return
        }
        onPart(part)
      }
      length = this.#check(binding.exchange(this.#open(), NOTHING, answer), doing)
    }
  }

  /** Joins a multicast group, by number. @throws NetlinkError */
  join(group: number): void {
    this.setOption(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group, `joining netlink group ${group}`)
  }

  /** Leaves a multicast group, by number. @throws NetlinkError */
  leave(group: number): void {
    this.setOption(SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, group, `leaving netlink group ${group}`)
  }

  /** setsockopt(2) with an int. @throws NetlinkError */
  setOption(level: number, name: number, value: number, doing = `setting option ${level}/${name}`): void {
    this.#check(binding.setOption(this.#open(), level, name, value), doing)
  }

  /** Whether the open socket keeps the process running. It does, unless told otherwise. */
  keepAlive(yes: boolean): void {
    if (this.#handle) binding.keepAlive(this.#handle, yes)
  }

  /** Closes the socket at once, in a callback too, and rejects open requests. A second call does nothing. */
  close(): void {
    if (!this.#handle) return
    binding.close(this.#handle)
    this.#handle = undefined
    this.#rejectAll(ECANCELED)
  }

  #configure(options: NetlinkSocketOptions): void {
    if (options.receiveBuffer !== undefined) {
      const forced = binding.setOption(this.#open(), SOL_SOCKET, SO_RCVBUFFORCE, options.receiveBuffer)
      if (forced < 0) this.setOption(SOL_SOCKET, SO_RCVBUF, options.receiveBuffer)
    }
    if (options.filter !== undefined)
      this.#check(binding.setFilter(this.#open(), options.filter), 'attaching a socket filter')
    for (const group of options.groups ?? []) this.join(group)
  }

  #nextSequence(): number {
    this.#sequence = (this.#sequence % 0xfffffff) + 1
    return this.#sequence
  }

  #onBatch(count: number, errno: number): void {
    if (errno !== 0) {
      this.#onReceiveError(errno)
      return
    }
    const { onDatagram, onBatchEnd } = this.#options
    for (let slot = 0; slot < count && this.#handle; slot++) {
      const length = this.#lengths[slot]!
      const start = slot * this.#slotSize
      try {
        if (length < 0) this.#onTruncated()
        else if (!onDatagram?.(this.#slab, start, start + length)) this.#walk(start, start + length)
      } catch (error) {
        this.#failure ??= { error }
      }
    }
    onBatchEnd?.(count)
    this.#throwFailure()
  }

  #onTruncated(): void {
    this.stats.truncated++
    this.#options.onTruncated?.()
  }

  #throwFailure(): void {
    const failure = this.#failure
    this.#failure = undefined
    if (failure) throw failure.error
  }

  #onReceiveError(errno: number): void {
    if (errno === EFAULT) {
      this.close()
      throw new NetlinkError(errno, 'receiving into memory that was transferred away')
    }
    if (errno !== ENOBUFS) {
      this.#rejectAll(errno)
      return
    }
    this.stats.overruns++
    this.#rejectAll(ENOBUFS)
    this.#options.onOverrun?.()
  }

  #walk(start: number, end: number): void {
    for (const message of messages(this.#slab.view, start, end)) {
      if (!this.#handle) return
      const pending = this.#pendingOf(message)
      if (pending) this.#onReply(pending, message)
      else if (message.type > NLMSG_DONE) this.#onEvent(message)
    }
  }

  /** An event that someone else's request caused may bear that request's sequence, but not our port. */
  #pendingOf(message: Message): Pending | undefined {
    const pending = this.#pending.get(message.sequence)
    // struct nlmsghdr: nlmsg_pid stands at 12
    return pending && message.view.getUint32(message.start + 12, HOST_LE) === this.portId
      ? pending
      : undefined
  }

  #onEvent(message: Message): void {
    try {
      this.#options.onMessage?.(message)
    } catch (error) {
      this.#failure ??= { error }
    }
  }

  #onReply(pending: Pending, message: Message): void {
    if (message.flags & NLM_F_DUMP_INTR && message.flags & NLM_F_MULTI) pending.interrupted = true
    if (message.type !== NLMSG_ERROR && message.type !== NLMSG_DONE) {
      this.#onPart(pending, message)
      return
    }
    this.#pending.delete(message.sequence)
    const status = statusOf(message)
    if (status === 0) pending.resolve({ interrupted: pending.interrupted })
    else pending.reject(new NetlinkError(status, pending.doing))
  }

  #onPart(pending: Pending, message: Message): void {
    try {
      pending.onReply?.(message)
    } catch (error) {
      this.#pending.delete(message.sequence)
      pending.reject(error)
    }
  }

  #rejectAll(errno: number): void {
    const pending = [...this.#pending.values()]
    this.#pending.clear()
    for (const { doing, reject } of pending) reject(new NetlinkError(errno, doing))
  }

  #open(): Handle {
    if (!this.#handle) throw new NetlinkError(constants.errno.EBADF, 'using a closed netlink socket')
    return this.#handle
  }

  #check(result: number, doing: string): number {
    if (result < 0) throw new NetlinkError(result, doing)
    return result
  }
}
