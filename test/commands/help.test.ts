import t from 'tap'
import { allCommands } from '../../src/commands/registry.js'

/**
 * These are the width of a terminal, and the width of the column before a summary in the list of all
 * commands.
 */
const WIDTH = 80
const BEFORE_SUMMARY = 16

t.test('the help of each command fits 80 columns, and names every option', async (t) => {
  for (const { name, summary, details = '', synopsis = '', examples, options = {} } of await allCommands()) {
    t.ok(summary.length <= WIDTH - BEFORE_SUMMARY, `${name}: ${summary}`)
    for (const line of [...details.split('\n'), ...examples.map((example) => `  ${example}`)])
      t.ok(line.length <= WIDTH, `${name}: ${line}`)
    for (const option of Object.keys(options)) t.match(`${synopsis} ${details}`, `--${option}`, name)
  }
})
