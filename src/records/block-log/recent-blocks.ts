import { mostFrequent } from '../../core/bounded/most-frequent.js'
import type { Fields } from './event-writer.js'

/** More of them is what the log is for. */
const AT_MOST = 5

interface Last {
  readonly user: string | undefined
  readonly line: string
}

/**
 * The last line of the block log about each user and unit, for who wants to see at once what goes on. An ordinary user has as many
 * units as he logs in (`session-3.scope`), and may name containers: so nobody's lines make those of one go who has fewer.
 */
export class LastLines {
  /** Who was blocked last stands last. */
  readonly #lines = new Map<string, Last>()

  /** @param line as it was written */
  note(event: Fields, line: string): void {
    const user = event['user.id']
    // It does not say from what, and would stand in the place of one that does.
    if (event['event.reason'] === 'suppressed' && this.#knows(user)) return
    const who = [user, event['checkvalve.unit'], event['container.id']].join(' ')
    this.#lines.delete(who)
    this.#lines.set(who, { user, line })
    if (this.#lines.size > AT_MOST) this.#makeRoom()
  }

  #knows(user: string | undefined): boolean {
    return [...this.#lines.values()].some((last) => last.user === user)
  }

  /** The newest last. */
  get all(): readonly string[] {
    return [...this.#lines.values()].map(({ line }) => line)
  }

  /** Of the user who has most lines, the oldest goes. */
  #makeRoom(): void {
    const holder = mostFrequent([...this.#lines.values()].map(({ user }) => user))
    const [oldest] = [...this.#lines].find(([, { user }]) => user === holder)!
    this.#lines.delete(oldest)
  }
}
