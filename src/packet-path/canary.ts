import { connect } from 'node:net'
import type { Config, Endpoint } from '../config/config.js'
import { CANARY } from '../core/policy/policy.js'
import type { VerdictCounts } from '../core/record/verdict-counts.js'
import type { ServiceLog } from '../system/service-log.js'

const TIMEOUT_MS = 2000

/**
 * Proof of enforcement: a connection to where nothing may be reached. A target that does not exist would be silent,
 * too; that the packet was really judged and blocked is known from the counter of its reason.
 */
export class Canary {
  /** Whether the last attempt was blocked by this service; undefined before the first. */
  proven: boolean | undefined
  readonly #counts: Pick<VerdictCounts, 'counts'>
  readonly #log: Pick<ServiceLog, 'error'>
  /** Whether the last attempt got through. */
  #reached = false
  #dueAt = 0
  #attempt = 0

  constructor(counts: Pick<VerdictCounts, 'counts'>, log: Pick<ServiceLog, 'error'>) {
    this.#counts = counts
    this.#log = log
  }

  /** Nothing is known any more, and the next attempt is due. */
  again(): void {
    this.proven = undefined
    this.#dueAt = 0
    this.#attempt++
  }

  /**
   * Tries when it is time. Where packets should be blocked, the log says once that nothing proves it.
   * @param now milliseconds since the epoch
   */
  async tick({ canary, mode }: Pick<Config, 'canary' | 'mode'>, now: number): Promise<void> {
    if (now < this.#dueAt) return
    this.#dueAt = now + canary.interval * 1000
    const changed = await this.#try(canary.target)
    if (changed && !this.proven && mode === 'enforce') this.#log.error(this.#disproof(canary.target.host))
  }

  /** @returns whether what is known has changed */
  async #try(target: Endpoint): Promise<boolean> {
    const [before, attempt] = [this.#blocks(), this.#attempt]
    this.#reached = await reaches(target)
    // It was begun in another time.
    if (attempt !== this.#attempt) return false
    const proven = !this.#reached && this.#blocks() > before
    const changed = proven !== this.proven
    this.proven = proven
    return changed
  }

  /** Packets of canary connections that were blocked so far. */
  #blocks(): number {
    let packets = 0
    for (const count of this.#counts.counts())
      if (count.reason === CANARY.reason && count.verdict === 'block' && count.protocol === 'tcp')
        packets += count.packets
    return packets
  }

  /** What it means that the last attempt was no proof, for the operator. */
  #disproof(host: string): string {
    return this.#reached
      ? `the canary connection to ${host} got through: something accepts packets before they are judged`
      : `the canary connection to ${host} was not seen by this service, so nothing proves that it judges: ` +
          'the queue was full, there is no route, or another firewall comes first'
  }
}

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
