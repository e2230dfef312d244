/** Reads the files of monitoring/, for tests. */
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'

export interface AlertRule {
  readonly alert: string
  readonly expr: string
  readonly for?: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

export interface RecordingRule {
  readonly record: string
  readonly expr: string
}

function rulesOf<Rule>(file: string): readonly Rule[] {
  const { groups } = parse(readFileSync(file, 'utf8')) as { groups: { rules: Rule[] }[] }
  return groups.flatMap(({ rules }) => rules)
}

export const ALERTS_FILE = 'monitoring/alerts.yml'
export const RECORDING_FILE = 'monitoring/recording.yml'

export const alertRules = () => rulesOf<AlertRule>(ALERTS_FILE)
export const recordingRules = () => rulesOf<RecordingRule>(RECORDING_FILE)

export interface Panel {
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>
  readonly datasource?: unknown
  readonly targets: readonly { readonly expr: string; readonly refId: string }[]
}

export interface Dashboard {
  readonly uid: string
  readonly title: string
  readonly panels: readonly Panel[]
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] }
}

export const dashboard = () => JSON.parse(readFileSync('monitoring/grafana.json', 'utf8')) as Dashboard

/** The expressions of the dashboard, with its variables as Grafana fills them in when all is chosen. */
export const expressions = ({ panels }: Dashboard, job = '.*', instance = '.*') =>
  panels.flatMap(({ title, targets }) =>
    targets.map(({ expr }) => ({
      title,
      expr: expr
        .replaceAll('$job', job)
        .replaceAll('$instance', instance)
        .replaceAll('$__rate_interval', '1m')
        .replaceAll('$__range', '1h'),
    })),
  )

/** The names of metrics of ours, and of recorded series, in an expression. */
export const metricsIn = (expr: string): string[] =>
  expr.match(/\b(?:[a-z_]+:)?checkvalve_\w+(?::\w+)?/g) ?? []
