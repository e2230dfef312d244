import t from 'tap'
import { NOT_ALLOWLISTED } from '../../src/core/policy/policy.js'
import { VerdictCounts } from '../../src/core/record/verdict-counts.js'
import { createMetrics, type MetricSources } from '../../src/telemetry/metrics.js'
import { packet } from '../records/block-log/blocks.js'
import { sources } from './metric-sources.js'

/** Parses a scrape into a map from name and labels to value. */
async function scrape(given: Partial<MetricSources> = {}): Promise<Map<string, string>> {
  const text = await createMetrics(sources(given)).registry.metrics()
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), line.slice(line.lastIndexOf(' ') + 1)]),
  )
}

t.test('every documented metric exists', async (t) => {
  const text = await createMetrics(sources()).registry.metrics()
  const names = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name)
  for (const name of [
    'packets_total',
    'kernel_packets_total',
    'blocked_users_total',
    'verdict_duration_seconds',
    'queue_length',
    'queue_capacity',
    'queue_dropped_total',
    'queue_user_dropped_total',
    'sessions',
    'sessions_capacity',
    'sessions_evicted_total',
    'conntrack_overruns_total',
    'conntrack_resyncs_total',
    'socket_lookups_total',
    'opened_connections',
    'conntrack_entries',
    'conntrack_limit',
    'answers_total',
    'names',
    'attributions_total',
    'allowlist_entries',
    'mirror_resolve_failures_total',
    'mirror_last_success_timestamp_seconds',
    'log_events_total',
    'log_summed_total',
    'log_suppressed_total',
    'log_dropped_total',
    'ruleset_restored_total',
    'enforcing',
    'enforcement_proven',
    'enforcement_provable',
    'config_last_reload_successful',
    'config_last_reload_success_timestamp_seconds',
    'build_info',
  ])
    t.ok(names.includes(`checkvalve_${name}`), name)
  t.ok(names.includes('process_resident_memory_bytes'), 'the metrics of the process exist as well')
})

t.test('each metric has the value of its source', async (t) => {
  const found = await scrape()
  const expected: Record<string, string> = {
    'packets_total{verdict="block",reason="not-allowlisted",protocol="tcp",family="ipv4"}': '2',
    'packets_total{verdict="would-block",reason="not-allowlisted",protocol="tcp",family="ipv6"}': '1',
    'packets_total{verdict="accept",reason="rule",protocol="tcp",family="ipv4"}': '1',
    'kernel_packets_total{path="reply"}': '5',
    'kernel_packets_total{path="fallback_drop"}': '7',
    queue_length: '1',
    queue_capacity: '16384',
    sessions_capacity: '1000000',
    queue_dropped_total: '2',
    queue_user_dropped_total: '3',
    'sessions{source="conntrack",protocol="tcp"}': '6',
    'sessions{source="socket",protocol="udp"}': '117',
    conntrack_overruns_total: '21',
    conntrack_resyncs_total: '20',
    'socket_lookups_total{state="none"}': '33',
    opened_connections: '4',
    conntrack_entries: '41',
    conntrack_limit: '42',
    'names{state="good"}': '54',
    'names{state="failing"}': '55',
    'answers_total{outcome="learned"}': '51',
    'answers_total{outcome="held"}': '52',
    'answers_total{outcome="missed"}': '53',
    'attributions_total{outcome="skipped"}': '62',
    sessions_evicted_total: '9',
    'allowlist_entries{source="mirror"}': '12',
    'allowlist_entries{source="rule"}': '2',
    log_events_total: '7',
    log_summed_total: '5',
    log_suppressed_total: '4',
    log_dropped_total: '3',
    enforcing: '1',
    enforcement_proven: '1',
    'enforcement_proven{family="ipv4"}': '1',
    'enforcement_provable{family="ipv6"}': '1',
    [`build_info{version="1.2.3",node="${process.version}"}`]: '1',
  }
  for (const [name, value] of Object.entries(expected)) t.equal(found.get(`checkvalve_${name}`), value, name)
})

t.test('users have their name as label when they have one, and differ from unknown users', async (t) => {
  const found = await scrape()
  t.equal(found.get('checkvalve_blocked_users_total{user="www-data"}'), '1')
  t.equal(found.get('checkvalve_blocked_users_total{user="1000"}'), '1')
  t.equal(found.get('checkvalve_blocked_users_total{user="unknown"}'), '1')
  const verdicts = new VerdictCounts()
  for (let uid = 0; uid < 300; uid++) verdicts.add(packet(), uid, NOT_ALLOWLISTED, false)
  const many = await scrape({ verdicts })
  t.equal(many.get('checkvalve_blocked_users_total{user="other"}'), '268')
  t.equal([...many.keys()].filter((name) => name.startsWith('checkvalve_blocked_users_total')).length, 33)
})

t.test('no address, port or host name is in any label', async (t) => {
  const labels = [...(await scrape()).keys()]
    .filter((name) => name.startsWith('checkvalve_') && !name.includes('build_info'))
    .flatMap((name) => [...name.matchAll(/(\w+)="([^"]*)"/g)])
  t.ok(labels.length > 10)
  const allowed = [
    'verdict',
    'reason',
    'protocol',
    'family',
    'path',
    'user',
    'source',
    'state',
    'le',
    'outcome',
  ]
  for (const [, label, value] of labels) {
    t.ok(allowed.includes(label!), `the label is ${label}`)
    t.notMatch(value, /198\.51|2001:db8|4444|example/)
  }
})

t.test('a second scrape has the same values, not their sum', async (t) => {
  const { registry } = createMetrics(sources())
  const own = async () =>
    (await registry.metrics()).split('\n').filter((line) => line.startsWith('checkvalve_'))
  t.same(await own(), await own())
})

t.test('a value that is not known now is left out, and is not 0', async (t) => {
  const found = await scrape({
    queue: () => undefined,
    proven: () => undefined,
    proofs: () => ({ ipv4: 'pending', ipv6: 'pending' }),
    kernelCounters: async () => undefined,
  })
  for (const name of ['queue_length', 'enforcement_proven']) t.notOk(found.has(`checkvalve_${name}`), name)
  t.notOk([...found.keys()].some((name) => name.startsWith('checkvalve_kernel_packets_total{')))
})

t.test('the metric of blocking is 0 when blocking is off or disproved', async (t) => {
  const found = await scrape({ enforcing: () => false, proven: () => false })
  t.equal(found.get('checkvalve_enforcing'), '0')
  t.equal(found.get('checkvalve_enforcement_proven'), '0')
})

t.test('a family without a route has nothing to prove, and is not taken for unproved', async (t) => {
  const found = await scrape({ proven: () => false, proofs: () => ({ ipv4: 'no', ipv6: 'no-route' }) })
  t.equal(found.get('checkvalve_enforcement_proven'), '0')
  t.equal(found.get('checkvalve_enforcement_proven{family="ipv4"}'), '0')
  t.notOk(found.has('checkvalve_enforcement_proven{family="ipv6"}'))
  t.equal(found.get('checkvalve_enforcement_provable{family="ipv4"}'), '1')
  t.equal(found.get('checkvalve_enforcement_provable{family="ipv6"}'), '0')
})

t.test('names and types agree: a counter ends in _total, and no other metric does', async (t) => {
  const text = await createMetrics(sources()).registry.metrics()
  for (const [, name, type] of text.matchAll(/^# TYPE (\S+) (\S+)/gm))
    if (!name!.startsWith('process_'))
      t.equal(name!.endsWith('_total'), type === 'counter', `${name} has the type ${type}`)
})

t.test('every metric has a help text', async (t) => {
  const text = await createMetrics(sources()).registry.metrics()
  for (const [, name, help] of text.matchAll(/^# HELP (checkvalve_\S+) ?(.*)$/gm))
    t.ok(help!.length > 10, `the metric is ${name}`)
})

t.test('two sets of metrics are independent', async (t) => {
  const first = createMetrics(sources())
  const second = createMetrics(sources())
  first.resolveFailures.inc(3)
  t.match(await first.registry.metrics(), /checkvalve_mirror_resolve_failures_total 3\n/)
  t.match(await second.registry.metrics(), /checkvalve_mirror_resolve_failures_total 0\n/)
})
