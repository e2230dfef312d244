import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { PATIENCE_MS } from '../../lab/waiting.js'

const MODULE = fileURLToPath(new URL('../../../src/kernel/nftables/ruleset-generation.js', import.meta.url))

/**
 * Runs transactions of nft one after the other, in a network namespace without rules, and prints for each how
 * often the table was reported as gone.
 */
const PROGRAM = `
  import { execFileSync } from 'node:child_process'
  import { RulesetGeneration } from ${JSON.stringify(MODULE)}
  let gone = 0, changed = () => {}
  const generation = new RulesetGeneration({ onChange: () => changed(), onTableGone: () => gone++ })
  const reports = []
  for (const text of JSON.parse(process.argv[1])) {
    gone = 0
    const change = new Promise((resolve) => { changed = resolve })
    execFileSync('nft', ['-f', '-'], { input: text })
    await change
    reports.push(gone)
  }
  console.log(JSON.stringify(reports))
  generation.close()
`

const TABLE = 'table inet checkvalve { chain judge { type filter hook output priority 0; accept; }; }\n'

t.test(
  'the table is reported as gone after each transaction that leaves none, and after no other',
  async (t) => {
    const cases: [transaction: string, gone: number][] = [
      [TABLE, 0],
      ['delete table inet checkvalve', 1],
      [TABLE, 0],
      ['flush ruleset\ntable inet other { }', 1],
      [TABLE, 0],
      // A saved ruleset may hold the table.
      [`flush ruleset\n${TABLE}`, 0],
      ['delete table inet checkvalve\ntable ip checkvalve { }', 1],
      [`${TABLE}delete table ip checkvalve`, 0],
      ['flush chain inet checkvalve judge', 0],
      [`table inet checkvalve_probe { }`, 0],
      ['delete table inet checkvalve_probe', 0],
      ['flush ruleset', 1],
    ]
    const { NODE_OPTIONS: _, ...env } = process.env
    const argv = ['--net', process.execPath, '--input-type=module', '-e', PROGRAM]
    const reports = execFileSync('unshare', [...argv, JSON.stringify(cases.map(([text]) => text))], {
      env: { ...env, PATH: `${env.PATH}:/usr/sbin:/sbin` },
      encoding: 'utf8',
      timeout: PATIENCE_MS,
    })
    t.same(
      JSON.parse(reports),
      cases.map(([, gone]) => gone),
    )
  },
)
