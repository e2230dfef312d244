/** These tests check the dashboard for Grafana, as far as that goes without Prometheus. */
import t from 'tap'
import { dashboard } from './rules.js'

/** Grafana's grid is 24 columns wide; a row is 38 pixels high. Below its own bars a screen of 1080 lines has 24. */
const [COLUMNS, ROWS] = [24, 24]

t.test('the dashboard has a stable uid, and variables for datasource, job and instance', (t) => {
  const { uid, templating } = dashboard()
  t.equal(uid, 'checkvalve')
  t.same(
    templating.list.map(({ name, type }) => [name, type]),
    [
      ['datasource', 'datasource'],
      ['job', 'query'],
      ['instance', 'query'],
    ],
  )
  t.end()
})

t.test('its panels fill one screen, without gaps and without overlapping', (t) => {
  const cells = dashboard().panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)},${y + Math.floor(cell / w)}`),
  )
  t.equal(new Set(cells).size, cells.length, 'no cell is covered twice')
  const wanted = Array.from(
    { length: COLUMNS * ROWS },
    (_, cell) => `${cell % COLUMNS},${Math.floor(cell / COLUMNS)}`,
  )
  t.same(new Set(cells), new Set(wanted))
  t.end()
})

t.test('each panel says what it shows, asks the chosen datasource, and keeps to the chosen jobs', (t) => {
  const { panels } = dashboard()
  t.equal(new Set(panels.map(({ title }) => title)).size, panels.length)
  for (const { title, description, datasource, targets } of panels) {
    t.ok(description!.length > 20, title)
    t.match(datasource, { type: 'prometheus', uid: /^\$\{datasource\}$/ })
    for (const { expr } of targets)
      for (const [selector] of expr.matchAll(
        /(?:[\w:]*checkvalve_\w+(?::\w+)?|process_\w+|ALERTS)(?:\{[^}]*\})?/g,
      ))
        t.match(selector, /\{job=~"\$job"/, `${title}: ${selector}`)
  }
  t.end()
})
