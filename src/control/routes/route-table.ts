import { explainRoute } from '../../explain/route.js'
import { type ServiceParts, serviceWorld } from '../../explain/service.js'
import type { PassedKeeper } from '../../report/passed-keeper.js'
import type { ServiceLog } from '../../report/service-log.js'
import { runtimeRoutes } from '../../runtime/routes.js'
import type { EntryStore } from '../../runtime/store.js'
import type { StatusReport } from '../../status/status-report.js'
import type { Route } from '../router.js'

/** The parts of the service that requests of the control socket are answered from. */
export interface RoutedParts extends ServiceParts {
  readonly report: Pick<StatusReport, 'status'>
  readonly passed: Pick<PassedKeeper, 'status'>
  readonly store: Pick<EntryStore, 'origin'>
  readonly log: Pick<ServiceLog, 'info' | 'warn'>
}

/** All requests that the control socket takes. */
export function routeTable(parts: RoutedParts): Route[] {
  const { report, passed, inForce, store, users, log } = parts
  return [
    { method: 'GET', path: '/v1/status', handle: () => report.status() },
    { method: 'GET', path: '/v1/passed', handle: () => passed.status() },
    explainRoute(() => serviceWorld(parts)),
    ...runtimeRoutes({ inForce, store, userName: users.nameOf, log }),
  ]
}
