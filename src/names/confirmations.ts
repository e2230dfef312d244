import { type Addresses, confirm } from './dns/lookup.js'

/** Confirmations at the same time: for users who are trusted, and as many for the others. */
const AT_ONCE = 32
/** Of those of the others, for one user. */
const AT_ONCE_A_USER = 8

/** Who has asked a resolver. */
export interface Asker {
  /** A user id, or -1 where the kernel names none. */
  readonly uid: number
  /** Whether that user cannot be an accomplice of whoever forges answers. */
  readonly trusted: boolean
  /** Over UDP, where whoever finds the number of the question in time answers it. */
  readonly isForgeable: boolean
}

interface Confirmation {
  readonly asker: Asker
  /** Settles when it is over, well or not. */
  readonly end: Promise<void>
}

/**
 * The service's own look-ups of names for which it has seen an answer that may be forged. They go over TCP, where no
 * answer can be forged. One user alone cannot keep all others from being confirmed.
 */
export class Confirmations {
  readonly #running = new Map<string, Confirmation>()
  readonly #onConfirmed: (name: string, asker: Asker, answer: Addresses) => void

  constructor(onConfirmed: (name: string, asker: Asker, answer: Addresses) => void) {
    this.#onConfirmed = onConfirmed
  }

  /** Whether a name is being looked up. */
  has(name: string): boolean {
    return this.#running.has(name)
  }

  /** Looks a name up, unless that is under way or too many are. @returns settles when it is over, well or not */
  confirm(name: string, asker: Asker): Promise<void> {
    const running = this.#running.get(name)
    if (running !== undefined) return running.end
    if (!this.#mayBegin(asker)) return Promise.resolve()
    const end = confirm(name)
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
