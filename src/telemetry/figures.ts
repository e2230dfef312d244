/** The figures of the running service, which metrics and status are made of. */

import type { Attribution } from '../attribution.js'
import type { Canary } from '../canary.js'
import { entriesBySource } from '../core/policy.js'
import type { QueueForm } from '../core/ruleset.js'
import type { InboundWatch } from '../inbound.js'
import { readConntrackRoom } from '../kernel/conntrack-room.js'
import { counters } from '../kernel/nft.js'
import { readQueueStatus } from '../kernel/queue-status.js'
import type { PolicyInForce } from '../policy-in-force.js'
import type { BlockLog } from '../report/blocklog.js'
import { createMetrics, type Metrics } from '../report/metrics.js'
import type { VerdictCounts } from '../report/verdicts.js'
import type { AnswerStats } from '../resolver-watch.js'
import { StatusReport } from '../status/status-report.js'
import type { Users } from '../users.js'
import { VERSION } from '../version.js'

/** The parts of the service that are asked for figures. */
export interface MeasuredParts {
  readonly form: QueueForm
  readonly users: Pick<Users, 'nameOf'>
  readonly inForce: PolicyInForce
  readonly inbound: Pick<InboundWatch, 'statistics'>
  readonly blockLog: Pick<BlockLog, 'stats' | 'last'>
  readonly canary: Pick<Canary, 'proven'>
  readonly counts: VerdictCounts
  readonly answers: AnswerStats
  readonly attribution: Pick<Attribution, 'stats'>
}

export function createServiceMetrics(parts: MeasuredParts): Metrics {
  const { inForce, attribution, canary, counts, answers } = parts
  return createMetrics({
    ...figures(parts),
    version: VERSION,
    verdicts: counts,
    answers,
    attributions: () => attribution.stats,
    allowlist: () => entriesBySource(inForce.rules.policy),
    enforcing: () => inForce.rules.policy.mode === 'enforce',
    proven: () => canary.proven,
  })
}

export function createStatusReport(parts: MeasuredParts): StatusReport {
  const { form, inForce, canary, counts, blockLog } = parts
  return new StatusReport({
    ...figures(parts),
    ...{ inForce, form, canary, counts },
    lastBlocks: () => blockLog.last,
  })
}

/** What both are made of. */
const figures = ({ users, blockLog, inForce, inbound }: MeasuredParts) => ({
  userName: users.nameOf,
  log: () => blockLog.stats,
  kernelCounters: () => counters().catch(() => undefined),
  queue: () => readQueueStatus(inForce.config.queue.first),
  inbound: () => inbound.statistics(),
  conntrack: readConntrackRoom,
})
