import t from 'tap'
import { grouped, span, wrap } from '../../src/commands/terminal.js'
import { terminalSafe } from '../../src/text/terminal-safe.js'
import { seededRandom } from '../core/random.js'

t.test('lines are broken between words, and within a word only when it is longer than a line', async (t) => {
  t.same(wrap('one two three', 7), ['one two', 'three'])
  t.same(wrap('a /very/long/path b', 6), ['a', '/very/', 'long/p', 'ath b'])
  t.same(wrap('', 6), [''])
  const below = seededRandom(3)
  for (let round = 0; round < 500; round++) {
    const text = Array.from({ length: below(60) }, () => 'ab  \x07/'[below(6)]).join('')
    const lines = wrap(text, 1 + below(10))
    const without = (each: string) => each.replaceAll(' ', '')
    t.equal(without(lines.join('')), without(terminalSafe(text, 100)), 'no character is lost')
  }
})

t.test('numbers and times are printed in the usual form for people', async (t) => {
  t.same([0, 999, 1000, 1234567].map(grouped), ['0', '999', '1,000', '1,234,567'])
  const times = [0, 400, 1000, 61_000, 3_600_000, 3_660_000, 90_061_000, 864_000_000, -5]
  t.same(times.map(span), ['0 s', '0 s', '1 s', '1 min 1 s', '1 h', '1 h 1 min', '1 d 1 h', '10 d', '0 s'])
})
