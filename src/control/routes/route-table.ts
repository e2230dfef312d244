import { type ServiceParts, serviceContext } from '../../analysis/explain/service-context.js'
import type { Containment } from '../../containment/containment.js'
import type { RuntimeEntriesFile } from '../../policy/runtime-entries-file.js'
import type { AcceptedFlowsFile } from '../../records/accepted-flows-file.js'
import type { ServiceLog } from '../../system/service-log.js'
import type { StatusReport } from '../../telemetry/status-report.js'
import type { Route } from '../router.js'
import { explainRoute } from './explain.js'
import { releaseRoute } from './release.js'
import { runtimeRoutes } from './runtime.js'

/** The parts of the service that requests to the control socket need. */
export interface RoutedParts extends ServiceParts {
  readonly report: Pick<StatusReport, 'status'>
  readonly passed: Pick<AcceptedFlowsFile, 'status'>
  readonly store: Pick<RuntimeEntriesFile, 'origin'>
  readonly containment: Pick<Containment, 'release' | 'holds'>
  readonly log: Pick<ServiceLog, 'info' | 'warn'>
}

/** Lists all routes of the control socket. */
export function routeTable(parts: RoutedParts): Route[] {
  const { report, passed, inForce, store, containment, users, log } = parts
  return [
    { method: 'GET', path: '/v1/status', handle: () => report.status() },
    { method: 'GET', path: '/v1/passed', handle: () => passed.status() },
    explainRoute(() => serviceContext(parts)),
    releaseRoute(containment),
    ...runtimeRoutes({ inForce, store, userName: users.nameOf, log }),
  ]
}
