import type { Firewall } from './firewall.js'

/** A check waits this long for the end of a burst of changes. */
const DELAY_MS = 20

export interface RulesetGuardOptions {
  readonly firewall: Pick<Firewall, 'loaded' | 'verify'>
  /** Called when the rules were gone or changed, and have been put back. */
  readonly onRestored: () => void
  /** Called when a check after a change has failed. */
  readonly onError: (error: Error) => void
}

/** Puts the firewall rules back when another program has removed or changed them. */
export class RulesetGuard {
  readonly #options: RulesetGuardOptions
  #check: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(options: RulesetGuardOptions) {
    this.#options = options
  }

  /** Checks the rules soon, after some ruleset was changed. Changes come in bursts, our own among them. */
  onChange(): void {
    if (this.#isStopped || !this.#options.firewall.loaded) return
    this.#check ??= setTimeout(() => {
      this.#check = undefined
      this.verify().catch(this.#options.onError)
    }, DELAY_MS)
  }

  /** Puts the rules back at once, after the table was deleted: nothing is judged until then. */
  onTableGone(): void {
    if (this.#isStopped || !this.#options.firewall.loaded) return
    this.verify().catch(this.#options.onError)
  }

  /** Checks the rules now. @throws CommandError, NetlinkError (rejects) */
  async verify(): Promise<void> {
    if (this.#isStopped || (await this.#options.firewall.verify()) === 'intact') return
    this.#options.onRestored()
  }

  /** Stops all checks. */
  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#check)
  }
}
