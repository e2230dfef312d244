import { readFileSync } from 'node:fs'

/** The map of the initial user namespace: all ids but (uid_t)-1, each mapped to itself. */
const EVERY_USER = '0,0,4294967295'

/**
 * Maps user ids of the initial user namespace, which the kernel puts into a queued packet, to ids of this
 * process's own namespace, which all other sources use. On an ordinary host both are the same. See
 * user_namespaces(7), "uid_map".
 */
export class UserNamespace {
  readonly #ranges: readonly (readonly [inside: number, outside: number, count: number])[]
  readonly #identity: boolean

  /** @param text lines of `inside outside count` */
  constructor(text: string) {
    this.#ranges = text
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number) as [number, number, number])
    this.#identity = this.#ranges[0]!.join() === EVERY_USER
  }

  static ofProcess(): UserNamespace {
    return new UserNamespace(readFileSync('/proc/self/uid_map', 'utf8'))
  }

  /** The id in this namespace; -1 for a user who has none here, and for -1. */
  inside(outside: number): number {
    if (this.#identity || outside === -1) return outside
    for (const [inside, first, count] of this.#ranges)
      if (outside >= first && outside < first + count) return inside + (outside - first)
    return -1
  }
}
