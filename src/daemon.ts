/** The service: it builds all parts, and starts, reloads and stops them. */
import type { Server } from 'node:http'
import { hasNetAdmin, Queue, sdNotify } from 'node-netfilter-queue'
import { entriesBySource } from './allowlist.js'
import { Canary } from './canary.js'
import type { Config } from './config.js'
import { marksOf, nextGeneration } from './core/marks.js'
import { CANARY, type Policy, tightens } from './core/policy.js'
import type { Pressure } from './core/pressure.js'
import { namesQueue, type QueueForm, type RulesetOptions } from './core/ruleset.js'
import { hostFingerprint, readHost } from './host.js'
import { InboundWatch } from './inbound.js'
import { readConntrackRoom } from './kernel/conntrack-room.js'
import { chooseForm, Firewall } from './kernel/firewall.js'
import { counters, presentUntracksLoopback } from './kernel/nft.js'
import { readQueueStatus } from './kernel/queue-status.js'
import { Turns } from './kernel/turns.js'
import { UserMap } from './kernel/usermap.js'
import { LearnedAddresses } from './learned.js'
import { Periodic } from './periodic.js'
import { PolicyGeneration } from './policy-generation.js'
import { BlockLog, WINDOW_MS } from './report/blocklog.js'
import { serveHttp } from './report/http.js'
import { createMetrics, type Metrics } from './report/metrics.js'
import type { ServiceLog } from './report/service-log.js'
import { VerdictCounts } from './report/verdicts.js'
import { ResolverWatch } from './resolver-watch.js'
import { lookForRoom } from './room.js'
import { policyOf } from './rules.js'
import { createUsers } from './users.js'
import { Valve } from './valve.js'
import { VERSION } from './version.js'

/** All headers fit: IPv4 with options and TCP, or IPv6 with a chain of extension headers. */
const COPY_RANGE = 512
const RECEIVE_BUFFER = 8 * 1024 * 1024
/** Packets to and from resolvers that may wait; more go on unread. */
const NAMES_QUEUE_LENGTH = 4096
const NAMES_RECEIVE_BUFFER = 1024 * 1024
/** Seconds that a learned address outlives the service in the kernel. */
const HOST_TIMEOUT = 24 * 3600
const TICK_MS = 1000
/** A look after the ruleset waits this long for the end of a burst of changes. */
const VERIFY_DELAY_MS = 20
/** Faults of judging are logged at most this often. */
const FAULT_LOG_MS = 10_000

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

interface Change {
  /** New names are looked up before a policy comes into force. */
  readonly patience?: boolean
  readonly onForce?: () => void
}

const OWN_UID = process.geteuid!()

export class Daemon {
  #config: Config
  #host: ReturnType<typeof readHost>
  #hostFingerprint: string
  /** What changes the rules as a whole. */
  readonly #changes = new Turns()
  #pressure: Pressure = 'none'
  #lastFault = 0
  #stopping = false
  #verifySoon: NodeJS.Timeout | undefined
  readonly #periodic: Periodic
  readonly #log: ServiceLog
  readonly #users = createUsers()
  readonly #counts = new VerdictCounts()
  readonly #blockLog: BlockLog
  readonly #inbound: InboundWatch
  readonly #generation: PolicyGeneration
  readonly #firewall: Firewall
  readonly #learned: LearnedAddresses
  readonly #canary = new Canary(() => this.#canaryBlocks())
  readonly #metrics: Metrics
  readonly #valve: Valve
  readonly #answers = { learned: 0, held: 0, missed: 0 }
  readonly #resolvers: ResolverWatch
  #queue: Queue | undefined
  #namesQueue: Queue | undefined
  #http: Server | undefined

  /**
   * Starts the service. What cannot be had at start is fatal, and nothing stays behind.
   * @throws Error (rejects) of the part that failed, with a message for the operator
   */
  static async start(config: Config, log: ServiceLog): Promise<Daemon> {
    if (!hasNetAdmin())
      throw new Error(
        'CAP_NET_ADMIN is needed to judge packets: run as root, or by the systemd unit, which grants it',
      )
    const form = await chooseForm(config.firewall.queue)
    const daemon = new Daemon(config, form, log)
    try {
      await daemon.#start()
      return daemon
    } catch (error) {
      await daemon.#abandon()
      throw error
    }
  }

  private constructor(config: Config, form: QueueForm, log: ServiceLog) {
    this.#config = config
    this.#hostFingerprint = hostFingerprint(config)
    this.#host = readHost(config)
    this.#log = log
    this.#inbound = new InboundWatch(config.sessions)
    this.#generation = new PolicyGeneration(config.state.directory, Math.random)
    this.#firewall = new Firewall(
      { form, queue: config.queue, mask: config.firewall.mark.mask },
      Date.now,
      () => this.#onRulesetChange(),
    )
    this.#blockLog = new BlockLog({
      destination: config.log.destination,
      userName: this.#users.nameOf,
      onTrouble: (error) =>
        log.error(`the block log ${config.log.destination} cannot be written: ${error.message}`),
    })
    this.#periodic = new Periodic((error) => log.error(error.message))
    const rules = {
      policy: this.#policyOf(config),
      marks: marksOf(config.firewall.mark.mask, this.#generation.current),
    }
    this.#valve = new Valve(rules, {
      form,
      inbound: this.#inbound.inbound,
      users: UserMap.ofProcess(),
      counts: this.#counts,
      log: this.#blockLog,
      onFault: (error) => this.#onFault(error as Error),
      onBatch: (seconds) => this.#metrics.verdictDuration.observe(seconds),
    })
    this.#metrics = this.#createMetrics()
    this.#learned = new LearnedAddresses({
      directory: config.state.directory,
      firewall: this.#firewall,
      metrics: this.#metrics,
      log,
      isBusy: () => (readQueueStatus(config.queue.first)?.waiting ?? 0) * 2 > config.queue.maxLength,
      onTargets: () => this.#onTargets(),
      hostTimeout: HOST_TIMEOUT,
    })
    this.#resolvers = new ResolverWatch({
      form,
      mask: config.firewall.mark.mask,
      valve: this.#valve,
      learned: this.#learned,
      isTrusted: (uid) => this.#isTrusted(uid),
      budget: () => (this.#config.dns.holdAnswers ? this.#config.dns.holdTime * 1000 : 0),
      stats: this.#answers,
      onFault: (error) => this.#onFault(error as Error),
    })
  }

  /** The policy of a configuration on this host, as far as it is known now. */
  #policyOf(config: Config): Policy {
    return policyOf(config, this.#host, {
      targets: (service) => this.#learned?.targets(service) ?? [],
      isWayTo: (name) => this.#learned.isWayTo(name),
    })
  }

  /** Those who update, and those who ask for others: nobody else who may run on this host unwanted. */
  #isTrusted(uid: number): boolean {
    return (
      uid === 0 ||
      uid === OWN_UID ||
      this.#config.mirrors.users.includes(uid) ||
      this.#host.resolverUsers.includes(uid)
    )
  }

  /**
   * Takes a new configuration. Live connections are judged again where it allows less than the old one. Settings
   * that are read at start only stay what they were.
   */
  reload(wanted: Config): Promise<void> {
    return this.#changes.take(() => this.#reload(wanted))
  }

  async #reload(wanted: Config): Promise<void> {
    if (this.#stopping) return
    const fixed = AT_START.filter((key) => JSON.stringify(this.#config[key]) !== JSON.stringify(wanted[key]))
    if (fixed.length > 0) this.#log.warn(`needs a restart to take effect: ${fixed.join(', ')}`)
    const config = { ...wanted, ...pick(this.#config, AT_START) }
    this.#readHost(config)
    const policy = await this.#change(config, { patience: true })
    this.#noteReload(true)
    this.#log.info(`configuration taken: mode ${config.mode}, ${policy.rules.length} rules`)
  }

  #readHost(config: Config): void {
    this.#hostFingerprint = hostFingerprint(config)
    this.#host = readHost(config)
    for (const note of this.#host.notes) this.#log.warn(note)
  }

  /**
   * Puts the policy of a configuration in the place of the one in force, whole or not at all. One that allows more does so
   * here before it does in the kernel: a program may be waiting for it.
   * @param onForce it is in force here
   */
  async #change(config: Config, { patience, onForce }: Change = {}): Promise<Policy> {
    const [before, rulesBefore] = [this.#config, this.#valve.rules]
    const policy = this.#policyOf(config)
    const less = tightens(rulesBefore.policy, policy)
    const generation = less ? nextGeneration(this.#generation.current) : this.#generation.current
    const force = () => {
      this.#config = config
      this.#valve.rules = { policy, marks: marksOf(config.firewall.mark.mask, generation) }
      onForce?.()
    }
    try {
      const known = this.#learned.follow(policy, this.#services(), config.dns)
      if (patience) await known
      if (!less) force()
      else await this.#inbound.findOpened()
      await this.#load(config, policy, generation)
      if (less) force()
    } catch (error) {
      this.#config = before
      this.#valve.rules = rulesBefore
      this.#learned.follow(rulesBefore.policy, this.#services(), before.dns)
      this.#learned.settle(rulesBefore.policy)
      throw error
    }
    this.#learned.settle(policy)
    return policy
  }

  /** The SRV names of this host's mirrors. */
  #services(): string[] {
    return this.#host.mirrors.flatMap(({ service }) => service ?? [])
  }

  /** The same configuration, by what this host's files and the resolvers say now. @throws CommandError (rejects) */
  #refresh(change?: Change): Promise<void> {
    return this.#changes.take(async () => {
      if (!this.#stopping && this.#queue) await this.#change(this.#config, change)
    })
  }

  /** A service was found to be elsewhere. Settles when packets are judged by that. */
  #onTargets(): Promise<void> {
    return new Promise((resolve) => {
      this.#refresh({ onForce: resolve })
        .catch((error: Error) => this.#log.error(`the old rules stay: ${error.message}`))
        .finally(resolve)
    })
  }

  /** Package sources and resolvers change while the service runs: a lease is renewed, a repository added. */
  async #followHost(): Promise<void> {
    if (hostFingerprint(this.#config) === this.#hostFingerprint) return
    this.#readHost(this.#config)
    this.#log.info(this.#findings())
    try {
      await this.#refresh()
    } catch (error) {
      this.#hostFingerprint = 'to be tried again'
      throw error
    }
  }

  #findings(): string {
    const { mirrors, resolvers } = this.#host
    return `found on this host: ${mirrors.length} mirrors, ${resolvers.length} resolvers`
  }

  /** A reload was refused: the metrics say so. */
  noteBadReload(): void {
    this.#noteReload(false)
  }

  reopenLog(): void {
    this.#blockLog.reopen()
  }

  /** Stops in good order. A second call does nothing. */
  async stop(): Promise<void> {
    if (this.#stopping) return
    this.#stopping = true
    this.#notify('STOPPING=1')
    this.#periodic.stop()
    clearTimeout(this.#verifySoon)
    // The table first: while it stands, the kernel's fallback judges what the queue no longer takes.
    if (this.#config.onStop === 'remove') await this.#changes.take(() => this.#removeRules())
    this.#resolvers.release()
    await this.#abandon()
    this.#log.info(
      this.#config.onStop === 'remove'
        ? 'stopped; the firewall rules were removed'
        : 'stopped; the kernel keeps the last allowlist',
    )
  }

  async #removeRules(): Promise<void> {
    await this.#firewall.remove()
    if (this.#pressure !== 'none') await this.#inbound.forgetLoopback()
  }

  async #start(): Promise<void> {
    const { policy } = this.#valve.rules
    await this.#inbound.start().catch((error: Error) => {
      throw new Error(`the connections of this host cannot be read: ${error.message}`)
    })
    await this.#learned.start(policy, this.#services(), this.#config.dns)
    this.#queue = await Queue.open({
      number: this.#config.queue.first,
      copyRange: COPY_RANGE,
      maxLength: this.#config.queue.maxLength,
      failOpen: true,
      uidGid: true,
      gso: true,
      receiveBuffer: RECEIVE_BUFFER,
      onPacket: this.#valve.onPacket,
      onError: this.#valve.onError,
      onBatch: this.#valve.onBatch,
    })
    this.#namesQueue = await this.#openNamesQueue()
    this.#resolvers.attach(this.#namesQueue)
    this.#http = await this.#serveHttp()
    const untracked = await presentUntracksLoopback()
    this.#pressure = lookForRoom('none')?.pressure ?? 'none'
    await this.#load(this.#config, policy, this.#generation.current)
    if (untracked && this.#pressure === 'none') await this.#inbound.forgetLoopback()
    // Those of the moment before the rules stood.
    await this.#inbound.findOpened()
    await this.#firewall.setFacts(this.#inbound.facts())
    // Where an earlier run has found services to be.
    if (this.#services().some((service) => this.#learned.targets(service).length > 0))
      await this.#refresh({ patience: true })
    this.#startTimers()
    this.#noteReload(true)
    this.#announce()
  }

  /** Large packets are shown as those that they will be cut into: each is a message of its own to a resolver. */
  #openNamesQueue(): Promise<Queue> {
    return Queue.open({
      number: namesQueue(this.#config.queue),
      maxLength: NAMES_QUEUE_LENGTH,
      failOpen: true,
      uidGid: true,
      batch: 16,
      receiveBuffer: NAMES_RECEIVE_BUFFER,
      onPacket: this.#resolvers.onPacket,
      onError: this.#resolvers.onError,
      onBatch: this.#valve.onBatch,
    })
  }

  async #load(config: Config, policy: Policy, generation: number, pressure = this.#pressure): Promise<void> {
    const options = rulesetOptions(config, this.#firewall.form, generation, pressure)
    const facts = this.#inbound.facts()
    this.#keep(generation)
    await this.#firewall.apply({ policy, options, facts })
    this.#generation.take(generation)
  }

  #keep(generation: number): void {
    try {
      this.#generation.keep(generation)
    } catch (error) {
      this.#log.warn(
        `the next start may leave connections unjudged that this one approved: ${(error as Error).message}`,
      )
    }
  }

  #startTimers(): void {
    this.#periodic.every(TICK_MS, () => this.#watchClients())
    this.#periodic.every(TICK_MS, () => this.#watchRoom())
    this.#periodic.every(TICK_MS, () => this.#watchNames())
    this.#periodic.every(TICK_MS, () => this.#followHost())
    this.#periodic.every(TICK_MS, () => this.#verifyRuleset())
    this.#periodic.every(TICK_MS, () => this.#prove())
    this.#periodic.every(WINDOW_MS, () => this.#blockLog.turn())
    const watchdog = Number(process.env.WATCHDOG_USEC ?? 0) / 1000
    if (watchdog > 0) this.#periodic.every(watchdog / 2, () => this.#notify('WATCHDOG=1'))
  }

  async #watchClients(): Promise<void> {
    await this.#inbound.tick()
    await this.#firewall.setFacts(this.#inbound.facts())
  }

  async #watchNames(): Promise<void> {
    this.#resolvers.expire(Date.now())
    await this.#learned.tick()
  }

  #watchRoom(): Promise<void> {
    return this.#changes.take(() => this.#followRoom())
  }

  /** Connection tracking that has no room cuts clients and updates off: the rules then do without it. */
  async #followRoom(): Promise<void> {
    const news = lookForRoom(this.#pressure)
    if (news === undefined || this.#stopping) return
    await this.#load(this.#config, this.#valve.rules.policy, this.#generation.current, news.pressure)
    this.#pressure = news.pressure
    this.#log.warn(news.text)
    if (news.pressure === 'none') await this.#inbound.forgetLoopback()
  }

  /** Changes come in bursts, ours among them. */
  #onRulesetChange(): void {
    if (this.#stopping || !this.#firewall.present) return
    this.#verifySoon ??= setTimeout(() => {
      this.#verifySoon = undefined
      this.#verifyRuleset().catch((error: Error) => this.#log.error(error.message))
    }, VERIFY_DELAY_MS)
  }

  async #verifyRuleset(): Promise<void> {
    if (this.#stopping || (await this.#firewall.verify()) === 'intact') return
    this.#metrics.rulesetRestored.inc()
    this.#log.warn('the firewall rules were gone or changed by another program; they were put back')
  }

  async #prove(): Promise<void> {
    const { canary, mode } = this.#config
    const changed = await this.#canary.tick(canary.target, canary.interval, Date.now())
    if (changed && !this.#canary.proven && mode === 'enforce')
      this.#log.error(this.#canary.disproof(canary.target.host))
  }

  #canaryBlocks(): number {
    let packets = 0
    for (const count of this.#counts.counts())
      if (count.reason === CANARY.reason && count.verdict === 'block') packets += count.packets
    return packets
  }

  #onFault(error: Error): void {
    this.#metrics.faults.inc()
    if (Date.now() - this.#lastFault < FAULT_LOG_MS) return
    this.#lastFault = Date.now()
    this.#log.error({ stack: error.stack }, `a packet could not be judged and was blocked: ${error.message}`)
  }

  #createMetrics(): Metrics {
    return createMetrics({
      version: VERSION,
      verdicts: this.#counts,
      userName: this.#users.nameOf,
      log: this.#blockLog.stats,
      kernelCounters: () => counters().catch(() => undefined),
      queue: () => readQueueStatus(this.#config.queue.first),
      inbound: () => this.#inbound.statistics(),
      conntrack: readConntrackRoom,
      answers: this.#answers,
      allowlist: () => entriesBySource(this.#valve.rules.policy),
      enforcing: () => this.#valve.rules.policy.mode === 'enforce',
      proven: () => this.#canary.proven,
    })
  }

  #serveHttp(): Promise<Server> {
    return serveHttp({
      listen: this.#config.metrics.listen,
      metricsPath: this.#config.metrics.path,
      registry: this.#metrics.registry,
      version: VERSION,
      unready: () => [
        ...(this.#queue && !this.#queue.closed ? [] : ['the queue is not bound']),
        ...(this.#namesQueue && !this.#namesQueue.closed ? [] : ['the queue for names is not bound']),
        ...(this.#firewall.present ? [] : ['the firewall rules are not loaded']),
      ],
    })
  }

  #announce(): void {
    const { mode, queue, metrics, log } = this.#config
    this.#log.info(
      `checkvalve ${VERSION}: mode ${mode}, queue ${queue.first} (${this.#firewall.form} form), ` +
        `metrics http://${metrics.listen.host}:${metrics.listen.port}${metrics.path}, blocks in ${log.destination}`,
    )
    if (mode === 'observe')
      this.#log.warn(
        'mode is observe: nothing is blocked, only recorded; set `mode: enforce` to close the valve',
      )
    this.#log.info(this.#findings())
    for (const note of [...this.#config.notes, ...this.#host.notes]) this.#log.warn(note)
    this.#notify(`READY=1\nSTATUS=mode ${mode}`)
  }

  #noteReload(good: boolean): void {
    this.#metrics.reloadSuccessful.set(good ? 1 : 0)
    if (good) this.#metrics.reloadTime.setToCurrentTime()
  }

  #notify(state: string): void {
    try {
      sdNotify(process.env.NOTIFY_SOCKET, state)
    } catch (error) {
      this.#log.warn((error as Error).message)
    }
  }

  /** Closes everything that is open, and leaves the firewall as it is. */
  async #abandon(): Promise<void> {
    this.#periodic.stop()
    this.#learned.stop()
    this.#queue?.close()
    this.#namesQueue?.close()
    this.#inbound.close()
    this.#firewall.close()
    this.#http?.close()
    this.#http?.closeAllConnections()
    await this.#blockLog.close()
  }
}

const pick = (config: Config, keys: typeof AT_START): Pick<Config, (typeof AT_START)[number]> =>
  Object.fromEntries(keys.map((key) => [key, config[key]])) as Pick<Config, (typeof AT_START)[number]>
