import { mostFrequent } from '../../core/bounded/most-frequent.js'
import type { Fields } from './event-writer.js'

/** Number of lines that are kept; the log has all. */
const AT_MOST = 5

interface Last {
  readonly user: string | undefined
  readonly line: string
}

/**
 * Keeps the last line of the block log about each user and unit, for an operator who wants an overview. An
 * ordinary user has a unit for each login (`session-3.scope`), and may name containers: so a line of the user
 * with the most lines is dropped first.
 */
export class LastLines {
  /** In the order of the last block. */
  readonly #lines = new Map<string, Last>()

  /** @param line the line in the log */
  note(event: Fields, line: string): void {
    const user = event['user.id']
    // A line without a destination must not replace one with a destination.
    if (event['event.reason'] === 'suppressed' && this.#knows(user)) return
    const who = [user, event['checkvalve.unit'], event['container.id']].join(' ')
    this.#lines.delete(who)
    this.#lines.set(who, { user, line })
    if (this.#lines.size > AT_MOST) this.#dropOne()
  }

  #knows(user: string | undefined): boolean {
    return [...this.#lines.values()].some((last) => last.user === user)
  }

  /** The newest last. */
  get all(): readonly string[] {
    return [...this.#lines.values()].map(({ line }) => line)
  }

  /** Drops the oldest line of the user with the most lines. */
  #dropOne(): void {
    const holder = mostFrequent([...this.#lines.values()].map(({ user }) => user))
    const [oldest] = [...this.#lines].find(([, { user }]) => user === holder)!
    this.#lines.delete(oldest)
  }
}
