import type { Message } from './netlink-message.js'

/** What a `NetlinkSocket` is opened with. Its callbacks run on the thread that opened it. */
export interface NetlinkSocketOptions {
  /** Netlink family: NETLINK_NETFILTER, NETLINK_SOCK_DIAG, ... */
  readonly protocol: number
  /** Multicast groups to join, by number. */
  readonly groups?: readonly number[]
  /** Datagrams received in one system call. Default 64. */
  readonly slots?: number
  /** Bytes for each of them. Default 32,768, which holds what the kernel sends in one part of a dump. */
  readonly slotSize?: number
  /** Receive buffer in bytes; without CAP_NET_ADMIN the kernel caps it at net.core.rmem_max. */
  readonly receiveBuffer?: number
  /**
   * A classic BPF program (struct sock_filter, 8 bytes each): datagrams that it returns 0 for are not
   * received and wake nobody. It is attached before the groups are joined.
   */
  readonly filter?: Uint8Array
  /** A message that answers no request: an event. It lies in the slab: valid until the call returns. */
  readonly onMessage?: (message: Message) => void
  /**
   * Sees each datagram first, as bytes `start` to `end` of the slab; true means that it is dealt with.
   * For traffic too fast for an object a message.
   */
  readonly onDatagram?: (slab: Slab, start: number, end: number) => boolean
  /** After all datagrams of one system call. */
  readonly onBatchEnd?: (datagrams: number) => void
  /** The kernel had to drop datagrams because the receive buffer was full (ENOBUFS). */
  readonly onOverrun?: () => void
  /** A datagram was longer than its slot; it is lost. */
  readonly onTruncated?: () => void
}

/**
 * The memory that datagrams are received into. It belongs to the socket and is overwritten by the next batch.
 * Transferring it to a worker closes the socket.
 */
export interface Slab {
  readonly bytes: Uint8Array
  readonly view: DataView
}

/** What a finished request resolves with. */
export interface Reply {
  /** A dump ran while what it lists changed: it may be inconsistent (NLM_F_DUMP_INTR). */
  readonly interrupted: boolean
}
