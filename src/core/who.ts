/** Who sent a packet, beyond the user whom the kernel names with it. */

/**
 * How far that was found out:
 * - `found`: the socket is known, and where it was made
 * - `skipped`: there was no time to look: too many blocks at once
 * - `unknown`: the kernel has no such socket any more, or does not tell
 */
export type Attribution = 'found' | 'skipped' | 'unknown'

export interface Who {
  readonly attribution: Attribution
  /** The systemd unit of the host's own manager: `nginx.service`. */
  readonly unit?: string | undefined
  /** The id of the container, as its runtime names it. */
  readonly container?: string | undefined
  readonly pid?: number | undefined
  /** The path of the program. */
  readonly executable?: string | undefined
}

/** What is known of the sender of the packet that is judged now. */
export interface Attributed {
  /** A number for unit and container together: the same for the same ones; 0 where they are not known, 1 where nobody has looked. */
  readonly place: number
  /** The unit alone, which takes less time than all of it. */
  readonly unit?: string | undefined
  /** All that can be found out: for the first block of a kind. It costs up to two milliseconds. */
  describe(): Who
}
