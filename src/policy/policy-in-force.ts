import type { Config } from '../config/config.js'
import type { Packet } from '../core/packet/packet.js'
import { isExpired } from '../core/policy/conditions.js'
import { mayBeInherited } from '../core/policy/inherited-sockets.js'
import type { Policy } from '../core/policy/policy.js'
import type { Rule } from '../core/policy/rule.js'
import { tightens } from '../core/policy/tightening.js'
import { UsedAddresses } from '../core/policy/used-addresses.js'
import type { Pressure } from '../core/ruleset/conntrack-pressure.js'
import { marksOf, nextGeneration } from '../core/ruleset/marks.js'
import { HostWatch } from '../host/host-watch.js'
import type { Firewall } from '../kernel/nftables/firewall.js'
import { LearnedAddresses } from '../names/learned-addresses.js'
import { type LearnedOptions, learnedSettings } from '../names/learned-options.js'
import type { InboundWatch } from '../sessions/inbound-watch.js'
import { SerialQueue } from '../system/serial-queue.js'
import type { ServiceLog } from '../system/service-log.js'
import { createUsers } from '../system/users.js'
import type { ActivePolicy } from './active-policy.js'
import { buildPolicy } from './build-policy.js'
import { conntrackPressureChange } from './conntrack-watch.js'
import { GenerationFile } from './generation-file.js'
import { type Overlay, type Settings, settingsOf, validOverlay } from './overlay.js'
import { PolicyRefusal } from './refusal.js'
import { BLOCKS_MS, HOST_TIMEOUT, rulesetOptions } from './ruleset-options.js'
import type { RuntimeEntriesFile } from './runtime-entries-file.js'
import { changedInVain, withStartSettings } from './start-settings.js'

export interface PolicyInForceOptions
  extends Pick<LearnedOptions, 'isBusy' | 'onLookedUp' | 'onLookUpFailed'>,
    Record<'firewall', Firewall>,
    Record<'inbound', InboundWatch>,
    Record<'log', ServiceLog>,
    Record<'store', RuntimeEntriesFile> {
  /** Called when another mode has come into force. */
  readonly onMode: (mode: Config['mode']) => void
}

interface Change {
  /** Whether new names are looked up before the policy comes into force. */
  readonly waitForLookups?: boolean
  readonly onForce?: () => void
}

/**
 * Holds the policy that is in force, here and in the kernel, and changes it: on a reload, by runtime entries,
 * when rules expire, when the host's files or SRV targets change, and when connection tracking fills up.
 * Changes run one after the other.
 */
export class PolicyInForce {
  /** The policy and marks that packets are judged by. */
  rules: ActivePolicy
  /** When the kernel last remembered what this policy has blocked: milliseconds of a monotonic clock. */
  rememberedAt = Number.NEGATIVE_INFINITY
  readonly learned: LearnedAddresses
  /** Who used which addresses of names. */
  readonly used = new UsedAddresses(0)
  readonly host: HostWatch
  readonly #options: PolicyInForceOptions
  readonly #generation: GenerationFile
  readonly #changes = new SerialQueue()
  #settings: Settings
  /** No live connection depends on a rule that had expired by this time: milliseconds since the epoch. */
  #expiredBy = Date.now()
  #pressure: Pressure = 'none'
  #isStarted = false
  #isStopping = false

  constructor(config: Config, options: PolicyInForceOptions) {
    this.#options = options
    const saved = { mode: undefined, entries: options.store.read(createUsers().idOf) }
    this.#settings = settingsOf(config, validOverlay(saved, config, options.log))
    this.used.keep = config.dns.keepUsed * 1000
    this.host = new HostWatch(config, options.log)
    this.#generation = new GenerationFile(config.state.directory, Math.random, options.log)
    this.learned = new LearnedAddresses({
      ...options,
      directory: config.state.directory,
      onTargets: () => this.#onTargets(),
      hostTimeout: HOST_TIMEOUT,
      used: this.used,
    })
    this.rules = {
      policy: this.#policyOf(this.#settings.config),
      marks: marksOf(config.firewall.mark.mask, this.#generation.current),
      remembersBlocks: false,
    }
  }

  /** The configuration in force, with the overlay applied. */
  get config(): Config {
    return this.#settings.config
  }

  /** The configuration as it was read. */
  get configured(): Config {
    return this.#settings.configured
  }

  /** What an operator has changed at runtime. */
  get overlay(): Overlay {
    return this.#settings.overlay
  }

  /**
   * Whether a user updates the host or resolves names for others, and its socket cannot be inherited by
   * another user.
   */
  isTrusted(uid: number, question: Packet): boolean {
    const { policy } = this.rules
    return policy.trustedUsers.includes(uid) && !mayBeInherited(question, uid, policy)
  }

  /** Looks names up, or takes the addresses that an earlier run has saved. */
  prepare(): Promise<void> {
    return this.learned.start(
      this.rules.policy,
      this.host.services,
      learnedSettings(this.config, this.host.facts),
    )
  }

  /** Brings the policy into the kernel. @throws CommandError, NetlinkError (rejects) */
  async start(): Promise<void> {
    const { inbound, firewall, store } = this.#options
    const loopbackWasUntracked = await firewall.presentUntracksLoopback()
    this.#pressure = conntrackPressureChange('none')?.pressure ?? 'none'
    await inbound.expireGeneration(this.rules.marks)
    await this.#load(this.config, this.rules.policy, this.#generation.current)
    this.#isStarted = true
    await store.keep(this.overlay.entries)
    // SRV targets that were saved, or that the first look-ups have found, make further rules.
    if (this.host.services.some((service) => this.learned.targets(service).length > 0))
      await this.#refresh({ waitForLookups: true })
    if (loopbackWasUntracked && this.#pressure === 'none') await inbound.forgetLoopback()
    // Finds the connections that were opened just before the rules were loaded.
    await inbound.findOpened()
    await firewall.setFacts(inbound.facts())
  }

  /**
   * Takes a new configuration. Live connections are judged again when it allows less than the old one.
   * @returns settings that it changes in vain, since they are read at start only: `metrics`
   * @throws CommandError (rejects) and then the old one stays in force
   */
  reload(wanted: Config): Promise<readonly string[]> {
    return this.#changes.run(async () => {
      if (this.#isStopping) return []
      const { configured, overlay } = this.#settings
      const fixed = changedInVain(configured, wanted)
      if (fixed.length > 0) this.#options.log.warn(`needs a restart to take effect: ${fixed.join(', ')}`)
      const config = withStartSettings(configured, wanted)
      this.host.read(config)
      const kept = validOverlay(overlay, config, this.#options.log)
      const wantedNow = settingsOf(config, { ...kept, mode: undefined })
      const policy = await this.#change(wantedNow, { waitForLookups: true })
      await this.#options.store.keep(kept.entries)
      this.#options.log.info(`configuration taken: mode ${config.mode}, ${policy.rules.length} rules`)
      return fixed
    })
  }

  /**
   * Changes the overlay. As a reload does, it cuts the connections that are not allowed any more, and no
   * others.
   * @param change is given the overlay when its turn has come
   * @returns why the change is not saved for the next start, or undefined
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

  /** Ends the connections that expired rules have allowed; new ones are refused without this. */
  followTime(): Promise<void> {
    return this.#changes.run(async () => {
      if (!this.#isStarted || this.#isStopping) return
      // When the clock was set back, rules that had expired are valid again, and will expire again.
      this.#expiredBy = Math.min(this.#expiredBy, Date.now())
      const expired = this.#expired(Date.now())
      if (expired.length === 0) return
      const { configured, overlay } = this.#settings
      const kept = validOverlay(overlay, configured, this.#options.log)
      await this.#change(settingsOf(configured, kept))
      this.#options.log.info(`these rules have expired: ${expired.map(({ spec }) => spec.name).join(', ')}`)
      await this.#options.store.keep(kept.entries)
    })
  }

  /** Takes changes of the host's files into the policy. */
  async followHost(): Promise<void> {
    if (!this.host.hasChanged(this.config)) return
    this.host.read(this.config)
    this.#options.log.info(this.host.findings)
    try {
      await this.#refresh()
    } catch (error) {
      this.host.retry()
      throw error
    }
  }

  /**
   * Loads rules that do without connection tracking when it is full: clients and updates would be cut off.
   */
  followConntrack(): Promise<void> {
    return this.#changes.run(async () => {
      const change = conntrackPressureChange(this.#pressure)
      if (change === undefined || this.#isStopping) return
      const before = this.#pressure
      this.#pressure = change.pressure
      try {
        await this.#load(this.config, this.rules.policy, this.#generation.current)
      } catch (error) {
        this.#pressure = before
        throw error
      }
      this.#options.log.warn(change.text)
      if (change.pressure === 'none') await this.#options.inbound.forgetLoopback()
    })
  }

  /** Retries what could not be written for the next start. @param now as StateFile.tick */
  async retryWrites(now: number): Promise<void> {
    await Promise.all([this.#options.store.tick(now), this.#generation.tick(now)])
  }

  /** Stops all changes. @param keepsRules whether the rules stay whatever `onStop` says @returns whether they were removed */
  stop(keepsRules: boolean): Promise<boolean> {
    this.#isStopping = true
    return this.#changes.run(async () => {
      if (keepsRules || this.config.onStop === 'keep') return false
      await this.#options.firewall.remove()
      if (this.#pressure !== 'none') await this.#options.inbound.forgetLoopback()
      return true
    })
  }

  /** Builds the policy of a configuration with what is known of this host now. */
  #policyOf(config: Config): Policy {
    const { rootServices } = this.#options.inbound
    const knowledge = {
      targets: (service: string) => this.learned.targets(service),
      isWayTo: (name: string) => this.learned.isWayTo(name),
    }
    const policy = buildPolicy(config, this.host.facts, knowledge, { rootServices, used: this.used })
    // A canary may be on its way. At the start there is no policy before.
    policy.moreCanaries = this.rules?.policy.moreCanaries
    return policy
  }

  /** Rules that have expired, and on which live connections may still depend. */
  #expired(now: number): readonly Rule[] {
    const isOver = ({ spec }: Rule) => isExpired(spec, now) && !isExpired(spec, this.#expiredBy)
    return this.rules.policy.rules.filter(isOver)
  }

  /**
   * Replaces the policy in force by that of other settings, as a whole or not at all. A policy that allows
   * more comes into force here before it does in the kernel: a program may be waiting for it.
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
      this.#force(settings, { policy, marks, remembersBlocks: false })
      onForce?.()
    }
    try {
      const known = this.#follow(policy, config)
      if (waitForLookups) await known
      await this.#forgetBlocks()
      if (less) {
        await this.#options.inbound.findOpened()
        await this.#options.inbound.expireGeneration(marks)
      } else force()
      await this.#load(config, policy, generation, less ? force : undefined)
    } catch (error) {
      this.#force(settingsBefore, before)
      this.#follow(before.policy, settingsBefore.config)
      this.learned.settle(before.policy)
      throw error
    }
    if (less) this.#expiredBy = now
    this.learned.settle(policy)
    return policy
  }

  /** Follows the names of a policy. Settles when they were looked up. */
  #follow(policy: Policy, config: Config): Promise<void> {
    return this.learned.follow(policy, this.host.services, learnedSettings(config, this.host.facts))
  }

  /** Makes the kernel refuse nothing by what the policy has blocked: another policy may allow it. */
  async #forgetBlocks(): Promise<void> {
    this.rules = { ...this.rules, remembersBlocks: false }
    if (performance.now() < this.rememberedAt + BLOCKS_MS) await this.#options.firewall.forgetBlocks()
  }

  /** Makes packets be judged by these rules from now on. */
  #force(settings: Settings, rules: ActivePolicy): void {
    const { mode } = this.rules.policy
    this.#settings = settings
    this.used.keep = settings.config.dns.keepUsed * 1000
    this.rules = rules
    if (rules.policy.mode !== mode) this.#options.onMode(rules.policy.mode)
  }

  /**
   * Builds the policy of the same settings again, with what the host's files and resolvers say now. @throws
   * CommandError (rejects)
   */
  #refresh(change?: Change): Promise<void> {
    return this.#changes.run(async () => {
      if (this.#isStarted && !this.#isStopping) await this.#change(this.#settings, change)
    })
  }

  /** Takes changed SRV targets into the policy. Settles when packets are judged by it. */
  #onTargets(): Promise<void> {
    return new Promise((resolve) => {
      this.#refresh({ onForce: resolve })
        .catch((error: Error) => this.#options.log.error(`the old rules stay: ${error.message}`))
        .finally(resolve)
    })
  }

  /** Loads rules into the kernel. @param onLoaded is called as soon as the kernel has them */
  async #load(config: Config, policy: Policy, generation: number, onLoaded?: () => void): Promise<void> {
    const { firewall, inbound } = this.#options
    const options = rulesetOptions(config, firewall, generation, this.#pressure)
    await this.#generation.keep(generation)
    await firewall.apply({ policy, options, facts: inbound.facts() }, onLoaded)
    this.#generation.take(generation)
    this.rules = { ...this.rules, remembersBlocks: true }
  }
}
