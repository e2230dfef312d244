/** The service: it builds all parts, and starts, reloads and stops them. */
import { Queue } from 'node-netfilter-queue'
import { hasNetAdmin, sdNotify } from 'node-netfilter-queue/system'
import { Canary } from './canary.js'
import type { Config } from './config.js'
import { ControlServer } from './control/server.js'
import { PassedKinds } from './core/passed.js'
import { CANARY, entriesBySource } from './core/policy.js'
import { namesQueues, type QueueForm } from './core/ruleset.js'
import { SeenNames } from './core/seen-names.js'
import type { Family, Words } from './core/types.js'
import { explainRoute } from './explain/route.js'
import { serviceWorld } from './explain/service.js'
import type { World } from './explain/world.js'
import { Heartbeat } from './heartbeat.js'
import { InboundWatch } from './inbound.js'
import { readConntrackRoom } from './kernel/conntrack-room.js'
import { chooseForm, Firewall } from './kernel/firewall.js'
import { counters, presentUntracksLoopback } from './kernel/nft.js'
import { readQueueStatus } from './kernel/queue-status.js'
import { UserMap } from './kernel/usermap.js'
import { Periodic } from './periodic.js'
import { PolicyInForce } from './policy-in-force.js'
import { BlockLog } from './report/blocklog.js'
import { HttpServer } from './report/http.js'
import { lossText, recoveryText, troubleText } from './report/log-trouble.js'
import { createMetrics, type Metrics } from './report/metrics.js'
import { PassedKeeper } from './report/passed-keeper.js'
import type { ServiceLog } from './report/service-log.js'
import { VerdictCounts } from './report/verdicts.js'
import { ResolverWatch } from './resolver-watch.js'
import { runtimeRoutes } from './runtime/routes.js'
import { EntryStore } from './runtime/store.js'
import { StatusReport } from './status/status-report.js'
import { createUsers } from './users.js'
import { Valve } from './valve.js'
import { VERSION } from './version.js'

/** All headers fit: IPv4 with options and TCP, or IPv6 with a chain of extension headers. */
const COPY_RANGE = 512
/** Packets judged in one go. */
const BATCH = 64
/** For so long after a backlog packets are expected to find the queue full. */
const BUSY_MS = 1000
const RECEIVE_BUFFER = 8 * 1024 * 1024
/** Answers of resolvers that may wait; more go on unread. */
const ANSWERS_AT_MOST = 4096
const ANSWERS_RECEIVE_BUFFER = 1024 * 1024
/** Whose names for addresses are remembered for the log, and how many addresses of each. */
const SEEN_USERS = 64
const SEEN_ADDRESSES = 512
/** Kinds of what was accepted that are remembered, to try other rules on. */
const PASSED_KINDS = 4096
const TICK_MS = 1000
/** A look after the ruleset waits this long for the end of a burst of changes. */
const VERIFY_DELAY_MS = 20
/** Faults of judging are logged at most this often. */
const FAULT_LOG_MS = 10_000

export class Daemon {
  #lastFault = 0
  /** When more packets were waiting than are judged in one go. */
  #lastFull = Number.NEGATIVE_INFINITY
  #stopping = false
  #verifySoon: NodeJS.Timeout | undefined
  readonly #periodic: Periodic
  readonly #log: ServiceLog
  readonly #users = createUsers()
  readonly #counts = new VerdictCounts()
  readonly #blockLog: BlockLog
  readonly #inbound: InboundWatch
  readonly #firewall: Firewall
  readonly #entries: EntryStore
  readonly #inForce: PolicyInForce
  readonly #canary = new Canary(() => this.#canaryBlocks())
  readonly #heartbeat = new Heartbeat()
  readonly #metrics: Metrics
  readonly #report: StatusReport
  readonly #valve: Valve
  readonly #seenNames = new SeenNames(SEEN_USERS, SEEN_ADDRESSES)
  /** As the user himself has asked, or this host's own resolver on behalf of whomever. */
  readonly #domainOf = (family: Family, words: Words, uid: number) =>
    this.#seenNames.nameOf(family, words, [uid, ...this.#inForce.host.resolverUsers], Date.now())
  readonly #passed = new PassedKinds(PASSED_KINDS, crypto.getRandomValues(new Uint32Array(2)))
  readonly #passedKeeper: PassedKeeper
  readonly #answers = { learned: 0, held: 0, missed: 0 }
  readonly #resolvers: ResolverWatch
  #queue: Queue | undefined
  #questions: Queue | undefined
  #answerQueue: Queue | undefined
  #http: HttpServer | undefined
  #control: ControlServer | undefined

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
    this.#log = log
    this.#inbound = new InboundWatch(config.sessions)
    this.#firewall = new Firewall(
      { form, queue: config.queue, mask: config.firewall.mark.mask },
      Date.now,
      () => this.#onRulesetChange(),
    )
    this.#blockLog = this.#openBlockLog(config)
    this.#periodic = new Periodic((error) => log.error(error.message))
    this.#metrics = this.#createMetrics(config)
    this.#entries = new EntryStore(config.state.directory, log)
    this.#passedKeeper = new PassedKeeper(config.state.directory, this.#passed, this.#users.nameOf)
    this.#passedKeeper.read()
    this.#inForce = new PolicyInForce(config, {
      firewall: this.#firewall,
      inbound: this.#inbound,
      metrics: this.#metrics,
      log,
      store: this.#entries,
      isBusy: () => performance.now() - this.#lastFull < BUSY_MS,
      onMode: (mode) => this.#onMode(mode),
    })
    this.#report = this.#createReport(config)
    this.#valve = new Valve(this.#inForce, {
      form,
      inbound: this.#inbound.inbound,
      users: UserMap.ofProcess(),
      counts: this.#counts,
      log: this.#blockLog,
      passed: this.#passed,
      domainOf: this.#domainOf,
      onFault: (error, isJudged) => this.#onFault(error as Error, isJudged),
      onBatch: (seconds) => this.#metrics.verdictDuration.observe(seconds),
    })
    this.#resolvers = new ResolverWatch({
      form,
      mask: config.firewall.mark.mask,
      valve: this.#valve,
      learned: this.#inForce.learned,
      seen: this.#seenNames,
      isTrusted: (uid, packet) => this.#inForce.isTrusted(uid, packet),
      budget: () => {
        const { holdAnswers, holdTime } = this.#inForce.config.dns
        return holdAnswers ? holdTime * 1000 : 0
      },
      stats: this.#answers,
      onFault: (error) => this.#onFault(error as Error),
    })
  }

  /** As PolicyInForce does. */
  async reload(wanted: Config): Promise<void> {
    await this.#inForce.reload(wanted)
    if (!this.#stopping) this.#noteReload([])
  }

  /** A reload was refused: metrics and status say so. @param problems a line each */
  noteBadReload(problems: readonly string[]): void {
    this.#noteReload(problems)
  }

  /** Whether the disk of the block log does not answer: then the process can only be killed. */
  get hangs(): boolean {
    return this.#blockLog.hangs
  }

  reopenLog(): void {
    this.#blockLog.reopen()
  }

  /** Stops in good order. A second call does nothing. */
  async stop(): Promise<void> {
    if (this.#stopping) return
    this.#stopping = true
    this.#notify('STOPPING=1')
    this.#control?.retire()
    this.#periodic.stop()
    clearTimeout(this.#verifySoon)
    const { onStop } = this.#inForce.config
    // The table first: while it stands, the kernel's fallback judges what the queue no longer takes.
    await this.#inForce.stop(async () => {
      if (onStop === 'remove') await this.#removeRules()
    })
    this.#resolvers.release()
    await this.#abandon()
    this.#log.info(
      onStop === 'remove'
        ? 'stopped; the firewall rules were removed'
        : 'stopped; the kernel keeps the last allowlist',
    )
  }

  async #removeRules(): Promise<void> {
    await this.#firewall.remove()
    if (this.#inForce.pressure !== 'none') await this.#inbound.forgetLoopback()
  }

  async #start(): Promise<void> {
    const { queue } = this.#inForce.config
    await this.#inbound.start().catch((error: Error) => {
      throw new Error(`the connections of this host cannot be read: ${error.message}`)
    })
    await this.#inForce.prepare()
    this.#queue = await Queue.open({
      number: queue.first,
      copyRange: COPY_RANGE,
      maxLength: queue.maxLength,
      failOpen: true,
      uidGid: true,
      gso: true,
      receiveBuffer: RECEIVE_BUFFER,
      onPacket: this.#valve.onPacket,
      batch: BATCH,
      onError: this.#valve.onError,
      onBatch: (packets) => {
        this.#valve.onBatch()
        if (packets >= Math.min(BATCH, queue.maxLength)) this.#lastFull = performance.now()
      },
    })
    await this.#openNamesQueues()
    this.#http = await this.#serveHttp()
    this.#control = await this.#serveControl()
    const untracked = await presentUntracksLoopback()
    await this.#inForce.start()
    if (untracked && this.#inForce.pressure === 'none') await this.#inbound.forgetLoopback()
    // Those of the moment before the rules stood.
    await this.#inbound.findOpened()
    await this.#firewall.setFacts(this.#inbound.facts())
    this.#beat()
    this.#startTimers()
    this.#noteReload([])
    this.#announce()
  }

  /** Large packets are shown as those that they will be cut into: each is a message of its own to a resolver. */
  async #openNamesQueues(): Promise<void> {
    const { queue } = this.#inForce.config
    const { questions, answers } = namesQueues(queue)
    const common = { failOpen: true, batch: 16, onBatch: this.#valve.onBatch }
    this.#questions = await Queue.open({
      ...common,
      number: questions,
      maxLength: queue.maxLength,
      uidGid: true,
      receiveBuffer: RECEIVE_BUFFER,
      onPacket: this.#resolvers.onQuestion,
      onError: this.#valve.onError,
    })
    this.#answerQueue = await Queue.open({
      ...common,
      number: answers,
      maxLength: ANSWERS_AT_MOST,
      receiveBuffer: ANSWERS_RECEIVE_BUFFER,
      onPacket: this.#resolvers.onAnswer,
      onError: this.#resolvers.onAnswerError,
    })
    this.#resolvers.attach(this.#answerQueue)
  }

  #startTimers(): void {
    this.#periodic.every(TICK_MS, () => this.#beat())
    this.#periodic.every(TICK_MS, () => this.#watchClients())
    this.#periodic.every(TICK_MS, () => this.#inForce.followRoom())
    this.#periodic.every(TICK_MS, () => this.#watchNames())
    this.#periodic.every(TICK_MS, () => this.#inForce.followHost())
    this.#periodic.every(TICK_MS, () => this.#inForce.followTime())
    this.#periodic.every(TICK_MS, () => this.#entries.tick(Date.now()))
    this.#periodic.every(TICK_MS, () => this.#verifyRuleset())
    this.#periodic.every(TICK_MS, () => this.#prove())
    this.#periodic.every(TICK_MS, () => this.#blockLog.tick(performance.now()))
    this.#periodic.every(TICK_MS, () => this.#report.tick())
    this.#periodic.every(TICK_MS, () => this.#passedKeeper.tick(Date.now()))
    const watchdog = Number(process.env.WATCHDOG_USEC ?? 0) / 1000
    if (watchdog > 0) this.#periodic.every(watchdog / 2, () => this.#notify('WATCHDOG=1'))
  }

  #beat(): void {
    this.#heartbeat.beat(this.#inForce.rules.policy)
  }

  async #watchClients(): Promise<void> {
    await this.#inbound.tick()
    await this.#firewall.setFacts(this.#inbound.facts())
  }

  /** Not awaited: a disk that hangs must not stop the time of names. */
  #watchNames(): void {
    this.#resolvers.expire(Date.now())
    this.#inForce.learned.tick().catch((error: Error) => this.#log.error(error.message))
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

  /** What was proven of the mode before says nothing of this one. */
  #onMode(mode: Config['mode']): void {
    this.#canary.again()
    this.#notify(`STATUS=mode ${mode}`)
  }

  async #prove(): Promise<void> {
    const { canary, mode } = this.#inForce.config
    const changed = await this.#canary.tick(canary.target, canary.interval, Date.now())
    if (changed && !this.#canary.proven && mode === 'enforce')
      this.#log.error(this.#canary.disproof(canary.target.host))
  }

  #canaryBlocks(): number {
    let packets = 0
    for (const count of this.#counts.counts())
      if (count.reason === CANARY.reason && count.verdict === 'block' && count.protocol === 'tcp')
        packets += count.packets
    return packets
  }

  #onFault(error: Error, isJudged = false): void {
    this.#metrics.faults.inc()
    if (Date.now() - this.#lastFault < FAULT_LOG_MS) return
    this.#lastFault = Date.now()
    const { mode } = this.#inForce.config
    const fate = mode === 'observe' ? 'would have been blocked' : 'was blocked'
    const what = isJudged
      ? 'it could not be found out who sent a packet'
      : `a packet could not be judged and ${fate}`
    this.#log.error({ stack: error.stack }, `${what}: ${error.message}`)
  }

  #openBlockLog({ log: { destination } }: Config): BlockLog {
    const options = {
      destination,
      userName: this.#users.nameOf,
      domainOf: this.#domainOf,
      onTrouble: (error: NodeJS.ErrnoException) => {
        this.#report.noteLogTrouble(error)
        this.#log.error(troubleText(destination, error))
      },
      onRecovery: (lost: number) => this.#log.warn(recoveryText(destination, lost)),
    }
    return new BlockLog(options, performance.now())
  }

  /** What both metrics and status are made of. */
  #figures({ queue }: Config) {
    return {
      userName: this.#users.nameOf,
      log: () => this.#blockLog.stats,
      kernelCounters: () => counters().catch(() => undefined),
      queue: () => readQueueStatus(queue.first),
      inbound: () => this.#inbound.statistics(),
      conntrack: readConntrackRoom,
    }
  }

  #createReport(config: Config): StatusReport {
    return new StatusReport({
      ...this.#figures(config),
      inForce: this.#inForce,
      form: this.#firewall.form,
      canary: this.#canary,
      counts: this.#counts,
      lastBlocks: () => this.#blockLog.last,
    })
  }

  #createMetrics(config: Config): Metrics {
    return createMetrics({
      ...this.#figures(config),
      version: VERSION,
      verdicts: this.#counts,
      answers: this.#answers,
      attributions: () => this.#valve.attribution.stats,
      allowlist: () => entriesBySource(this.#inForce.rules.policy),
      enforcing: () => this.#inForce.rules.policy.mode === 'enforce',
      proven: () => this.#canary.proven,
    })
  }

  #serveHttp(): Promise<HttpServer> {
    const { metrics } = this.#inForce.config
    return HttpServer.listen({
      listen: metrics.listen,
      metricsPath: metrics.path,
      registry: this.#metrics.registry,
      version: VERSION,
      unready: () => [
        ...(isOpen(this.#queue) ? [] : ['the queue is not bound']),
        ...(isOpen(this.#questions) && isOpen(this.#answerQueue)
          ? []
          : ['the queues for names are not bound']),
        ...(this.#firewall.present ? [] : ['the firewall rules are not loaded']),
      ],
      onTrouble: (error) =>
        this.#log.error(`metrics and health pages start anew after a fault: ${error.message}`),
    })
  }

  #serveControl(): Promise<ControlServer> {
    return ControlServer.listen({
      path: this.#inForce.config.control.socket,
      routes: [
        { method: 'GET', path: '/v1/status', handle: () => this.#report.status() },
        { method: 'GET', path: '/v1/passed', handle: () => this.#passedKeeper.status() },
        explainRoute(() => this.#world()),
        ...runtimeRoutes({
          inForce: this.#inForce,
          store: this.#entries,
          userName: this.#users.nameOf,
          log: this.#log,
        }),
      ],
      onFault: (error) =>
        this.#log.error({ stack: error.stack }, `a control request failed: ${error.message}`),
    })
  }

  /** From what questions are answered. */
  #world(): World {
    return serviceWorld({
      inForce: this.#inForce,
      inbound: this.#inbound,
      seen: this.#seenNames,
      domainOf: this.#domainOf,
      users: this.#users,
    })
  }

  #announce(): void {
    const { host, findings, config } = this.#inForce
    const { mode, queue, metrics, log, notes } = config
    this.#log.info(
      `checkvalve ${VERSION}: mode ${mode}, queue ${queue.first} (${this.#firewall.form} form), ` +
        `metrics http://${metrics.listen.host}:${metrics.listen.port}${metrics.path}, blocks in ${log.destination}`,
    )
    if (mode === 'observe')
      this.#log.warn(
        'mode is observe: nothing is blocked, only recorded; set `mode: enforce` to close the valve',
      )
    this.#log.info(findings)
    const units = config.allow.some((entry) => entry.units !== undefined) && this.#valve.attribution.trouble
    for (const note of [...notes, ...host.notes, ...(units ? [units] : [])]) this.#log.warn(note)
    this.#notify(`READY=1\nSTATUS=mode ${mode}`)
  }

  #noteReload(problems: readonly string[]): void {
    const good = problems.length === 0
    this.#metrics.reloadSuccessful.set(good ? 1 : 0)
    if (good) this.#metrics.reloadTime.setToCurrentTime()
    this.#report.noteReload(problems)
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
    await this.#inForce.learned.stop()
    await this.#passedKeeper.write().catch((error: Error) => this.#log.warn(error.message))
    this.#heartbeat.close()
    this.#queue?.close()
    this.#questions?.close()
    this.#answerQueue?.close()
    this.#inbound.close()
    this.#valve.attribution.close()
    this.#firewall.close()
    this.#http?.close()
    this.#control?.close()
    const lost = await this.#blockLog.close()
    if (lost > 0) this.#log.error(lossText(this.#inForce.config.log.destination, lost))
  }
}

const isOpen = (queue: Queue | undefined) => queue !== undefined && !queue.closed
