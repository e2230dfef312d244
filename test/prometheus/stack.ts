/** Runs Prometheus and Alertmanager in a namespace of the lab, with the rules of monitoring/. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parse, stringify } from 'yaml'
import type { Namespace } from '../lab/namespace.js'
import type { Program } from '../lab/program.js'
import { eventually } from '../lab/waiting.js'
import { exampleOf } from '../monitoring/documented.js'
import { ALERTS_FILE, RECORDING_FILE } from '../monitoring/rules.js'
import { NODE } from '../netns/service.js'

const [PROMETHEUS, ALERTMANAGER] = ['127.0.0.1:9090', '127.0.0.1:9093']
const WEBHOOK = 9099
/** By how much the durations of the rules are shorter here. */
const FASTER = 30

/** Prints the body of each request, a line each. */
const RECEIVE = `require('http').createServer((request, response) => {
  let body = ''
  request.on('data', (data) => (body += data)).on('end', () => { console.log(body); response.end() })
}).listen(${WEBHOOK}, '127.0.0.1', () => console.log('{"listening":true}'))`

export interface Notification {
  readonly status: 'firing' | 'resolved'
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

export interface Sample {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [number, string]
}

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** Makes each duration of a rule shorter: ranges, and the time that a condition must hold. */
export const faster = (rules: string): string =>
  rules.replace(/(\[|for: )(\d+)([smhd])\b/g, (_, before, number, unit) => {
    return `${before}${Math.ceil((Number(number) * SECONDS[unit as string]!) / FASTER)}s`
  })

export class Stack {
  readonly #place: Namespace
  readonly #webhook: Program

  private constructor(place: Namespace, webhook: Program) {
    this.#place = place
    this.#webhook = webhook
  }

  /**
   * Starts both, and a receiver of alerts. The configuration is that of docs/monitoring.md.
   * @param folder has ca.crt and password @param target the address and port to scrape
   */
  static async start(place: Namespace, folder: string, target: string): Promise<Stack> {
    const webhook = place.spawn([...NODE, '-e', RECEIVE])
    await webhook.result('listening')
    const path = (name: string) => join(folder, name)
    mkdirSync(path('rules'))
    for (const file of [ALERTS_FILE, RECORDING_FILE])
      writeFileSync(path(`rules/${basename(file)}`), faster(readFileSync(file, 'utf8')))
    writeFileSync(path('prometheus.yml'), prometheusConfig(folder, target))
    writeFileSync(path('alertmanager.yml'), alertmanagerConfig())
    place.spawn([
      'prometheus-alertmanager',
      `--config.file=${path('alertmanager.yml')}`,
      `--storage.path=${path('alertmanager')}`,
      `--web.listen-address=${ALERTMANAGER}`,
      '--cluster.listen-address=',
    ])
    place.spawn([
      'prometheus',
      `--config.file=${path('prometheus.yml')}`,
      `--storage.tsdb.path=${path('tsdb')}`,
      `--web.listen-address=${PROMETHEUS}`,
    ])
    const stack = new Stack(place, webhook)
    await eventually('Prometheus is ready', () => stack.#isReady(PROMETHEUS))
    await eventually('Alertmanager is ready', () => stack.#isReady(ALERTMANAGER))
    return stack
  }

  /** Asks Prometheus' API. @throws Error when it refuses, as an expression that it cannot parse */
  async api<T>(path: string, parameters: Readonly<Record<string, string>> = {}): Promise<T> {
    const data = Object.entries(parameters).flatMap(([name, value]) => [
      '--data-urlencode',
      `${name}=${value}`,
    ])
    const { stdout } = await this.#place.run(['curl', '-sG', `http://${PROMETHEUS}/api/v1/${path}`, ...data])
    const answer = JSON.parse(stdout) as { status: string; error?: string; data: T }
    if (answer.status !== 'success') throw new Error(`${path} ${JSON.stringify(parameters)}: ${answer.error}`)
    return answer.data
  }

  /** Evaluates an expression now. */
  async query(expr: string): Promise<readonly Sample[]> {
    return (await this.api<{ result: readonly Sample[] }>('query', { query: expr })).result
  }

  /** The notifications that arrived at the webhook so far, of one alert. */
  notifications(alert: string): Notification[] {
    return this.#webhook.results
      .flatMap(({ alerts }) => (alerts ?? []) as Notification[])
      .filter(({ labels }) => labels.alertname === alert)
  }

  /** Waits for a notification of an alert. */
  async notified(alert: string, status: Notification['status']): Promise<Notification> {
    const find = () => this.notifications(alert).find((each) => each.status === status)
    await eventually(`${alert} is ${status}`, () => find() !== undefined, 300_000)
    return find()!
  }

  async #isReady(address: string): Promise<boolean> {
    const argv = ['curl', '-sf', `http://${address}/-/ready`]
    return (await this.#place.run(argv, { allowFailure: true })).status === 0
  }
}

interface PrometheusConfig {
  global?: Record<string, string>
  rule_files: string[]
  scrape_configs: [
    {
      tls_config: { ca_file: string }
      basic_auth: { password_file: string }
      static_configs: [{ targets: string[] }]
    },
  ]
  alerting: { alertmanagers: [{ static_configs: [{ targets: string[] }] }] }
}

/** Returns the documented configuration, with the names and files of this lab. */
function prometheusConfig(folder: string, target: string): string {
  const config = parse(exampleOf('/etc/prometheus/prometheus.yml')) as PrometheusConfig
  config.global = { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' }
  config.rule_files = [join(folder, 'rules/*.yml')]
  const [job] = config.scrape_configs
  job.tls_config.ca_file = join(folder, 'ca.crt')
  job.basic_auth.password_file = join(folder, 'password')
  job.static_configs[0].targets = [target]
  config.alerting.alertmanagers[0].static_configs[0].targets = [ALERTMANAGER]
  return stringify(config)
}

const alertmanagerConfig = () =>
  stringify({
    route: {
      receiver: 'webhook',
      group_by: ['alertname', 'instance'],
      ...{ group_wait: '0s', group_interval: '1s', repeat_interval: '1h' },
    },
    receivers: [
      { name: 'webhook', webhook_configs: [{ url: `http://127.0.0.1:${WEBHOOK}/`, send_resolved: true }] },
    ],
  })
