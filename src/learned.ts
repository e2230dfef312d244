import { allHosts, hostsOf, learn, namesOf } from './allowlist.js'
import type { Policy } from './core/policy.js'
import type { Hosts } from './core/ruleset.js'
import type { Firewall } from './kernel/firewall.js'
import { lookup } from './mirrors/lookup.js'
import { NameWatcher } from './mirrors/names.js'
import { readState, writeState } from './mirrors/state.js'
import type { Metrics } from './report/metrics.js'
import type { ServiceLog } from './report/service-log.js'

/** New names are waited for only this long: until then the kernel keeps its old rules. */
const FIRST_ANSWERS_MS = 3000

export interface LearnedOptions {
  readonly directory: string
  readonly firewall: Firewall
  readonly metrics: Pick<Metrics, 'mirrorSuccess' | 'resolveFailures'>
  readonly log: ServiceLog
  /** The policy in force. */
  readonly policy: () => Policy
}

/** The addresses of allowed names: learned, put into policy and kernel, and kept for the next start. */
export class LearnedAddresses {
  readonly #options: LearnedOptions
  readonly #names: NameWatcher

  constructor(options: LearnedOptions) {
    this.#options = options
    this.#names = new NameWatcher({
      resolve: lookup,
      now: Date.now,
      random: Math.random,
      onChange: (name) => this.#onChange(name),
      onSuccess: () => options.metrics.mirrorSuccess.setToCurrentTime(),
      onFailure: (name, error) => this.#onFailure(name, error as Error),
    })
  }

  /** At start: what an earlier run knew counts until the first answers. */
  async start(policy: Policy): Promise<void> {
    const first = this.#names.watch(namesOf(policy))
    for (const [name, hosts] of readState(this.#options.directory)) this.#names.restore(name, hosts)
    const known = [...namesOf(policy)].every((name) => this.#names.hosts(name).length > 0)
    if (!known) await Promise.race([first, pause(FIRST_ANSWERS_MS)])
    this.#fill(policy)
  }

  /** Watches the names of a new policy from now on, and gives it the addresses that are known of them. */
  async follow(policy: Policy): Promise<void> {
    await Promise.race([this.#names.watch(namesOf(policy)), pause(FIRST_ANSWERS_MS)])
    this.#fill(policy)
  }

  hosts(policy: Policy): Hosts {
    return allHosts(policy, this.#names)
  }

  stop(): void {
    this.#names.stop()
  }

  #fill(policy: Policy): void {
    for (const rule of policy.rules) learn(rule, hostsOf(rule, this.#names))
  }

  #onChange(name: string): void {
    const { firewall, log, directory } = this.#options
    this.#options.policy().rules.forEach((rule, index) => {
      if (!rule.spec.names.includes(name)) return
      const hosts = hostsOf(rule, this.#names)
      learn(rule, hosts)
      firewall.setHosts(index, rule, hosts).catch((error: Error) => log.error(error.message))
    })
    try {
      writeState(directory, this.#names.snapshot())
    } catch (error) {
      log.warn(`the addresses of ${name} cannot be kept for the next start: ${(error as Error).message}`)
    }
  }

  #onFailure(name: string, error: Error): void {
    this.#options.metrics.resolveFailures.inc()
    const kept = this.#names.hosts(name).length
    this.#options.log.warn(
      `${name} cannot be looked up (${error.message}); its ${kept} known addresses stay allowed`,
    )
  }
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms).unref())
