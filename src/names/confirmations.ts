import { type Addresses, confirm } from './dns/lookup.js'
import { NO_SEARCH, type SearchList } from './dns/search-list.js'

/** Look-ups at the same time: for trusted users, and as many for all others. */
const AT_ONCE = 32
/** Look-ups at the same time for one untrusted user. */
const AT_ONCE_A_USER = 8

/** The sender of a query to a resolver. */
export interface Asker {
  /** A user id, or -1 where the kernel names none. */
  readonly uid: number
  /** Whether that user cannot be an accomplice of an attacker who forges answers. */
  readonly trusted: boolean
  /** Whether the query went over UDP, where an attacker who finds its ID and port in time can answer it. */
  readonly isForgeable: boolean
}

interface Confirmation {
  readonly asker: Asker
  /** Settles when the look-up has ended, well or not. */
  readonly end: Promise<void>
}

/**
 * Looks up names for which the service has seen an answer that may be forged. The look-ups go over TCP, where
 * no answer can be forged. The limit for each user keeps one of them from using up all look-ups.
 */
export class Confirmations {
  readonly #running = new Map<string, Confirmation>()
  readonly #search: () => SearchList
  readonly #onConfirmed: (name: string, asker: Asker, answer: Addresses) => void

  /** @param search how short names are completed now */
  constructor(
    onConfirmed: (name: string, asker: Asker, answer: Addresses) => void,
    search: () => SearchList = () => NO_SEARCH,
  ) {
    this.#onConfirmed = onConfirmed
    this.#search = search
  }

  /** Whether a name is being looked up. */
  has(name: string): boolean {
    return this.#running.has(name)
  }

  /**
   * Looks a name up, unless that is under way or too many are. @returns settles when the look-up has ended,
   * well or not
   */
  confirm(name: string, asker: Asker): Promise<void> {
    const running = this.#running.get(name)
    if (running !== undefined) return running.end
    if (!this.#mayBegin(asker)) return Promise.resolve()
    const end = confirm(name, this.#search())
      .then(
        (answer) => this.#onConfirmed(name, asker, answer),
        () => {},
      )
      .finally(() => this.#running.delete(name))
    this.#running.set(name, { asker, end })
    return end
  }

  #mayBegin({ uid, trusted }: Asker): boolean {
    const peers = [...this.#running.values()].filter(({ asker }) => asker.trusted === trusted)
    const own = peers.filter(({ asker }) => asker.uid === uid)
    return peers.length < AT_ONCE && (trusted || own.length < AT_ONCE_A_USER)
  }
}
