import type { Quarantined } from '../core/ruleset/ruleset.js'
import { counter, gauge, type Named } from './collected-metrics.js'

/** What the metrics of tripwire and quarantine read. */
export interface ContainmentSources {
  readonly containment: () => {
    /** Alerts since the start. */
    readonly alerts: number
    readonly quarantined: readonly Quarantined[]
  }
}

export function containmentMetrics({ containment }: ContainmentSources, named: Named): void {
  counter(
    named(
      'tripwire_alerts_total',
      'Times that a user was blocked at many new destinations in a short time, as a worm is',
    ),
    (metric) => metric.inc(containment().alerts),
  )
  gauge(
    named('quarantined_users', 'Users in quarantine, who may open no connection'),
    () => new Set(containment().quarantined.map(({ uid }) => uid)).size,
  )
}
