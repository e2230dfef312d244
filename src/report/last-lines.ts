import type { Fields } from './block-event.js'

/** More of them is what the log is for. */
const AT_MOST = 5

/**
 * The last line of the block log about each user and unit, for who wants to see at once what goes on. Nobody chooses these freely,
 * as they do programs and destinations: so a flood of one hides no other.
 */
export class LastLines {
  /** Who was blocked last stands last. */
  readonly #lines = new Map<string, string>()

  /** @param line as it was written */
  note(event: Fields, line: string): void {
    const who = [event['user.id'], event['checkvalve.unit'], event['container.id']].join(' ')
    this.#lines.delete(who)
    this.#lines.set(who, line)
    const [longestAgo] = this.#lines.keys()
    if (this.#lines.size > AT_MOST) this.#lines.delete(longestAgo!)
  }

  /** The newest last. */
  get all(): readonly string[] {
    return [...this.#lines.values()]
  }
}
