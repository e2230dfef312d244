import { connect } from 'node:net'
import type { Config, Endpoint } from '../config/config.js'
import { CANARY } from '../core/policy/policy.js'
import type { VerdictCounts } from '../core/record/verdict-counts.js'
import type { ServiceLog } from '../system/service-log.js'

const TIMEOUT_MS = 2000

/**
 * Proves that blocking works, by a connection that must be blocked. A target that does not exist would not
 * answer either, so the proof is the counter of the reason `canary`: it shows that the packet was judged and
 * blocked.
 */
export class Canary {
  /** Whether the last attempt was blocked by this service; undefined before the first. */
  proven: boolean | undefined
  readonly #counts: Pick<VerdictCounts, 'counts'>
  readonly #log: Pick<ServiceLog, 'error'>
  /** Whether the last attempt was connected. */
  #reached = false
  #dueAt = 0
  #attempt = 0

  constructor(counts: Pick<VerdictCounts, 'counts'>, log: Pick<ServiceLog, 'error'>) {
    this.#counts = counts
    this.#log = log
  }

  /** Forgets the last result and makes the next attempt due: the policy has changed. */
  reset(): void {
    this.proven = undefined
    this.#dueAt = 0
    this.#attempt++
  }

  /**
   * Makes an attempt when it is due. In mode enforce, a lost proof is logged once.
   * @param now milliseconds since the epoch
   */
  async tick({ canary, mode }: Pick<Config, 'canary' | 'mode'>, now: number): Promise<void> {
    if (now < this.#dueAt) return
    this.#dueAt = now + canary.interval * 1000
    const changed = await this.#try(canary.target)
    if (changed && !this.proven && mode === 'enforce') this.#log.error(this.#problem(canary.target.host))
  }

  /** Makes an attempt. @returns whether `proven` has changed */
  async #try(target: Endpoint): Promise<boolean> {
    const [before, attempt] = [this.#blocks(), this.#attempt]
    this.#reached = await reaches(target)
    // `reset` was called in the meantime.
    if (attempt !== this.#attempt) return false
    const proven = !this.#reached && this.#blocks() > before
    const changed = proven !== this.proven
    this.proven = proven
    return changed
  }

  /** Returns the packets of canary connections that were blocked so far. */
  #blocks(): number {
    let packets = 0
    for (const count of this.#counts.counts())
      if (count.reason === CANARY.reason && count.verdict === 'block' && count.protocol === 'tcp')
        packets += count.packets
    return packets
  }

  /** Returns why the last attempt proves nothing, for the operator. */
  #problem(host: string): string {
    return this.#reached
      ? `the canary connection to ${host} got through: something accepts packets before they are judged`
      : `the canary connection to ${host} was not seen by this service, so nothing proves that it judges: ` +
          'the queue was full, there is no route, or another firewall comes first'
  }
}

/** Whether a TCP connection to the target can be opened. */
function reaches({ host, port }: Endpoint): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: TIMEOUT_MS })
    const end = (reached: boolean) => {
      socket.destroy()
      resolve(reached)
    }
    socket.once('connect', () => end(true))
    socket.once('timeout', () => end(false))
    socket.once('error', () => end(false))
  })
}
