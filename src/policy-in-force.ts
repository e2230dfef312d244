import type { Config } from './config.js'
import { mayBeHandedOn } from './core/handed-out.js'
import { marksOf, nextGeneration } from './core/marks.js'
import type { Packet } from './core/packet.js'
import { type Policy, tightens } from './core/policy.js'
import type { Pressure } from './core/pressure.js'
import type { QueueForm, RulesetOptions } from './core/ruleset.js'
import { hostFingerprint, readHost } from './host.js'
import type { InboundWatch } from './inbound.js'
import type { Firewall } from './kernel/firewall.js'
import { Turns } from './kernel/turns.js'
import { LearnedAddresses, type LearnedOptions } from './learned.js'
import { PolicyGeneration } from './policy-generation.js'
import type { ServiceLog } from './report/service-log.js'
import { lookForRoom } from './room.js'
import { policyOf } from './rules.js'
import type { Rules } from './valve.js'

/** Seconds that a learned address outlives the service in the kernel. */
const HOST_TIMEOUT = 24 * 3600
/** Settings that are read at start only. */
const AT_START = ['firewall', 'queue', 'sessions', 'log', 'metrics', 'control', 'state'] as const

/** The options of the ruleset that follow from the configuration. */
export function rulesetOptions(
  config: Config,
  form: QueueForm,
  generation: number,
  pressure: Pressure = 'none',
): Omit<RulesetOptions, 'hasOpened'> {
  return {
    form,
    queue: config.queue,
    mask: config.firewall.mark.mask,
    generation,
    block: config.block,
    fallback: config.fallback,
    hostTimeout: HOST_TIMEOUT,
    udpTimeout: config.sessions.udpTimeout,
    watchNames: config.dns.holdAnswers || config.dns.enforceNames,
    pressure,
  }
}

export interface PolicyInForceOptions
  extends Pick<LearnedOptions, 'isBusy' | 'metrics'>,
    Record<'firewall', Firewall>,
    Record<'inbound', InboundWatch>,
    Record<'log', ServiceLog> {}

interface Change {
  /** New names are looked up before a policy comes into force. */
  readonly patience?: boolean
  readonly onForce?: () => void
}

/**
 * Which policy is in force, here and in the kernel, and all that changes it: a new configuration, the host's own files, a
 * service that has moved, room in connection tracking. One change comes after the other.
 */
export class PolicyInForce {
  /** What packets are judged by. */
  rules: Rules
  readonly learned: LearnedAddresses
  readonly #options: PolicyInForceOptions
  readonly #generation: PolicyGeneration
  readonly #changes = new Turns()
  #config: Config
  #host: ReturnType<typeof readHost>
  #hostFingerprint: string
  #pressure: Pressure = 'none'
  #isStarted = false
  #isStopping = false

  constructor(config: Config, options: PolicyInForceOptions) {
    this.#config = config
    this.#options = options
    this.#hostFingerprint = hostFingerprint(config)
    this.#host = readHost(config)
    this.#generation = new PolicyGeneration(config.state.directory, Math.random)
    this.learned = new LearnedAddresses({
      ...options,
      directory: config.state.directory,
      onTargets: () => this.#onTargets(),
      hostTimeout: HOST_TIMEOUT,
    })
    this.rules = {
      policy: this.#policyOf(config),
      marks: marksOf(config.firewall.mark.mask, this.#generation.current),
    }
  }

  get config(): Config {
    return this.#config
  }

  /** What this host's files say. */
  get host(): ReturnType<typeof readHost> {
    return this.#host
  }

  get findings(): string {
    const { mirrors, resolvers } = this.#host
    return `found on this host: ${mirrors.length} mirrors, ${resolvers.length} resolvers`
  }

  /** Those who update, and those who ask for others: nobody else who may run on this host unwanted. */
  isTrusted(uid: number, question: Packet): boolean {
    const { updaters, handedOut } = this.rules.policy
    return updaters.includes(uid) && !mayBeHandedOn(question, uid, handedOut)
  }

  /** Looks names up, or takes what an earlier run knew of them. */
  prepare(): Promise<void> {
    return this.learned.start(this.rules.policy, this.#services(), this.#config.dns)
  }

  /** Brings the policy into the kernel. @throws CommandError (rejects) */
  async start(): Promise<void> {
    this.#pressure = lookForRoom('none')?.pressure ?? 'none'
    await this.#options.inbound.retire(this.rules.marks)
    await this.#load(this.#config, this.rules.policy, this.#generation.current)
    this.#isStarted = true
    // Where an earlier run, or the first look-ups, have found services to be.
    if (this.#services().some((service) => this.learned.targets(service).length > 0))
      await this.#refresh({ patience: true })
  }

  get pressure(): Pressure {
    return this.#pressure
  }

  /**
   * Takes a new configuration. Live connections are judged again where it allows less than the old one. Settings
   * that are read at start only stay what they were.
   * @throws CommandError (rejects) and then the old one is in force
   */
  reload(wanted: Config): Promise<void> {
    return this.#changes.take(async () => {
      if (this.#isStopping) return
      const fixed = AT_START.filter(
        (key) => JSON.stringify(this.#config[key]) !== JSON.stringify(wanted[key]),
      )
      if (fixed.length > 0) this.#options.log.warn(`needs a restart to take effect: ${fixed.join(', ')}`)
      const config = { ...wanted, ...pick(this.#config, AT_START) }
      this.#readHost(config)
      const policy = await this.#change(config, { patience: true })
      this.#options.log.info(`configuration taken: mode ${config.mode}, ${policy.rules.length} rules`)
    })
  }

  /** Package sources and resolvers change while the service runs: a lease is renewed, a repository added. */
  async followHost(): Promise<void> {
    if (hostFingerprint(this.#config) === this.#hostFingerprint) return
    this.#readHost(this.#config)
    this.#options.log.info(this.findings)
    try {
      await this.#refresh()
    } catch (error) {
      this.#hostFingerprint = 'to be tried again'
      throw error
    }
  }

  /** Connection tracking that has no room cuts clients and updates off: the rules then do without it. */
  followRoom(): Promise<void> {
    return this.#changes.take(async () => {
      const news = lookForRoom(this.#pressure)
      if (news === undefined || this.#isStopping) return
      await this.#load(this.#config, this.rules.policy, this.#generation.current, news.pressure)
      this.#pressure = news.pressure
      this.#options.log.warn(news.text)
      if (news.pressure === 'none') await this.#options.inbound.forgetLoopback()
    })
  }

  /** From now on nothing changes any more, but for the end of it: `last`. */
  async stop(last: () => Promise<void>): Promise<void> {
    this.#isStopping = true
    await this.#changes.take(last)
  }

  /** The policy of a configuration on this host, as far as it is known now. */
  #policyOf(config: Config): Policy {
    return policyOf(config, this.#host, {
      targets: (service) => this.learned.targets(service),
      isWayTo: (name) => this.learned.isWayTo(name),
    })
  }

  /** The SRV names of this host's mirrors. */
  #services(): string[] {
    return this.#host.mirrors.flatMap(({ service }) => service ?? [])
  }

  #readHost(config: Config): void {
    this.#hostFingerprint = hostFingerprint(config)
    this.#host = readHost(config)
    for (const note of this.#host.notes) this.#options.log.warn(note)
  }

  /**
   * Puts the policy of a configuration in the place of the one in force, whole or not at all. One that allows more does so
   * here before it does in the kernel: a program may be waiting for it.
   */
  async #change(config: Config, { patience, onForce }: Change = {}): Promise<Policy> {
    const [configBefore, before] = [this.#config, this.rules]
    const policy = this.#policyOf(config)
    const less = tightens(before.policy, policy)
    const generation = less ? nextGeneration(this.#generation.current) : this.#generation.current
    const marks = marksOf(config.firewall.mark.mask, generation)
    const force = () => {
      this.#config = config
      this.rules = { policy, marks }
      onForce?.()
    }
    try {
      const known = this.learned.follow(policy, this.#services(), config.dns)
      if (patience) await known
      if (less) {
        await this.#options.inbound.findOpened()
        await this.#options.inbound.retire(marks)
      } else force()
      await this.#load(config, policy, generation)
      if (less) force()
    } catch (error) {
      this.#config = configBefore
      this.rules = before
      this.learned.follow(before.policy, this.#services(), configBefore.dns)
      this.learned.settle(before.policy)
      throw error
    }
    this.learned.settle(policy)
    return policy
  }

  /** The same configuration, by what this host's files and the resolvers say now. @throws CommandError (rejects) */
  #refresh(change?: Change): Promise<void> {
    return this.#changes.take(async () => {
      if (this.#isStarted && !this.#isStopping) await this.#change(this.#config, change)
    })
  }

  /** A service was found to be elsewhere. Settles when packets are judged by that. */
  #onTargets(): Promise<void> {
    return new Promise((resolve) => {
      this.#refresh({ onForce: resolve })
        .catch((error: Error) => this.#options.log.error(`the old rules stay: ${error.message}`))
        .finally(resolve)
    })
  }

  async #load(config: Config, policy: Policy, generation: number, pressure = this.#pressure): Promise<void> {
    const { firewall, inbound } = this.#options
    const options = rulesetOptions(config, firewall.form, generation, pressure)
    this.#keep(generation)
    await firewall.apply({ policy, options, facts: inbound.facts() })
    this.#generation.take(generation)
  }

  #keep(generation: number): void {
    try {
      this.#generation.keep(generation)
    } catch (error) {
      this.#options.log.warn(
        `the next start may leave connections unjudged that this one approved: ${(error as Error).message}`,
      )
    }
  }
}

const pick = (config: Config, keys: typeof AT_START): Pick<Config, (typeof AT_START)[number]> =>
  Object.fromEntries(keys.map((key) => [key, config[key]])) as Pick<Config, (typeof AT_START)[number]>
