import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { IPPROTO_TCP, IPPROTO_UDP } from '../core/packet/ip.js'
import type { AttributionOutcome } from '../core/packet/sender.js'
import type { VerdictCounts } from '../core/record/verdict-counts.js'
import type { KernelCounter } from '../core/ruleset/ruleset.js'
import { SOURCES } from '../core/session/session-table.js'
import type { ConntrackUsage } from '../kernel/conntrack/usage.js'
import type { QueueStatus } from '../kernel/proc/queue-counters.js'
import type { LookupCounts } from '../names/name-refresher.js'
import type { Proofs } from '../packet-path/canary.js'
import type { AnswerStats } from '../packet-path/dns-watch.js'
import type { BlockLogStats } from '../records/block-log/block-log.js'
import type { InboundStatistics } from '../sessions/inbound-watch.js'
import { counter, gauge, type Named } from './collected-metrics.js'
import { type ContainmentSources, containmentMetrics } from './containment-metrics.js'
import { collectProcessMetrics } from './process-metrics.js'

/** The sources of the metrics. They are read only during a scrape. */
export interface MetricSources extends ContainmentSources {
  readonly version: string
  readonly verdicts: VerdictCounts
  readonly userName: (uid: number) => string | undefined
  readonly log: () => BlockLogStats
  /** Packets by the kernel's own paths; undefined when the counters cannot be read. */
  readonly kernelCounters: () => Promise<ReadonlyMap<KernelCounter, number> | undefined>
  readonly queue: () => QueueStatus | undefined
  /** Packets that may wait, and sessions that the table holds. */
  readonly capacity: { readonly queue: number; readonly sessions: number }
  readonly inbound: () => InboundStatistics
  readonly answers: AnswerStats
  /** Allowed names by the result of their last look-up. */
  readonly lookups: () => LookupCounts
  readonly attributions: () => Readonly<Record<AttributionOutcome, number>>
  readonly conntrack: () => ConntrackUsage | undefined
  /** Addresses and prefixes by the kind of rule. */
  readonly allowlist: () => Iterable<readonly [source: string, entries: number]>
  readonly enforcing: () => boolean
  /** Whether the last canary connections of all families were blocked; undefined: not known. */
  readonly proven: () => boolean | undefined
  /** The result of each family. */
  readonly proofs: () => Proofs
}

const PREFIX = 'checkvalve_'
/** Seconds. A verdict takes microseconds; after a second it comes too late. */
const DURATION_BUCKETS = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1]

const PROTOCOLS = [
  ['tcp', IPPROTO_TCP],
  ['udp', IPPROTO_UDP],
] as const

export interface Metrics {
  readonly registry: Registry
  /** Seconds from the arrival of a batch of packets to its verdicts; one observation for each batch. */
  readonly verdictDuration: Histogram
  readonly resolveFailures: Counter
  readonly mirrorSuccess: Gauge
  readonly rulesetRestored: Counter
  readonly reloadSuccessful: Gauge
  readonly reloadTime: Gauge
  readonly faults: Counter
}

export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry()
  collectProcessMetrics(registry)
  const registers = [registry]
  const named = (name: string, help: string) => ({ name: PREFIX + name, help, registers })
  verdictMetrics(sources, named)
  queueMetrics(sources, named)
  sessionMetrics(sources, named)
  nameMetrics(sources, named)
  logMetrics(sources, named)
  stateMetrics(sources, named)
  containmentMetrics(sources, named)
  return {
    registry,
    verdictDuration: new Histogram({
      ...named('verdict_duration_seconds', 'Seconds from the arrival of a batch of packets to its verdicts'),
      buckets: DURATION_BUCKETS,
    }),
    resolveFailures: new Counter(named('mirror_resolve_failures_total', 'Failed look-ups of allowed names')),
    mirrorSuccess: new Gauge(
      named(
        'mirror_last_success_timestamp_seconds',
        'Time of the last successful look-up of an allowed name, in seconds since the epoch',
      ),
    ),
    rulesetRestored: new Counter(
      named(
        'ruleset_restored_total',
        'Times the ruleset was restored, after it was found missing or changed',
      ),
    ),
    reloadSuccessful: new Gauge(
      named(
        'config_last_reload_successful',
        'Whether the last reload of the configuration succeeded (1) or was refused (0)',
      ),
    ),
    reloadTime: new Gauge(
      named(
        'config_last_reload_success_timestamp_seconds',
        'Time of the last successful load of the configuration, in seconds since the epoch',
      ),
    ),
    faults: new Counter(
      named(
        'faults_total',
        'Faults of the program itself: a packet was blocked because judging it failed, or a sender was not found',
      ),
    ),
  }
}

function verdictMetrics(
  { verdicts, userName, kernelCounters, attributions }: MetricSources,
  named: Named,
): void {
  counter(
    {
      ...named('packets_total', 'Packets judged by the service'),
      labelNames: ['verdict', 'reason', 'protocol', 'family'] as const,
    },
    (metric) => {
      for (const { packets, ...labels } of verdicts.counts()) metric.inc(labels, packets)
    },
  )
  counter(
    {
      ...named(
        'blocked_users_total',
        'Packets blocked, or in mode observe reported, by service or kernel, by user',
      ),
      labelNames: ['user'] as const,
    },
    (metric) => {
      for (const [uid, packets] of verdicts.blocksByUser())
        metric.inc({ user: userLabel(uid, userName) }, packets)
    },
  )
  counter(
    {
      ...named('kernel_packets_total', 'Packets that the kernel handled itself, by path'),
      labelNames: ['path'] as const,
    },
    async (metric) => {
      for (const [path, packets] of (await kernelCounters()) ?? []) metric.inc({ path }, packets)
    },
  )
  counter(
    {
      ...named('attributions_total', 'Blocked packets, by outcome of the search for their sender'),
      labelNames: ['outcome'] as const,
    },
    (metric) => {
      for (const [outcome, packets] of Object.entries(attributions())) metric.inc({ outcome }, packets)
    },
  )
}

export function userLabel(uid: number | undefined, userName: MetricSources['userName']): string {
  if (uid === undefined) return 'other'
  return uid < 0 ? 'unknown' : (userName(uid) ?? String(uid))
}

function queueMetrics({ queue, capacity }: MetricSources, named: Named): void {
  gauge(named('queue_capacity', 'Maximum number of packets waiting for a verdict'), () => capacity.queue)
  gauge(named('queue_length', 'Packets waiting for a verdict'), () => queue()?.waiting)
  counter(named('queue_dropped_total', 'Packets the kernel dropped because the queue was full'), (metric) => {
    metric.inc(queue()?.dropped ?? 0)
  })
  counter(
    named(
      'queue_user_dropped_total',
      'Packets the kernel dropped because the receive buffer of the service was full',
    ),
    (metric) => {
      metric.inc(queue()?.userDropped ?? 0)
    },
  )
}

function nameMetrics({ answers, lookups }: MetricSources, named: Named): void {
  new Gauge({
    ...named('names', 'Allowed names that are looked up, by the result of the last look-up'),
    labelNames: ['state'] as const,
    collect() {
      for (const [state, names] of Object.entries(lookups())) this.set({ state }, names)
    },
  })
  counter(
    {
      ...named(
        'answers_total',
        'DNS answers with addresses of allowed names (learned), of those delayed (held), of those released too early (missed)',
      ),
      labelNames: ['outcome'] as const,
    },
    (metric) => {
      for (const [outcome, count] of Object.entries(answers)) metric.inc({ outcome }, count)
    },
  )
}

function sessionMetrics({ inbound, conntrack, capacity }: MetricSources, named: Named): void {
  gauge(named('sessions_capacity', 'Maximum number of client sessions remembered'), () => capacity.sessions)
  new Gauge({
    ...named('sessions', 'Client sessions remembered, for packets that connection tracking does not know'),
    labelNames: ['source', 'protocol'] as const,
    collect() {
      const { sessions } = inbound()
      for (const source of SOURCES)
        for (const [protocol, number] of PROTOCOLS)
          this.set({ source, protocol }, sessions.sizeOf(number, source))
    },
  })
  gauge(named('conntrack_entries', 'Connections that the kernel tracks now'), () => conntrack()?.entries)
  gauge(
    named('conntrack_limit', 'Maximum number of connections that the kernel tracks'),
    () => conntrack()?.limit,
  )
  const total = (name: string, help: string, value: () => number) =>
    counter(named(name, help), (metric) => metric.inc(value()))
  total(
    'sessions_evicted_total',
    'Sessions evicted because the table was full',
    () => inbound().sessions.evicted,
  )
  total(
    'conntrack_overruns_total',
    'Times that events of connection tracking were lost',
    () => inbound().overruns,
  )
  total(
    'conntrack_resyncs_total',
    'Full reads of connection tracking after events were lost',
    () => inbound().resyncs,
  )
  counter(
    {
      ...named('socket_lookups_total', 'Look-ups of sockets in the kernel, by its answer'),
      labelNames: ['state'] as const,
    },
    (metric) => {
      for (const [state, lookups] of Object.entries(inbound().lookups)) metric.inc({ state }, lookups)
    },
  )
  gauge(
    named('opened_connections', 'TCP connections that this host had opened before the policy was in force'),
    () => inbound().opened,
  )
}

/** Read together with packets_total: in each scrape the first three add up to its blocks. */
function logMetrics({ log }: MetricSources, named: Named): void {
  const total = (name: string, help: string, value: (stats: BlockLogStats) => number) =>
    counter(named(`log_${name}_total`, help), (metric) => metric.inc(value(log())))
  total(
    'events',
    'Blocks with a line of their own in the block log, each the first of its kind',
    (log) => log.told,
  )
  total('summed', 'Blocks counted in summary lines of the block log, one for each kind', (log) => log.summed)
  total(
    'suppressed',
    'Blocks of too many kinds to list, counted in the block log in summaries by user',
    (log) => log.suppressed,
  )
  total(
    'dropped',
    'Lines of the block log that were lost because it could not be written',
    (log) => log.dropped,
  )
}

/** A family without a route has no sample of its own: there is nothing to prove. */
function proofMetrics({ proven, proofs }: MetricSources, named: Named): void {
  const labelNames = ['family'] as const
  new Gauge({
    ...named(
      'enforcement_proven',
      'Whether the last canary connection was blocked (1) or not (0), by family, and without a label for all',
    ),
    labelNames,
    collect() {
      this.reset()
      const all = proven()
      if (all !== undefined) this.set(Number(all))
      for (const [family, proof] of Object.entries(proofs()))
        if (proof === 'yes' || proof === 'no') this.set({ family }, Number(proof === 'yes'))
    },
  })
  new Gauge({
    ...named(
      'enforcement_provable',
      'Whether a route leads to an address that is not allowed (1), or there is nothing to prove (0), by family',
    ),
    labelNames,
    collect() {
      this.reset()
      for (const [family, proof] of Object.entries(proofs()))
        if (proof !== 'pending') this.set({ family }, Number(proof !== 'no-route'))
    },
  })
}

function stateMetrics(sources: MetricSources, named: Named): void {
  gauge(named('enforcing', 'Whether packets are blocked (1) or only reported (0)'), () =>
    Number(sources.enforcing()),
  )
  proofMetrics(sources, named)
  new Gauge({
    ...named('allowlist_entries', 'Addresses and prefixes on the allowlist, by source'),
    labelNames: ['source'] as const,
    collect() {
      this.reset()
      for (const [source, entries] of sources.allowlist()) this.set({ source }, entries)
    },
  })
  new Gauge({
    ...named('build_info', 'Version of the service and of Node, with the constant value 1'),
    labelNames: ['version', 'node'] as const,
  }).set({ version: sources.version, node: process.version }, 1)
}
