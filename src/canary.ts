import { connect } from 'node:net'
import type { Endpoint } from './config.js'

const TIMEOUT_MS = 2000

/**
 * Proof of enforcement: a connection to where nothing may be reached. A target that does not exist would be silent,
 * too; that the packet was really judged and blocked is known from the counter of its reason.
 */
export class Canary {
  /** Whether the last attempt was blocked by this service; undefined before the first. */
  proven: boolean | undefined
  /** Whether the last attempt got through. */
  reached = false
  readonly #blocks: () => number
  #dueAt = 0
  #attempt = 0

  /** @param blocks packets blocked for the reason `canary` so far */
  constructor(blocks: () => number) {
    this.#blocks = blocks
  }

  /** Nothing is known any more, and the next attempt is due. */
  again(): void {
    this.proven = undefined
    this.#dueAt = 0
    this.#attempt++
  }

  /** What it means that the last attempt was no proof, for the operator. */
  disproof(host: string): string {
    return this.reached
      ? `the canary connection to ${host} got through: something accepts packets before they are judged`
      : `the canary connection to ${host} was not seen by this service, so nothing proves that it judges: ` +
          'the queue was full, there is no route, or another firewall comes first'
  }

  /**
   * Tries when it is time. @param interval seconds @param now milliseconds since the epoch
   * @returns whether what is known has changed
   */
  async tick(target: Endpoint, interval: number, now: number): Promise<boolean> {
    if (now < this.#dueAt) return false
    this.#dueAt = now + interval * 1000
    const [before, attempt] = [this.#blocks(), this.#attempt]
    this.reached = await reaches(target)
    // It was begun in another time.
    if (attempt !== this.#attempt) return false
    const proven = !this.reached && this.#blocks() > before
    const changed = proven !== this.proven
    this.proven = proven
    return changed
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
