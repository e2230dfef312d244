/** Debian's promtool checks and tests the rules, and each of its tests is shown to be able to fail. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import t from 'tap'
import { run } from '../lab/command.js'
import { exampleOf } from '../monitoring/documented.js'
import { ALERTS_FILE, type AlertRule, alertRules, RECORDING_FILE } from '../monitoring/rules.js'

const ALERT_TESTS = ['alerts', 'observing']

const promtool = (...words: string[]) => run('here', ['promtool', ...words], { allowFailure: true })

t.test('promtool accepts the rules and the documented configuration', async (t) => {
  const rules = await promtool('check', 'rules', ALERTS_FILE, RECORDING_FILE)
  t.equal(rules.status, 0, rules.stderr)
  t.match(rules.stdout, `SUCCESS: ${alertRules().length} rules found`)
  const folder = mkdtempSync(join(tmpdir(), 'checkvalve-promtool-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'prometheus.yml'), exampleOf('/etc/prometheus/prometheus.yml'))
  const config = await promtool('check', 'config', '--syntax-only', join(folder, 'prometheus.yml'))
  t.equal(config.status, 0, config.stderr)
})

t.test('each alert fires when it should, and does not when all is well', async (t) => {
  for (const name of [...ALERT_TESTS, 'recording']) {
    const { status, stdout, stderr } = await promtool('test', 'rules', `monitoring/${name}.test.yml`)
    t.equal(status, 0, `${name}: ${stdout}${stderr}`)
  }
})

/** Returns the file of alerts with another expression for one of them. */
function altered({ alert, expr }: AlertRule, other: string): string {
  const text = readFileSync(ALERTS_FILE, 'utf8')
  const [before, rest = ''] = text.split(`- alert: ${alert}\n`) as [string, string]
  const changed = rest.replace(/^ {8}expr:[\s\S]*?(?=^ {8}(?:for|labels):)/m, `        expr: ${other}\n`)
  if (changed === rest) throw new Error(`${alert} has no expression: ${expr}`)
  return `${before}- alert: ${alert}\n${changed}`
}

t.test('the tests fail when an alert can never fire, and when it always does', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'checkvalve-promtool-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const tests = ALERT_TESTS.map((name) => join(folder, `${name}.test.yml`))
  for (const path of tests) cpSync(join('monitoring', basename(path)), path)
  for (const rule of alertRules())
    for (const other of ['vector(1) > 2', 'vector(1)']) {
      writeFileSync(join(folder, 'alerts.yml'), altered(rule, other))
      const { status } = await promtool('test', 'rules', ...tests)
      t.not(status, 0, `${rule.alert}: ${other}`)
    }
})
