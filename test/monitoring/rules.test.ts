/** These tests check the rules for Prometheus, as far as that goes without it: test/prometheus/ has the others. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'
import { VerdictCounts } from '../../src/core/record/verdict-counts.js'
import { createMetrics } from '../../src/telemetry/metrics.js'
import { sources } from '../telemetry/metric-sources.js'
import { alertRules, dashboard, expressions, metricsIn, recordingRules } from './rules.js'
import { anchorsOf } from './runbook.js'

const SEVERITIES = ['critical', 'warning', 'info']

t.test('each alert has a severity, a summary, a description, and its section of the runbook', (t) => {
  const anchors = anchorsOf(readFileSync('docs/runbook.md', 'utf8'))
  t.ok(alertRules().length >= 12)
  for (const { alert, labels, annotations } of alertRules()) {
    t.match(alert, /^Checkvalve[A-Z]\w+$/)
    t.ok(SEVERITIES.includes(labels.severity!), `${alert} has the severity ${labels.severity}`)
    t.match(annotations.summary, /\{\{ \$labels\.instance \}\}/, `${alert}: its summary names the server`)
    t.ok(annotations.description!.length > 40, `${alert} has a description`)
    const [page, anchor] = annotations.runbook_url!.split('#')
    t.match(page, /\/docs\/runbook\.md$/)
    t.equal(anchor, alert.toLowerCase())
    t.ok(anchors.has(anchor!), `docs/runbook.md has the section ${anchor}`)
  }
  t.end()
})

t.test(
  'every metric that a rule or a panel reads exists, in the service or as a recorded series',
  async (t) => {
    const page = await createMetrics(sources({ verdicts: new VerdictCounts() })).registry.metrics()
    const names = new Set([...page.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!))
    for (const name of [...names]) for (const end of ['bucket', 'sum', 'count']) names.add(`${name}_${end}`)
    for (const { record } of recordingRules()) names.add(record)
    const all = [...alertRules(), ...recordingRules(), ...expressions(dashboard())].map(({ expr }) => expr)
    t.ok(all.length > 30)
    const read = new Set(all.flatMap(metricsIn))
    t.same(
      [...read].filter((name) => !names.has(name)),
      [],
    )
    for (const { record } of recordingRules())
      t.ok([...read].includes(record), `a panel or a rule reads ${record}`)
  },
)

t.test('recorded series are named level:metric:operations, and none keeps a bucket or a user', (t) => {
  for (const { record, expr } of recordingRules()) {
    t.match(record, /^(instance|job(_[a-z]+)*):checkvalve_[a-z_]+:[a-z0-9_]+$/)
    const [level] = record.split(':') as [string]
    if (level !== 'instance') t.match(expr, `by (${level.split('_').join(', ')})`, record)
    t.notMatch(expr, /blocked_users/)
  }
  t.end()
})

t.test('promtool tests each alert twice: it fires, and it does not', (t) => {
  interface Sample {
    readonly labels: string
  }
  interface Case {
    readonly promql_expr_test?: readonly { readonly exp_samples: readonly Sample[] }[]
    readonly alert_rule_test?: readonly {
      readonly alertname: string
      readonly exp_alerts: readonly unknown[]
    }[]
  }
  const tests = ['alerts', 'observing'].flatMap(
    (name) =>
      (parse(readFileSync(`monitoring/${name}.test.yml`, 'utf8')) as { tests: readonly Case[] }).tests,
  )
  for (const { alert } of alertRules()) {
    const fires = ({ labels }: Sample) => labels.includes(`"${alert}"`)
    const own = tests.filter(
      ({ promql_expr_test: samples = [], alert_rule_test: alerts = [] }) =>
        samples.some(({ exp_samples }) => exp_samples.some(fires)) ||
        alerts.some(({ alertname, exp_alerts }) => alertname === alert && exp_alerts.length > 0),
    )
    t.ok(own.length > 0, `${alert} fires in a test`)
    for (const { promql_expr_test: samples = [], alert_rule_test: alerts = [] } of own)
      t.ok(
        samples.some(({ exp_samples }) => exp_samples.length === 0) ||
          alerts.some(({ exp_alerts }) => exp_alerts.length === 0),
        `and does not fire before`,
      )
  }
  t.end()
})

t.test('docs/monitoring.md lists every metric with its labels and its help', async (t) => {
  const page = await createMetrics(sources()).registry.metrics()
  const documented = readFileSync('docs/monitoring.md', 'utf8')
  const all = [...page.matchAll(/^# HELP checkvalve_(\S+) (.*)$/gm)]
  t.ok(all.length > 30)
  for (const [, name, help] of all) {
    const samples = page.split('\n').filter((line) => line.startsWith(`checkvalve_${name}{`))
    const found = samples.flatMap((line) => [...line.matchAll(/[{,](\w+)="/g)].map(([, label]) => label!))
    const labels = [...new Set(found)].map((label) => `\`${label}\``).join(', ')
    t.match(documented, `\n| \`${name}\` |${labels && ` ${labels}`} | ${help} |\n`)
  }
})
