import { FirstContacts, type ScanLimits } from '../../core/record/first-contacts.js'
import { type Block, isUserSummary } from '../../records/block-log/event-reader.js'
import { whoKey } from './recorded-kinds.js'

export interface Scan {
  /** The highest number of destinations within a window, and its time in milliseconds since the epoch. */
  readonly destinations: number
  readonly time: number
}

const DESTINATIONS_AT_MOST = 65_536
const WHOS_AT_MOST = 1024

/**
 * Finds senders in a log that were blocked at many destinations in a short time: they look like a worm, and must not
 * be allowed. The tripwire of the running service counts in the same way.
 */
export class Scans {
  readonly #limits: ScanLimits
  readonly #contacts = new Map<string, FirstContacts>()

  constructor(limits: ScanLimits) {
    this.#limits = limits
  }

  /** Notes a block. Blocks must come in the order of the log. */
  note(block: Block): void {
    if (!isUserSummary(block)) this.#of(whoKey(block))?.note(block, block.time)
  }

  /** Returns the scan of a sender, or undefined. @param who key of `whoKey` */
  found(who: string): Scan | undefined {
    const contacts = this.#contacts.get(who)
    if (contacts === undefined || contacts.most < this.#limits.destinations) return undefined
    return { destinations: contacts.most, time: contacts.mostAt }
  }

  #of(who: string): FirstContacts | undefined {
    const known = this.#contacts.get(who)
    if (known !== undefined || this.#contacts.size >= WHOS_AT_MOST) return known
    const contacts = new FirstContacts(this.#limits.window, DESTINATIONS_AT_MOST)
    this.#contacts.set(who, contacts)
    return contacts
  }
}
