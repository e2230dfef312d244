/** Collects the metrics of the process itself, as prom-client has them, in as few series as are of use. */
import { collectDefaultMetrics, type Registry } from 'prom-client'

/**
 * Metrics of prom-client that are left out. Three are gauges whose names end in _total, against the naming rules of
 * Prometheus; their short forms and the heap's spaces are dozens of series
 * for developers of Node.
 */
const LEFT_OUT = [
  ...['handles', 'requests', 'resources'].flatMap((what) => [`active_${what}_total`, `active_${what}`]),
  ...['total', 'used', 'available'].map((what) => `heap_space_size_${what}_bytes`),
]
/** Seconds. Each is a series for each of four kinds of garbage collection. */
const GC_DURATION_BUCKETS = [0.01, 0.1, 1]

export function collectProcessMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry, gcDurationBuckets: GC_DURATION_BUCKETS })
  for (const name of LEFT_OUT) registry.removeSingleMetric(`nodejs_${name}`)
}
