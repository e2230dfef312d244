/** Who sent a packet, beyond the user whom the kernel names with it. */

/**
 * How far that was found out:
 * - `found`: the socket is known, and where it was made
 * - `skipped`: there was no time to look: too many blocks at once
 * - `unknown`: the kernel has no such socket any more, or does not tell
 */
export type AttributionOutcome = 'found' | 'skipped' | 'unknown'

export interface SenderDetails {
  readonly attribution: AttributionOutcome
  /** The systemd unit of the host's own manager: `nginx.service`. */
  readonly unit?: string | undefined
  /** The id of the container, as its runtime names it. */
  readonly container?: string | undefined
  readonly pid?: number | undefined
  /** The path of the program. */
  readonly executable?: string | undefined
}

/** What is known of the sender of the packet that is judged now. */
export interface SenderLookup {
  /** A number for unit and container together: the same for the same ones; 0 where they are not known, 1 where nobody has looked. */
  readonly place: number
  /** The unit alone, which takes less time than all of it. */
  readonly unit?: string | undefined
  /** All that can be found out: for the first block of a kind. It costs up to two milliseconds. */
  describe(): SenderDetails
}

/** Who sent a packet. */
export interface Sender {
  /** User id, or -1 where the kernel names none (a socket already closed, or the kernel itself). */
  uid: number
  /** An earlier policy approved this connection. */
  known: boolean
  /** Connection tracking takes the packet for a reply; told of what goes to resolvers only. */
  isReply: boolean
  /** Index of the device that the packet leaves by. */
  device: number
  /** Whether its socket was made in one of these systemd units. Asks the kernel; no, where it does not tell. */
  readonly isOf: (units: readonly string[]) => boolean
}
