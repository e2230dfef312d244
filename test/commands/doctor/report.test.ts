import t from 'tap'
import { plain } from '../../../src/commands/colours.js'
import { type Finding, Findings } from '../../../src/commands/doctor/finding.js'
import { findingsText, summary } from '../../../src/commands/doctor/report.js'

const found = new Findings('queue')
found.ok('100 to 102 are free')
found.note('a note')
found.look(
  'it is nearly full, and has been for longer than anybody cares to remember by now',
  'do this, and if that is not enough do that as well, and look again',
)
found.fail('it is gone', 'bring it back')
found.unknown('who serves it', 'run this as root')

t.test('each finding is printed with its grade, its area and its advice, in 80 columns', async (t) => {
  const text = findingsText(found.all, plain)
  t.equal(
    text,
    `ok    queue: 100 to 102 are free
note  queue: a note
LOOK  queue: it is nearly full, and has been for longer than anybody cares to
      remember by now
      -> do this, and if that is not enough do that as well, and look again
FAIL  queue: it is gone
      -> bring it back
?     queue: who serves it
      -> run this as root`,
  )
})

t.test('grades have colours on a terminal', async (t) => {
  t.match(
    findingsText(found.all, (colour, text) => `<${colour}>${text}`),
    /^<green>ok.*<yellow>LOOK.*<red>FAIL/s,
  )
})

t.test('the last line counts the findings to act on, and the checks that could not be done', async (t) => {
  const only = (...grades: Finding['grade'][]) =>
    summary(found.all.filter(({ grade }) => grades.includes(grade)))
  t.equal(summary(found.all), '2 to look at; 1 could not be checked')
  t.equal(only('ok', 'note'), 'nothing is amiss')
  t.equal(only('ok', 'unknown'), 'nothing is amiss; 1 could not be checked')
  t.equal(only('fail'), '1 to look at')
})
