/** Defines what is known of the sender of a packet: user, systemd unit, container, process. */

/**
 * The outcome of attribution:
 * - `found`: the socket is known, and the cgroup in which it was made
 * - `skipped`: no time was left, since there were too many blocks at once
 * - `unknown`: the kernel no longer has such a socket, or does not report its cgroup
 */
export type AttributionOutcome = 'found' | 'skipped' | 'unknown'

/** The sender of a packet, for the log. */
export interface SenderDetails {
  readonly attribution: AttributionOutcome
  /** The unit of the host's own systemd: `nginx.service`. */
  readonly unit?: string | undefined
  /** The id of the container, as its runtime names it. */
  readonly container?: string | undefined
  readonly pid?: number | undefined
  /** The path of the program's file. */
  readonly executable?: string | undefined
}

/** Looks up the sender of the packet that is being judged. */
export interface SenderLookup {
  /**
   * A number for the pair of unit and container, the same for the same pair; 0 when unknown, 1 when the
   * look-up was skipped.
   */
  readonly place: number
  /** The unit alone, which takes less time than `describe`. */
  readonly unit?: string | undefined
  /**
   * Returns everything that can be found out. Takes up to two milliseconds: for the first block of a group
   * only.
   */
  describe(): SenderDetails
}

/** The sender of a packet, as far as a verdict depends on it. */
export interface Sender {
  /**
   * User id, or -1 when the kernel names none: the socket is closed already, or the kernel itself sent the
   * packet.
   */
  uid: number
  /** Whether an earlier policy approved this connection. */
  known: boolean
  /** Whether connection tracking takes the packet for a reply. Set for packets to resolvers only. */
  isReply: boolean
  /** Whether the source of the packet is not an address of this host. */
  isForeign: boolean
  /** Index of the device that the packet leaves by. */
  device: number
  /**
   * Whether the socket was made in one of these systemd units. Asks the kernel; false when the kernel does
   * not know.
   */
  readonly isOf: (units: readonly string[]) => boolean
}
