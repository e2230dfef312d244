import type { Config } from '../config/config.js'
import type { ServiceLog } from '../system/service-log.js'

/** Milliseconds between two faults that are logged. */
const LOG_MS = 10_000

export interface FaultLogOptions {
  readonly mode: () => Config['mode']
  readonly log: Pick<ServiceLog, 'error'>
  /** Is called for each fault, logged or not. */
  readonly count: () => void
}

/**
 * Logs faults of the program on the packet path, few of them: an attacker who provokes a fault with each
 * packet must not fill the log.
 */
export class FaultLog {
  readonly #options: FaultLogOptions
  /** When a fault was last logged: milliseconds since the epoch. */
  #lastLogged = 0

  constructor(options: FaultLogOptions) {
    this.#options = options
  }

  /**
   * Counts a fault, and logs it.
   * @param isJudged whether the packet has its verdict: then only its attribution failed
   */
  note(error: Error, isJudged = false): void {
    this.#options.count()
    const now = Date.now()
    if (now - this.#lastLogged < LOG_MS) return
    this.#lastLogged = now
    const what = isJudged ? 'the sender of a packet could not be found' : this.#unjudged()
    this.#options.log.error({ stack: error.stack }, `${what}: ${error.message}`)
  }

  #unjudged(): string {
    const fate = this.#options.mode() === 'observe' ? 'would have been blocked' : 'was blocked'
    return `a packet could not be judged and ${fate}`
  }
}
