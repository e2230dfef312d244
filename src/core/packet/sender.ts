/** Defines what is known of the sender of a packet: user, systemd unit, container, process. */

/**
 * The outcome of attribution:
 * - `found`: the socket is known, and the cgroup in which it was made
 * - `skipped`: no time was left, since there were too many blocks at once
 * - `unknown`: the kernel no longer has such a socket, or does not report its cgroup
 */
export type AttributionOutcome = 'found' | 'skipped' | 'unknown'

/**
 * The outcome of the search for the process:
 * - `found`: its number is known
 * - `skipped`: no time was left
 * - `unknown`: no process has the socket open, or several sockets may have sent the packet
 * - `not-permitted`: the service may not look into the processes of the unit (CAP_SYS_PTRACE)
 */
export type ProcessOutcome = 'found' | 'skipped' | 'unknown' | 'not-permitted'

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
  /** Why process and program are missing, or `found`. Without it, as `attribution`. */
  readonly process?: ProcessOutcome | undefined
  /** The names of programs of the user in the unit, the newest first: one of them is the sender. */
  readonly candidates?: readonly string[] | undefined
}

/** Looks up the sender of the packet that is being judged. */
export interface SenderLookup {
  /**
   * A number for the pair of unit and container, the same for the same pair; 0 when unknown, 1 when the
   * look-up was skipped.
   */
  readonly place: number
  /** The unit alone, as far as `place` has found it. */
  readonly unit?: string | undefined
  /** The cgroup of that unit: its path below the root of the hierarchy. */
  readonly unitCgroup?: string | undefined
  /**
   * Returns everything that can be found out. Takes up to two milliseconds, and more for the first block of a
   * user: for the first block of a group only.
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
  /** Whether the user is in quarantine. */
  isQuarantined: boolean
  /** Index of the device that the packet leaves by. */
  device: number
  /**
   * Whether the socket was made in one of these systemd units. Asks the kernel; false when the kernel does
   * not know.
   */
  readonly isOf: (units: readonly string[]) => boolean
}
