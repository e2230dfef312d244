/** The service: it builds all parts, and starts, reloads and stops them. */
import { hasNetAdmin } from 'node-netfilter-queue/system'
import type { Config } from './config/config.js'
import { routeTable } from './control/routes/route-table.js'
import { ControlServer } from './control/server.js'
import { AcceptedFlows } from './core/record/accepted-flows.js'
import type { QueueForm } from './core/ruleset/ruleset.js'
import { chooseForm, Firewall } from './kernel/nftables/firewall.js'
import { presentUntracksLoopback } from './kernel/nftables/nft.js'
import { RulesetGuard } from './kernel/nftables/ruleset-guard.js'
import { PacketPath } from './packet-path/packet-path.js'
import { PolicyInForce } from './policy/policy-in-force.js'
import { RuntimeEntriesFile } from './policy/runtime-entries-file.js'
import { AcceptedFlowsFile } from './records/accepted-flows-file.js'
import { BlockLog } from './records/block-log/block-log.js'
import { lossText, recoveryText, troubleText } from './records/block-log/trouble-text.js'
import { InboundWatch } from './sessions/inbound-watch.js'
import { Periodic } from './system/periodic.js'
import type { ServiceLog } from './system/service-log.js'
import { Systemd } from './system/systemd.js'
import { createUsers } from './system/users.js'
import { VERSION } from './system/version.js'
import { createServiceMetrics, createStatusReport } from './telemetry/figures.js'
import { HttpServer } from './telemetry/http/server.js'
import type { Metrics } from './telemetry/metrics.js'
import { logStart } from './telemetry/start-log.js'
import type { StatusReport } from './telemetry/status-report.js'

/** Kinds of what was accepted that are remembered, to try other rules on. */
const PASSED_KINDS = 4096
const TICK_MS = 1000

export class Daemon {
  #stopping = false
  readonly #log: ServiceLog
  readonly #systemd: Systemd
  readonly #periodic: Periodic
  readonly #users = createUsers()
  readonly #blockLog: BlockLog
  readonly #inbound: InboundWatch
  readonly #firewall: Firewall
  readonly #guard: RulesetGuard
  readonly #entries: RuntimeEntriesFile
  readonly #inForce: PolicyInForce
  readonly #passed = new AcceptedFlows(PASSED_KINDS, crypto.getRandomValues(new Uint32Array(2)))
  readonly #passedKeeper: AcceptedFlowsFile
  readonly #path: PacketPath
  readonly #metrics: Metrics
  readonly #report: StatusReport
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
    this.#systemd = new Systemd(process.env, log)
    this.#periodic = new Periodic((error) => log.error(error.message))
    this.#inbound = new InboundWatch(config.sessions)
    this.#firewall = new Firewall(
      { form, queue: config.queue, mask: config.firewall.mark.mask },
      Date.now,
      () => this.#guard.onChange(),
    )
    this.#guard = this.#createGuard()
    this.#blockLog = this.#openBlockLog(config)
    this.#entries = new RuntimeEntriesFile(config.state.directory, log)
    this.#passedKeeper = new AcceptedFlowsFile(config.state.directory, this.#passed, this.#users.nameOf)
    this.#passedKeeper.read()
    this.#inForce = this.#createPolicy(config)
    this.#path = this.#createPacketPath(form)
    const { counts, answers, canary, attribution } = this.#path
    const measured = {
      ...{ form, counts, answers, canary, attribution, users: this.#users },
      ...{ inForce: this.#inForce, inbound: this.#inbound, blockLog: this.#blockLog },
    }
    this.#metrics = createServiceMetrics(measured)
    this.#report = createStatusReport(measured)
  }

  #createGuard(): RulesetGuard {
    return new RulesetGuard({
      firewall: this.#firewall,
      onRestored: () => {
        this.#metrics.rulesetRestored.inc()
        this.#log.warn('the firewall rules were gone or changed by another program; they were put back')
      },
      onError: (error) => this.#log.error(error.message),
    })
  }

  #openBlockLog({ log: { destination } }: Config): BlockLog {
    const options = {
      destination,
      userName: this.#users.nameOf,
      domainOf: (...asked: Parameters<PacketPath['domainOf']>) => this.#path.domainOf(...asked),
      onTrouble: (error: NodeJS.ErrnoException) => {
        this.#report.noteLogTrouble(error)
        this.#log.error(troubleText(destination, error))
      },
      onRecovery: (lost: number) => this.#log.warn(recoveryText(destination, lost)),
    }
    return new BlockLog(options, performance.now())
  }

  #createPolicy(config: Config): PolicyInForce {
    return new PolicyInForce(config, {
      firewall: this.#firewall,
      inbound: this.#inbound,
      log: this.#log,
      store: this.#entries,
      isBusy: () => this.#path.queues.isBusy,
      onLookedUp: () => this.#metrics.mirrorSuccess.setToCurrentTime(),
      onLookUpFailed: () => this.#metrics.resolveFailures.inc(),
      onMode: (mode) => this.#onMode(mode),
    })
  }

  /** What was proven of the mode before says nothing of this one. */
  #onMode(mode: Config['mode']): void {
    this.#path.canary.reset()
    this.#systemd.mode(mode)
  }

  #createPacketPath(form: QueueForm): PacketPath {
    return new PacketPath({
      form,
      inForce: this.#inForce,
      inbound: this.#inbound.inbound,
      blockLog: this.#blockLog,
      passed: this.#passed,
      log: this.#log,
      onFault: () => this.#metrics.faults.inc(),
      onBatch: (seconds) => this.#metrics.verdictDuration.observe(seconds),
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
    this.#systemd.stopping()
    this.#control?.retire()
    this.#periodic.stop()
    this.#guard.stop()
    const { onStop } = this.#inForce.config
    // The table first: while it stands, the kernel's fallback judges what the queue no longer takes.
    await this.#inForce.stop(async () => {
      if (onStop === 'remove') await this.#removeRules()
    })
    this.#path.release()
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
    await this.#inbound.start().catch((error: Error) => {
      throw new Error(`the connections of this host cannot be read: ${error.message}`)
    })
    await this.#inForce.prepare()
    await this.#path.open()
    this.#http = await this.#serveHttp()
    this.#control = await this.#serveControl()
    const untracked = await presentUntracksLoopback()
    await this.#inForce.start()
    if (untracked && this.#inForce.pressure === 'none') await this.#inbound.forgetLoopback()
    // Those of the moment before the rules stood.
    await this.#inbound.findOpened()
    await this.#firewall.setFacts(this.#inbound.facts())
    this.#path.beat()
    this.#startTimers()
    this.#noteReload([])
    logStart(this.#inForce, this.#firewall.form, this.#path.attribution.trouble, this.#log)
    this.#systemd.ready(this.#inForce.config.mode)
  }

  #startTimers(): void {
    this.#periodic.every(TICK_MS, () => this.#path.beat())
    this.#periodic.every(TICK_MS, () => this.#watchClients())
    this.#periodic.every(TICK_MS, () => this.#inForce.followRoom())
    this.#periodic.every(TICK_MS, () => this.#watchNames())
    this.#periodic.every(TICK_MS, () => this.#inForce.followHost())
    this.#periodic.every(TICK_MS, () => this.#inForce.followTime())
    this.#periodic.every(TICK_MS, () => this.#entries.tick(Date.now()))
    this.#periodic.every(TICK_MS, () => this.#guard.verify())
    this.#periodic.every(TICK_MS, () => this.#path.canary.tick(this.#inForce.config, Date.now()))
    this.#periodic.every(TICK_MS, () => this.#blockLog.tick(performance.now()))
    this.#periodic.every(TICK_MS, () => this.#report.tick())
    this.#periodic.every(TICK_MS, () => this.#passedKeeper.tick(Date.now()))
    this.#systemd.feedWatchdog(this.#periodic)
  }

  async #watchClients(): Promise<void> {
    await this.#inbound.tick()
    await this.#firewall.setFacts(this.#inbound.facts())
  }

  /** Not awaited: a disk that hangs must not stop the time of names. */
  #watchNames(): void {
    this.#path.expire()
    this.#inForce.learned.tick().catch((error: Error) => this.#log.error(error.message))
  }

  #serveHttp(): Promise<HttpServer> {
    const { metrics } = this.#inForce.config
    return HttpServer.listen({
      listen: metrics.listen,
      metricsPath: metrics.path,
      registry: this.#metrics.registry,
      version: VERSION,
      unready: () => [
        ...this.#path.queues.unready,
        ...(this.#firewall.present ? [] : ['the firewall rules are not loaded']),
      ],
      onTrouble: (error) =>
        this.#log.error(`metrics and health pages start anew after a fault: ${error.message}`),
    })
  }

  #serveControl(): Promise<ControlServer> {
    return ControlServer.listen({
      path: this.#inForce.config.control.socket,
      routes: routeTable({
        ...{ inForce: this.#inForce, inbound: this.#inbound, users: this.#users, store: this.#entries },
        ...{ seen: this.#path.seen, domainOf: this.#path.domainOf },
        ...{ report: this.#report, passed: this.#passedKeeper, log: this.#log },
      }),
      onFault: (error) =>
        this.#log.error({ stack: error.stack }, `a control request failed: ${error.message}`),
    })
  }

  #noteReload(problems: readonly string[]): void {
    const good = problems.length === 0
    this.#metrics.reloadSuccessful.set(good ? 1 : 0)
    if (good) this.#metrics.reloadTime.setToCurrentTime()
    this.#report.noteReload(problems)
  }

  /** Closes everything that is open, and leaves the firewall as it is. */
  async #abandon(): Promise<void> {
    this.#periodic.stop()
    await this.#inForce.learned.stop()
    await this.#passedKeeper.write().catch((error: Error) => this.#log.warn(error.message))
    this.#path.close()
    this.#inbound.close()
    this.#firewall.close()
    this.#http?.close()
    this.#control?.close()
    const lost = await this.#blockLog.close()
    if (lost > 0) this.#log.error(lossText(this.#inForce.config.log.destination, lost))
  }
}
