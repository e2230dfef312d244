/** Provides sources of metrics with known values, for tests. */
import { compile, NOT_ALLOWLISTED } from '../../src/core/policy/policy.js'
import { VerdictCounts } from '../../src/core/record/verdict-counts.js'
import type { MetricSources } from '../../src/telemetry/metrics.js'
import { packet } from '../records/block-log/blocks.js'

const RULE = compile({
  reason: 'rule',
  name: 'payments',
  protocol: 'tcp',
  ports: [],
  prefixes: [],
  names: ['api.example.org'],
  domains: [],
})

export function sources(given: Partial<MetricSources> = {}): MetricSources {
  const verdicts = new VerdictCounts()
  verdicts.add(packet({ to: '198.51.100.77', port: 4444 }), 33, NOT_ALLOWLISTED, false)
  verdicts.add(packet({ to: '2001:db8::77', port: 4444 }), 1000, NOT_ALLOWLISTED, true)
  verdicts.add(packet(), -1, NOT_ALLOWLISTED, false)
  verdicts.add(packet(), 0, RULE.accept, false)
  return {
    version: '1.2.3',
    verdicts,
    userName: (uid) => (uid === 33 ? 'www-data' : undefined),
    log: () => ({ told: 7, summed: 5, suppressed: 4, dropped: 3 }),
    kernelCounters: async () => new Map([['reply', 5] as const, ['fallback_drop', 7] as const]) as never,
    queue: () => ({ waiting: 1, dropped: 2, userDropped: 3 }),
    capacity: { queue: 16_384, sessions: 1_000_000 },
    inbound: () => ({
      sessions: { sizeOf: (protocol, source) => protocol + (source === 'socket' ? 100 : 0), evicted: 9 },
      overruns: 21,
      resyncs: 20,
      lookups: { established: 31, transient: 32, none: 33, unknown: 0 },
      opened: 4,
    }),
    conntrack: () => ({ entries: 41, limit: 42 }),
    lookups: () => ({ good: 54, failing: 55 }),
    answers: { learned: 51, held: 52, missed: 53 },
    attributions: () => ({ found: 61, skipped: 62, unknown: 63 }),
    allowlist: () => [
      ['mirror', 12],
      ['rule', 2],
    ],
    containment: () => ({ alerts: 3, quarantined: [{ uid: 33, cgroup: undefined, until: 0 }] }),
    enforcing: () => true,
    proven: () => true,
    proofs: () => ({ ipv4: 'yes', ipv6: 'yes' }),
    ...given,
  }
}
