import type { Config } from '../config/config.js'
import type { Packet } from '../core/packet/packet.js'
import { mayBeInherited } from '../core/policy/inherited-sockets.js'
import { isExpired, type Policy, type Rule } from '../core/policy/policy.js'
import { tightens } from '../core/policy/tightening.js'
import type { Pressure } from '../core/ruleset/conntrack-pressure.js'
import { marksOf, nextGeneration } from '../core/ruleset/marks.js'
import { hostFingerprint, readHost } from '../host/host-facts.js'
import type { Firewall } from '../kernel/nftables/firewall.js'
import { LearnedAddresses, type LearnedOptions } from '../names/learned-addresses.js'
import type { InboundWatch } from '../sessions/inbound-watch.js'
import { SerialQueue } from '../system/serial-queue.js'
import type { ServiceLog } from '../system/service-log.js'
import { createUsers } from '../system/users.js'
import type { ActivePolicy } from './active-policy.js'
import { buildPolicy } from './build-policy.js'
import { checkConntrack } from './conntrack-watch.js'
import { GenerationFile } from './generation-file.js'
import { type Overlay, type Settings, settingsOf, unexpired, withoutShadowed } from './overlay.js'
import { PolicyRefusal } from './refusal.js'
import { HOST_TIMEOUT, rulesetOptions } from './ruleset-options.js'
import type { RuntimeEntriesFile } from './runtime-entries-file.js'

/** Settings that are read at start only. */
const AT_START = ['firewall', 'queue', 'sessions', 'log', 'metrics', 'control', 'state'] as const

export interface PolicyInForceOptions
  extends Pick<LearnedOptions, 'isBusy' | 'onLookedUp' | 'onLookUpFailed'>,
    Record<'firewall', Firewall>,
    Record<'inbound', InboundWatch>,
    Record<'log', ServiceLog>,
    Record<'store', RuntimeEntriesFile> {
  /** It is in force now. */
  readonly onMode: (mode: Config['mode']) => void
}

interface Change {
  /** New names are looked up before a policy comes into force. */
  readonly waitForLookups?: boolean
  readonly onForce?: () => void
}

/**
 * Which policy is in force, here and in the kernel, and all that changes it: a new configuration, what an operator changes while
 * the service runs, time that is over, the host's own files, a service that has moved, room in connection tracking. One
 * change comes after the other.
 */
export class PolicyInForce {
  /** What packets are judged by. */
  rules: ActivePolicy
  readonly learned: LearnedAddresses
  readonly #options: PolicyInForceOptions
  readonly #generation: GenerationFile
  readonly #changes = new SerialQueue()
  #settings: Settings
  /** Rules that had expired by then are in no connection any more: milliseconds since the epoch. */
  #expiredBy = Date.now()
  #host: ReturnType<typeof readHost>
  #hostFingerprint: string
  #pressure: Pressure = 'none'
  #isStarted = false
  #isStopping = false

  constructor(config: Config, options: PolicyInForceOptions) {
    this.#options = options
    const kept = { mode: undefined, entries: options.store.read(createUsers().idOf) }
    this.#settings = settingsOf(config, this.#left(kept, config))
    this.#hostFingerprint = hostFingerprint(config)
    this.#host = readHost(config)
    this.#generation = new GenerationFile(config.state.directory, Math.random, options.log)
    this.learned = new LearnedAddresses({
      ...options,
      directory: config.state.directory,
      onTargets: () => this.#onTargets(),
      hostTimeout: HOST_TIMEOUT,
    })
    this.rules = {
      policy: this.#policyOf(this.#settings.config),
      marks: marksOf(config.firewall.mark.mask, this.#generation.current),
    }
  }

  /** What is in force: the configuration, with all that lies over it. */
  get config(): Config {
    return this.#settings.config
  }

  /** The configuration as it was read. */
  get configured(): Config {
    return this.#settings.configured
  }

  /** What an operator has changed since. */
  get overlay(): Overlay {
    return this.#settings.overlay
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
    const { trustedUsers, ephemeralPorts } = this.rules.policy
    return trustedUsers.includes(uid) && !mayBeInherited(question, uid, ephemeralPorts)
  }

  /** Looks names up, or takes what an earlier run knew of them. */
  prepare(): Promise<void> {
    return this.learned.start(this.rules.policy, this.#services(), this.config.dns)
  }

  /** Brings the policy into the kernel. @throws CommandError (rejects) */
  async start(): Promise<void> {
    this.#pressure = checkConntrack('none')?.pressure ?? 'none'
    await this.#options.inbound.expireGeneration(this.rules.marks)
    await this.#load(this.config, this.rules.policy, this.#generation.current)
    this.#isStarted = true
    await this.#options.store.keep(this.overlay.entries)
    // Where an earlier run, or the first look-ups, have found services to be.
    if (this.#services().some((service) => this.learned.targets(service).length > 0))
      await this.#refresh({ waitForLookups: true })
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
    return this.#changes.run(async () => {
      if (this.#isStopping) return
      const { configured, overlay } = this.#settings
      const fixed = AT_START.filter((key) => JSON.stringify(configured[key]) !== JSON.stringify(wanted[key]))
      if (fixed.length > 0) this.#options.log.warn(`needs a restart to take effect: ${fixed.join(', ')}`)
      const config = { ...wanted, ...pick(configured, AT_START) }
      this.#readHost(config)
      const left = this.#left(overlay, config)
      const wantedNow = settingsOf(config, { ...left, mode: undefined })
      const policy = await this.#change(wantedNow, { waitForLookups: true })
      await this.#options.store.keep(left.entries)
      this.#options.log.info(`configuration taken: mode ${config.mode}, ${policy.rules.length} rules`)
    })
  }

  /**
   * Changes what lies over the configuration. As a reload does, it cuts what is not allowed any more, and nothing else.
   * @param change is given what there is when its turn has come @returns why it will not outlast a restart, if so
   * @throws PolicyRefusal, what `change` throws, CommandError (rejects) and then nothing has changed
   */
  alter(change: (overlay: Overlay, configured: Config) => Overlay): Promise<string | undefined> {
    return this.#changes.run(async () => {
      if (this.#isStopping) throw new PolicyRefusal('stopping', 'the service is stopping')
      if (!this.#isStarted)
        throw new PolicyRefusal('starting', 'the service is starting: try again in a moment')
      const { configured, overlay } = this.#settings
      const wanted = change(overlay, configured)
      await this.#change(settingsOf(configured, wanted), { waitForLookups: true })
      return this.#options.store.keep(wanted.entries)
    })
  }

  /** What has expired allows no new connection; those that it has allowed must end, too. */
  followTime(): Promise<void> {
    return this.#changes.run(async () => {
      if (!this.#isStarted || this.#isStopping) return
      // Where the clock was set back, what had expired has not, and will do so again.
      this.#expiredBy = Math.min(this.#expiredBy, Date.now())
      const over = this.#expired(Date.now())
      if (over.length === 0) return
      const { configured, overlay } = this.#settings
      const left = this.#left(overlay, configured)
      await this.#change(settingsOf(configured, left))
      this.#options.log.info(
        `the time of these rules is over: ${over.map(({ spec }) => spec.name).join(', ')}`,
      )
      await this.#options.store.keep(left.entries)
    })
  }

  /** Package sources and resolvers change while the service runs: a lease is renewed, a repository added. */
  async followHost(): Promise<void> {
    if (hostFingerprint(this.config) === this.#hostFingerprint) return
    this.#readHost(this.config)
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
    return this.#changes.run(async () => {
      const news = checkConntrack(this.#pressure)
      if (news === undefined || this.#isStopping) return
      const before = this.#pressure
      this.#pressure = news.pressure
      try {
        await this.#load(this.config, this.rules.policy, this.#generation.current)
      } catch (error) {
        this.#pressure = before
        throw error
      }
      this.#options.log.warn(news.text)
      if (news.pressure === 'none') await this.#options.inbound.forgetLoopback()
    })
  }

  /** Retries what could not be written for the next start. @param now as StateFile.tick */
  async retryWrites(now: number): Promise<void> {
    await Promise.all([this.#options.store.tick(now), this.#generation.tick(now)])
  }

  /** From now on nothing changes any more, but for the end of it: `last`. */
  async stop(last: () => Promise<void>): Promise<void> {
    this.#isStopping = true
    await this.#changes.run(last)
  }

  /** The policy of a configuration on this host, as far as it is known now. */
  #policyOf(config: Config): Policy {
    return buildPolicy(config, this.#host, {
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

  /** What of an overlay goes on beside this configuration. */
  #left(overlay: Overlay, config: Config): Overlay {
    const left = withoutShadowed(overlay, config)
    for (const { name } of overlay.entries.filter((each) => !left.entries.includes(each)))
      this.#options.log.warn(`runtime entry ${name} is gone: the configuration has a rule of that name`)
    return unexpired(left, Date.now())
  }

  /** Rules whose time is over, and which live connections may still go by. */
  #expired(now: number): readonly Rule[] {
    const isOver = ({ spec }: Rule) => isExpired(spec, now) && !isExpired(spec, this.#expiredBy)
    return this.rules.policy.rules.filter(isOver)
  }

  /**
   * Puts the policy of other settings in the place of the one in force, whole or not at all. One that allows more does so
   * here before it does in the kernel: a program may be waiting for it.
   */
  async #change(settings: Settings, { waitForLookups, onForce }: Change = {}): Promise<Policy> {
    const [settingsBefore, before] = [this.#settings, this.rules]
    const { config } = settings
    const now = Date.now()
    const policy = this.#policyOf(config)
    const less = this.#expired(now).length > 0 || tightens(before.policy, policy)
    const generation = less ? nextGeneration(this.#generation.current) : this.#generation.current
    const marks = marksOf(config.firewall.mark.mask, generation)
    const force = () => {
      this.#force(settings, { policy, marks })
      onForce?.()
    }
    try {
      const known = this.learned.follow(policy, this.#services(), config.dns)
      if (waitForLookups) await known
      if (less) {
        await this.#options.inbound.findOpened()
        await this.#options.inbound.expireGeneration(marks)
      } else force()
      await this.#load(config, policy, generation, less ? force : undefined)
    } catch (error) {
      this.#force(settingsBefore, before)
      this.learned.follow(before.policy, this.#services(), settingsBefore.config.dns)
      this.learned.settle(before.policy)
      throw error
    }
    if (less) this.#expiredBy = now
    this.learned.settle(policy)
    return policy
  }

  /** From now on packets are judged by that. */
  #force(settings: Settings, rules: ActivePolicy): void {
    const { mode } = this.rules.policy
    this.#settings = settings
    this.rules = rules
    if (rules.policy.mode !== mode) this.#options.onMode(rules.policy.mode)
  }

  /** The same configuration, by what this host's files and the resolvers say now. @throws CommandError (rejects) */
  #refresh(change?: Change): Promise<void> {
    return this.#changes.run(async () => {
      if (this.#isStarted && !this.#isStopping) await this.#change(this.#settings, change)
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

  /** @param onStand is called as soon as the rules stand in the kernel */
  async #load(config: Config, policy: Policy, generation: number, onStand?: () => void): Promise<void> {
    const { firewall, inbound } = this.#options
    const options = rulesetOptions(config, firewall.form, generation, this.#pressure)
    await this.#generation.keep(generation)
    await firewall.apply({ policy, options, facts: inbound.facts() }, onStand)
    this.#generation.take(generation)
  }
}

const pick = (config: Config, keys: typeof AT_START): Pick<Config, (typeof AT_START)[number]> =>
  Object.fromEntries(keys.map((key) => [key, config[key]])) as Pick<Config, (typeof AT_START)[number]>
