import { readFileSync } from 'node:fs'

/**
 * The user ids of the initial user namespace, which the kernel puts into a queued packet, as ids of this
 * process's own namespace, which everything else speaks of. On an ordinary host both are the same.
 * See user_namespaces(7), "uid_map".
 */
export class UserMap {
  readonly #ranges: readonly (readonly [inside: number, outside: number, count: number])[]
  readonly #identity: boolean

  /** @param text lines of `inside outside count` */
  constructor(text: string) {
    this.#ranges = text
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number) as [number, number, number])
    const [inside, outside] = this.#ranges[0] ?? [0, 0]
    this.#identity = this.#ranges.length === 1 && inside === outside
  }

  static ofProcess(): UserMap {
    return new UserMap(readFileSync('/proc/self/uid_map', 'utf8'))
  }

  /** The id here, or -1 for a user who has none here, or where `outside` is -1. */
  inside(outside: number): number {
    if (this.#identity || outside === -1) return outside
    for (const [inside, first, count] of this.#ranges)
      if (outside >= first && outside < first + count) return inside + (outside - first)
    return -1
  }
}
