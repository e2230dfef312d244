import t from 'tap'
import { parseSince } from '../../src/text/time-argument.js'

const NOW = Date.parse('2026-11-26T18:30:00Z')
const MINUTE = 60_000

t.test('a time argument is a duration ago, a day, or a date and time', async (t) => {
  for (const [text, expected] of [
    ['30s', NOW - 30_000],
    ['10m', NOW - 10 * MINUTE],
    ['2h', NOW - 120 * MINUTE],
    ['3d', NOW - 3 * 1440 * MINUTE],
    ['1w', NOW - 7 * 1440 * MINUTE],
    ['2026-11-26T18:00Z', NOW - 30 * MINUTE],
    ['2026-11-26T18:00:30.5Z', NOW - 30 * MINUTE + 30_500],
    ['2026-11-26 18:00:00z', NOW - 30 * MINUTE],
    ['2026-11-26T20:00+02:00', NOW - 30 * MINUTE],
  ] as const)
    t.equal(parseSince(text, NOW), expected, text)
})

t.test('times without a zone, dates and "today" are in this host\'s time zone', async (t) => {
  t.equal(parseSince('2026-11-26T18:00', NOW), new Date(2026, 10, 26, 18, 0).getTime())
  t.equal(parseSince('2026-11-26', NOW), new Date(2026, 10, 26).getTime())
  const now = new Date(2026, 2, 1, 12).getTime()
  t.equal(parseSince('today', now), new Date(2026, 2, 1).getTime())
  t.equal(parseSince('yesterday', now), new Date(2026, 1, 28).getTime())
})

t.test('text that is not a time is refused', async (t) => {
  for (const text of [
    '',
    '10',
    '10x',
    '-5m',
    '5 m',
    'soon',
    '2026-02-30',
    '2026-11-26T25:00',
    '26.11.2026',
    '1e3m',
    'm',
  ])
    t.equal(parseSince(text, NOW), undefined, text)
})
