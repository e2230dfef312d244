/** Collects changes of learned addresses and sends them to the kernel in batches. */

import type { Address } from '../core/packet/ip.js'
import type { Rule } from '../core/policy/rule.js'
import type { HostChanges } from '../core/ruleset/ruleset.js'

/** Sends changes to the kernel. Rejects when the kernel has not taken them. */
export type SendChanges = (changes: ReadonlyMap<Rule, HostChanges>) => Promise<void>

/** A burst of answers becomes one transaction. */
const DELAY_MS = 100
/** Pause after a failure. */
const RETRY_MS = 5000

interface Change {
  readonly host: Address
  /** Whether the rule has the address now. */
  readonly isIn: boolean
}

export class HostChangeQueue {
  readonly #send: SendChanges
  readonly #onError: (error: Error) => void
  #waiting = new Map<Rule, Map<string, Change>>()
  #timer: NodeJS.Timeout | undefined
  #isSending = false
  #last: Promise<void> = Promise.resolve()

  constructor(send: SendChanges, onError: (error: Error) => void) {
    this.#send = send
    this.#onError = onError
  }

  /** Whether there are changes that the kernel may not have yet. */
  get pending(): boolean {
    return this.#waiting.size > 0 || this.#isSending
  }

  /**
   * Notes a change. @param isIn whether the rule has the address now; noted again, its timeout in the kernel
   * is renewed
   */
  note(rule: Rule, host: Address, isIn: boolean): void {
    this.#put(rule, host, isIn)
    this.#schedule(DELAY_MS)
  }

  /** Sends now. Settles when all changes noted until now have been sent, taken or not. */
  flush(): Promise<void> {
    this.stop()
    this.#last = this.#last.then(() => this.#flush())
    return this.#last
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  async #flush(): Promise<void> {
    if (this.#waiting.size === 0) return
    const taken = this.#waiting
    this.#waiting = new Map()
    this.#isSending = true
    try {
      await this.#send(new Map([...taken].map(([rule, changes]) => [rule, split(changes.values())])))
    } catch (error) {
      this.#onError(error as Error)
      this.#takeBack(taken)
      this.#schedule(RETRY_MS)
    } finally {
      this.#isSending = false
    }
  }

  /** Puts changes back that the kernel has not taken, unless there is a newer one. */
  #takeBack(taken: ReadonlyMap<Rule, ReadonlyMap<string, Change>>): void {
    for (const [rule, changes] of taken)
      for (const [key, { host, isIn }] of changes)
        if (!this.#waiting.get(rule)?.has(key)) this.#put(rule, host, isIn)
  }

  #put(rule: Rule, host: Address, isIn: boolean): void {
    const changes = this.#waiting.get(rule) ?? new Map<string, Change>()
    this.#waiting.set(rule, changes.set(`${host.family} ${host.words.join()}`, { host, isIn }))
  }

  #schedule(ms: number): void {
    this.#timer ??= setTimeout(() => this.flush(), ms).unref()
  }
}

function split(changes: Iterable<Change>): HostChanges {
  const all = [...changes]
  const of = (isIn: boolean) => all.filter((change) => change.isIn === isIn).map(({ host }) => host)
  return { added: of(true), removed: of(false) }
}
