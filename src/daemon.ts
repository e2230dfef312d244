/** Builds all parts of the service, and starts, reloads and stops them. */
import { hasNetAdmin } from 'node-netfilter-queue/system'
import type { Config } from './config/config.js'
import { Containment } from './containment/containment.js'
import { routeTable } from './control/routes/route-table.js'
import { ControlServer } from './control/server.js'
import { refusedName } from './core/dns/query-policy.js'
import type { Packet } from './core/packet/packet.js'
import type { QueueForm } from './core/ruleset/ruleset.js'
import { BootFile } from './kernel/nftables/boot-file.js'
import { Firewall } from './kernel/nftables/firewall.js'
import { type KernelAbilities, kernelAbilities } from './kernel/nftables/kernel-abilities.js'
import { RulesetGuard } from './kernel/nftables/ruleset-guard.js'
import { PacketPath } from './packet-path/packet-path.js'
import { PolicyInForce } from './policy/policy-in-force.js'
import { RuntimeEntriesFile } from './policy/runtime-entries-file.js'
import { AcceptedFlowsFile } from './records/accepted-flows-file.js'
import { BlockLog } from './records/block-log/block-log.js'
import { InboundWatch } from './sessions/inbound-watch.js'
import { Periodic } from './system/periodic.js'
import type { ServiceLog } from './system/service-log.js'
import { Systemd } from './system/systemd.js'
import { createUsers } from './system/users.js'
import { logStart } from './telemetry/start-log.js'
import { Telemetry } from './telemetry/telemetry.js'

const TICK_MS = 1000

/** The running service. */
export class Daemon {
  #isStopping = false
  readonly #log: ServiceLog
  readonly #systemd: Systemd
  readonly #periodic: Periodic
  readonly #users = createUsers()
  readonly #inbound: InboundWatch
  readonly #firewall: Firewall
  readonly #guard: RulesetGuard
  readonly #boot: BootFile
  readonly #blockLog: BlockLog
  readonly #entries: RuntimeEntriesFile
  readonly #accepted: AcceptedFlowsFile
  readonly #inForce: PolicyInForce
  readonly #containment: Containment
  readonly #path: PacketPath
  readonly #telemetry: Telemetry
  #control: ControlServer | undefined

  /**
   * Starts the service. When a part fails to start, all parts are closed again.
   * @throws Error (rejects) of the part that failed, with a message for the operator
   */
  static async start(config: Config, log: ServiceLog): Promise<Daemon> {
    if (!hasNetAdmin())
      throw new Error(
        'CAP_NET_ADMIN is needed to judge packets: run as root, or by the systemd unit, which grants it',
      )
    const daemon = new Daemon(config, await kernelAbilities(config.firewall.queue), log)
    try {
      await daemon.#start()
      return daemon
    } catch (error) {
      await daemon.#close()
      throw error
    }
  }

  private constructor(config: Config, abilities: KernelAbilities, log: ServiceLog) {
    const { nameOf } = this.#users
    const { directory } = config.state
    this.#log = log
    this.#systemd = new Systemd(process.env, log)
    this.#periodic = new Periodic(this.#report)
    this.#inbound = new InboundWatch(config.sessions)
    const { form } = abilities
    const queues = { ...abilities, queue: config.queue, mask: config.firewall.mark.mask }
    this.#firewall = new Firewall(queues, Date.now, {
      onChange: () => this.#guard.onChange(),
      onTableGone: () => this.#guard.onTableGone(),
    })
    this.#guard = this.#createGuard()
    this.#boot = new BootFile(this.#firewall, directory, log)
    const { destination } = config.log
    const domainOf: PacketPath['domainOf'] = (...address) => this.#path.domainOf(...address)
    const refused = (packet: Packet) => refusedName(packet, this.#inForce.rules.policy.queryPolicy)
    this.#blockLog = new BlockLog(
      { destination, userName: nameOf, domainOf, refusedName: refused, log },
      performance.now(),
    )
    this.#entries = new RuntimeEntriesFile(directory, log)
    this.#accepted = new AcceptedFlowsFile(directory, nameOf, log)
    this.#inForce = this.#createPolicy(config)
    this.#containment = this.#createContainment(directory)
    this.#path = this.#createPacketPath(form)
    this.#telemetry = new Telemetry({
      form,
      path: this.#path,
      users: this.#users,
      inForce: this.#inForce,
      inbound: this.#inbound,
      blockLog: this.#blockLog,
      containment: this.#containment,
    })
  }

  #createContainment(directory: string): Containment {
    return new Containment({
      policy: () => this.#inForce.rules.policy,
      settings: () => this.#inForce.config.containment,
      isResolver: (uid) => this.#inForce.host.facts.resolverUsers.includes(uid),
      domainOf: ({ family, destination }, uid) => this.#path.domainOf(family, destination, uid),
      firewall: this.#firewall,
      blockLog: this.#blockLog,
      counts: () => this.#path.counts,
      directory,
      log: this.#log,
    })
  }

  #createGuard(): RulesetGuard {
    return new RulesetGuard({
      firewall: this.#firewall,
      onRestored: () => {
        this.#telemetry.metrics.rulesetRestored.inc()
        this.#log.warn('the firewall rules were gone or changed by another program; they were put back')
      },
      onError: this.#report,
    })
  }

  #createPolicy(config: Config): PolicyInForce {
    return new PolicyInForce(config, {
      firewall: this.#firewall,
      inbound: this.#inbound,
      log: this.#log,
      store: this.#entries,
      isBusy: () => this.#path.queues.isBusy,
      onLookedUp: () => this.#telemetry.metrics.mirrorSuccess.setToCurrentTime(),
      onLookUpFailed: () => this.#telemetry.metrics.resolveFailures.inc(),
      onMode: (mode) => {
        this.#path.canary.reset()
        this.#systemd.mode(mode)
      },
    })
  }

  #createPacketPath(form: QueueForm): PacketPath {
    return new PacketPath({
      form,
      inForce: this.#inForce,
      inbound: this.#inbound.inbound,
      turnedAround: this.#inbound.turnedAround,
      blockLog: this.#blockLog,
      containment: this.#containment,
      passed: this.#accepted.flows,
      log: this.#log,
      onFault: () => this.#telemetry.metrics.faults.inc(),
      onBatch: (seconds) => this.#telemetry.metrics.verdictDuration.observe(seconds),
    })
  }

  async #start(): Promise<void> {
    this.#systemd.starting()
    await this.#inbound.start().catch((error: Error) => {
      throw new Error(`the connections of this host cannot be read: ${error.message}`)
    })
    const stages = [
      () => this.#inForce.prepare(),
      () => this.#path.open(),
      () => this.#listen(),
      () => this.#inForce.start(),
      () => this.#containment.start(),
    ]
    for (const stage of stages) {
      this.#systemd.starting()
      await stage()
    }
    this.#path.beat()
    for (const work of this.#eachSecond) this.#periodic.every(TICK_MS, work)
    this.#systemd.feedWatchdog(this.#periodic, () => this.#path.queues.isJudging())
    this.#telemetry.noteReload([])
    logStart(this.#inForce, this.#firewall.form, this.#path.attribution.trouble, this.#log)
    await this.#telemetry.answers()
    this.#systemd.ready(this.#inForce.config.mode)
  }

  /** Opens metrics, health and the control socket. */
  async #listen(): Promise<void> {
    const { metrics, control } = this.#inForce.config
    await this.#telemetry.listen({ ...metrics, unready: this.#unready, log: this.#log })
    const routes = routeTable({
      inForce: this.#inForce,
      inbound: this.#inbound,
      users: this.#users,
      store: this.#entries,
      seen: this.#path.seen,
      domainOf: this.#path.domainOf,
      report: this.#telemetry.report,
      containment: this.#containment,
      passed: this.#accepted,
      log: this.#log,
    })
    this.#control = await ControlServer.listen({ path: control.socket, routes, log: this.#log })
  }

  /** Lists what keeps the service from being ready. */
  readonly #unready = (): string[] => [
    ...this.#path.queues.unready,
    ...(this.#firewall.loaded ? [] : ['the firewall rules are not loaded']),
  ]

  readonly #eachSecond: readonly (() => void | Promise<void>)[] = [
    () => this.#path.beat(),
    () => this.#followSockets(),
    () => this.#inForce.followConntrack(),
    () => this.#path.expire(),
    () => this.#followNames(),
    () => this.#inForce.followHost(),
    () => this.#inForce.followTime(),
    () => this.#inForce.retryWrites(performance.now()),
    () => this.#guard.verify(),
    () => this.#boot.tick(performance.now()),
    () => this.#path.canary.tick(this.#inForce.config, Date.now()),
    () => this.#containment.tick(performance.now()),
    () => this.#blockLog.tick(performance.now()),
    () => this.#telemetry.report.tick(),
    () => this.#accepted.tick(performance.now()),
  ]

  async #followSockets(): Promise<void> {
    await this.#inbound.tick()
    await this.#firewall.setFacts(this.#inbound.facts())
  }

  /** Does not wait for the state file: while a disk hangs, addresses of names must still expire. */
  #followNames(): void {
    this.#inForce.learned.tick().catch(this.#report)
  }

  readonly #report = ({ message }: Error): void => this.#log.error(message)

  /**
   * Takes a new configuration, as PolicyInForce.reload does.
   * @throws CommandError (rejects) and then the old one is in force
   */
  async reload(wanted: Config): Promise<void> {
    const needsRestart = await this.#inForce.reload(wanted)
    if (!this.#isStopping) this.#telemetry.noteReload([], needsRestart)
  }

  /** Notes a refused reload in metrics and status. @param problems a line each */
  noteRefusedReload(problems: readonly string[]): void {
    this.#telemetry.noteReload(problems)
  }

  reopenLog(): void {
    this.#blockLog.reopen()
  }

  /** Whether the disk of the block log does not answer. Then only SIGKILL ends the process. */
  get hangs(): boolean {
    return this.#blockLog.hangs
  }

  /**
   * Stops in good order. A second call does nothing.
   * @param wasStarting whether the start was not over when the service was told to stop
   */
  async stop(wasStarting: boolean): Promise<void> {
    if (this.#isStopping) return
    this.#isStopping = true
    this.#systemd.stopping()
    this.#control?.retire()
    this.#periodic.stop()
    this.#guard.stop()
    await this.#containment.end()
    // The rules are removed first: while they are loaded, the kernel's fallback judges what the queue no longer takes.
    const isRemoved = await this.#inForce.stop(this.#systemd.keepsRules(wasStarting))
    this.#path.release()
    await this.#close()
    this.#log.info(
      `stopped; ${isRemoved ? 'the firewall rules were removed' : 'the kernel keeps the last allowlist'}`,
    )
  }

  /** Closes all parts. The firewall rules stay as they are. */
  async #close(): Promise<void> {
    this.#periodic.stop()
    await this.#inForce.learned.stop()
    await this.#accepted.write().catch((error: Error) => this.#log.warn(error.message))
    this.#path.close()
    this.#inbound.close()
    this.#firewall.close()
    this.#telemetry.close()
    this.#control?.close()
    await this.#blockLog.close()
  }
}
