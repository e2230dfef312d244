import type { Containment } from '../containment/containment.js'
import { entriesBySource } from '../core/policy/allowlist.js'
import type { QueueForm } from '../core/ruleset/ruleset.js'
import { readConntrackUsage } from '../kernel/conntrack/usage.js'
import { counters } from '../kernel/nftables/nft.js'
import { readQueueStatus } from '../kernel/proc/queue-counters.js'
import type { PacketPath } from '../packet-path/packet-path.js'
import type { PolicyInForce } from '../policy/policy-in-force.js'
import type { BlockLog } from '../records/block-log/block-log.js'
import type { InboundWatch } from '../sessions/inbound-watch.js'
import type { Users } from '../system/users.js'
import { VERSION } from '../system/version.js'
import { type HttpOptions, HttpServer } from './http/server.js'
import { createMetrics, type Metrics } from './metrics.js'
import { StatusReport } from './status-report.js'

/** The parts of the service that metrics and status read. */
export interface MeasuredParts {
  readonly form: QueueForm
  readonly users: Pick<Users, 'nameOf'>
  readonly inForce: PolicyInForce
  readonly inbound: Pick<InboundWatch, 'statistics'>
  readonly blockLog: Pick<BlockLog, 'stats' | 'last' | 'trouble'>
  readonly containment: Pick<Containment, 'alerts' | 'quarantined'>
  readonly path: Pick<PacketPath, 'counts' | 'answers' | 'canary' | 'attribution'>
}

/** The metrics and the status of the running service, both read from the same parts. */
export class Telemetry {
  readonly metrics: Metrics
  readonly report: StatusReport
  #http: HttpServer | undefined

  constructor(parts: MeasuredParts) {
    this.metrics = createServiceMetrics(parts)
    this.report = createStatusReport(parts)
  }

  /** Serves metrics and health over HTTP. @throws Error (rejects) of node:net, e.g. EADDRINUSE */
  async listen(options: Omit<HttpOptions, 'registry'>): Promise<void> {
    const { registry } = this.metrics
    this.#http = await HttpServer.listen({ ...options, registry })
  }

  /** Waits until the pages answer. */
  async answers(): Promise<void> {
    await this.#http?.answers()
  }

  close(): void {
    this.#http?.close()
  }

  /**
   * Notes the outcome of a reload.
   * @param problems why the configuration was refused, a line each; empty: it was taken
   * @param needsRestart see ReloadStatus
   */
  noteReload(problems: readonly string[], needsRestart: readonly string[] = []): void {
    const isTaken = problems.length === 0
    this.metrics.reloadSuccessful.set(isTaken ? 1 : 0)
    if (isTaken) this.metrics.reloadTime.setToCurrentTime()
    this.report.noteReload(problems, needsRestart)
  }
}

function createServiceMetrics(parts: MeasuredParts): Metrics {
  const { inForce, path } = parts
  return createMetrics({
    ...figures(parts),
    version: VERSION,
    verdicts: path.counts,
    answers: path.answers,
    lookups: () => inForce.learned.lookups,
    attributions: () => path.attribution.stats,
    capacity: { queue: inForce.config.queue.maxLength, sessions: inForce.config.sessions.capacity },
    allowlist: () => entriesBySource(inForce.rules.policy),
    enforcing: () => inForce.rules.policy.mode === 'enforce',
    proven: () => path.canary.proven,
    proofs: () => path.canary.proofs,
  })
}

function createStatusReport(parts: MeasuredParts): StatusReport {
  const { form, inForce, path, blockLog } = parts
  const { canary, counts } = path
  return new StatusReport({
    ...figures(parts),
    ...{ inForce, form, canary, counts },
    lastBlocks: () => blockLog.last,
    logTrouble: () => blockLog.trouble,
  })
}

/** The sources that metrics and status share. */
const figures = ({ users, blockLog, inForce, inbound, containment }: MeasuredParts) => ({
  containment: () => containment,
  userName: users.nameOf,
  log: () => blockLog.stats,
  kernelCounters: () => counters().catch(() => undefined),
  queue: () => readQueueStatus(inForce.config.queue.first),
  inbound: () => inbound.statistics(),
  conntrack: readConntrackUsage,
})
