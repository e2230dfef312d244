import { connect } from 'node:net'
import type { Config, Endpoint } from '../config/config.js'
import { FAMILIES, type Family } from '../core/packet/ip.js'
import { CANARY, type Policy } from '../core/policy/policy.js'
import type { VerdictCounts } from '../core/record/verdict-counts.js'
import type { ServiceLog } from '../system/service-log.js'
import { canaryTargets } from './canary-targets.js'

const TIMEOUT_MS = 2000

/**
 * The result of the last attempt in one family:
 * - `pending`: none has ended yet
 * - `yes`: the connection was blocked by this service
 * - `no`: it was not
 * - `no-route`: no route leads to an address that is not allowed, so there is nothing to prove
 */
export type Proof = 'pending' | 'yes' | 'no' | 'no-route'

/** The proof of each family. */
export type Proofs = Readonly<Record<'ipv4' | 'ipv6', Proof>>

export interface CanaryOptions {
  readonly counts: Pick<VerdictCounts, 'counts'>
  readonly log: Pick<ServiceLog, 'error'>
  /** Returns the policy in force; it gets the targets of the attempts. */
  readonly policy: () => Pick<Policy, 'rules' | 'moreCanaries'>
  readonly targetsOf?: typeof canaryTargets
}

/**
 * Proves that blocking works, by a connection in each family that must be blocked. A target that does not
 * exist would not answer either, so the proof is the counter of the reason `canary`: it shows that the
 * packet was judged and blocked.
 */
export class Canary {
  readonly #options: CanaryOptions
  readonly #proofs: Record<Family, Proof> = { 4: 'pending', 6: 'pending' }
  #dueAt = 0
  #attempt = 0

  constructor(options: CanaryOptions) {
    this.#options = options
  }

  get proofs(): Proofs {
    return { ipv4: this.#proofs[4], ipv6: this.#proofs[6] }
  }

  /**
   * Whether the last attempt of each family that has a route was blocked by this service; undefined before
   * the first, and when no family has a route.
   */
  get proven(): boolean | undefined {
    const proofs = Object.values(this.#proofs)
    if (proofs.includes('no')) return false
    return proofs.includes('pending') || !proofs.includes('yes') ? undefined : true
  }

  /** Forgets the last results and makes the next attempts due: the policy has changed. */
  reset(): void {
    for (const family of FAMILIES) this.#proofs[family] = 'pending'
    this.#dueAt = 0
    this.#attempt++
  }

  /**
   * Makes an attempt in each family when it is due. In mode enforce, a lost proof is logged once.
   * @param now milliseconds since the epoch
   */
  async tick(config: Pick<Config, 'canary' | 'mode'>, now: number): Promise<void> {
    if (now < this.#dueAt) return
    this.#dueAt = now + config.canary.interval * 1000
    const attempt = this.#attempt
    const { policy, targetsOf = canaryTargets } = this.#options
    const targets = await targetsOf(config, policy())
    // `reset` was called in the meantime.
    if (attempt !== this.#attempt) return
    policy().moreCanaries = FAMILIES.flatMap((family) => targets[family] ?? [])
    await Promise.all(FAMILIES.map((family) => this.#prove(family, targets[family], config.mode, attempt)))
  }

  async #prove(
    family: Family,
    target: Endpoint | undefined,
    mode: Config['mode'],
    attempt: number,
  ): Promise<void> {
    const before = this.#blocks(family)
    const reached = target !== undefined && (await reaches(target))
    if (attempt !== this.#attempt) return
    const isBlocked = !reached && this.#blocks(family) > before
    const proof = target === undefined ? 'no-route' : isBlocked ? 'yes' : 'no'
    const hasChanged = proof !== this.#proofs[family]
    this.#proofs[family] = proof
    if (hasChanged && proof === 'no' && mode === 'enforce')
      this.#options.log.error(problem(target!.host, reached))
  }

  /** Returns the packets of canary connections that were blocked so far. */
  #blocks(family: Family): number {
    let packets = 0
    for (const count of this.#options.counts.counts())
      if (
        count.reason === CANARY.reason &&
        count.verdict === 'block' &&
        count.protocol === 'tcp' &&
        count.family === `ipv${family}`
      )
        packets += count.packets
    return packets
  }
}

/** Says why an attempt proves nothing, for the operator. */
const problem = (host: string, reached: boolean): string =>
  reached
    ? `the canary connection to ${host} got through: something accepts packets before they are judged`
    : `the canary connection to ${host} was not seen by this service, so nothing proves that it judges: ` +
      'the queue was full, or another firewall comes first'

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
