/** These tests check that the runbook knows every alert and every failure that the doctor reports. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { alertRules } from './rules.js'
import { failures, headingsOf } from './runbook.js'

const RUNBOOK = readFileSync('docs/runbook.md', 'utf8')

t.test('every failure that doctor may report has its section in the runbook, by its words', (t) => {
  const all = failures()
  t.ok(all.length >= 30, `${all.length} failures`)
  const headings = headingsOf(RUNBOOK.split('## Failures of doctor')[1]!)
    .filter((heading) => /^[a-z]+: /.test(heading))
    .map((heading) => heading.replace(/^[a-z]+: (?:CHAIN )?/, ''))
  for (const heading of headings)
    t.ok(
      all.some(({ pattern }) => pattern?.test(heading)),
      `doctor reports: ${heading}`,
    )
  for (const { at, pattern } of all) {
    if (pattern === undefined) t.fail(`${at}: write the text of this failure where it is reported`)
    else
      t.ok(
        headings.some((heading) => pattern.test(heading)),
        `${at} ${pattern}`,
      )
  }
  t.end()
})

t.test('every alert has its section, and no section is about an alert that is gone', (t) => {
  const alerts = alertRules().map(({ alert }) => alert)
  const sections = headingsOf(RUNBOOK).filter((heading) => heading.startsWith('Checkvalve'))
  t.same(sections.sort(), alerts.sort())
  t.end()
})

t.test('each section says what it means and what to do', (t) => {
  const sections = RUNBOOK.split(/^### /m).slice(1)
  t.ok(sections.length > 30)
  for (const section of sections) {
    const heading = section.split('\n', 1)[0]!
    t.match(section, /^\*\*Means\*\*: /m, heading)
    t.match(section, /^\*\*Do\*\*: /m, heading)
  }
  t.end()
})
