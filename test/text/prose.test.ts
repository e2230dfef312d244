import t from 'tap'
import { grouped, spanText, timeText, wrap } from '../../src/text/prose.js'
import { parseSince } from '../../src/text/time-argument.js'

const TIME = Date.UTC(2026, 10, 26, 18, 4, 5)

t.test('a time is printed in the zone of this host, and --since parses it to the same time', async (t) => {
  const { TZ } = process.env
  t.teardown(() => {
    if (TZ === undefined) delete process.env.TZ
    else process.env.TZ = TZ
  })
  for (const [zone, text] of [
    ['UTC', '2026-11-26T18:04:05Z'],
    ['Europe/Berlin', '2026-11-26T19:04:05+01:00'],
    ['America/St_Johns', '2026-11-26T14:34:05-03:30'],
    ['Asia/Kathmandu', '2026-11-26T23:49:05+05:45'],
  ] as const) {
    process.env.TZ = zone
    t.equal(timeText(TIME + 789), text)
    t.equal(parseSince(text, 0), TIME)
  }
  process.env.TZ = 'UTC'
  t.equal(spanText({ first: TIME, last: TIME }), '2026-11-26T18:04:05Z')
  t.equal(spanText({ first: TIME, last: TIME + 1000 }), '2026-11-26T18:04:05Z to 2026-11-26T18:04:06Z')
})

t.test('large numbers are printed in groups of digits', async (t) => {
  t.same([0, 999, 1000, 1_234_567].map(grouped), ['0', '999', '1,000', '1,234,567'])
})

t.test('no line is longer than the width, whatever the length of a word', async (t) => {
  t.same(wrap('one two three', 7), ['one two', 'three'])
  t.same(wrap('abcdefghij k', 4), ['abcd', 'efgh', 'ij k'])
  t.same(wrap('', 4), [''])
})
