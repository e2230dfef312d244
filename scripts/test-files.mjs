/**
 * test-files.mjs [--coverage SCRIPT] FILE...: runs test files beside each other, and writes one TAP stream. It is tap's
 * runner without its loader, which goes into every Node that a test starts, and doubles what each costs.
 * With --coverage, a script of tests runs as well, and fails when they leave a line, branch or function of the core out.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import t from 'tap'

/** Tests on a real kernel wait as long as they compute. */
const JOBS_PER_CORE = 2
/** Only a test that hangs takes so long. */
const HANG_SECONDS = Number(process.env.CHECKVALVE_TEST_SECONDS ?? 1800)

process.env.TAP_TIMEOUT = `${HANG_SECONDS}`
const { values, positionals: files } = parseArgs({
  options: { coverage: { type: 'string', default: [], multiple: true } },
  allowPositionals: true,
})
t.setTimeout(0)
t.jobs = jobs()

/** Beside other work as many fewer as that has processes, but one a core. */
function jobs() {
  const cores = availableParallelism()
  return Math.max(cores, JOBS_PER_CORE * cores - Math.round(loadavg()[0]))
}

for (const script of values.coverage) {
  const folder = mkdtempSync(join(tmpdir(), 'checkvalve-coverage-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const only = ['dist/src/core/**', 'src/core/**'].map((pattern) => `--include=${pattern}`)
  spawn(script, ['node_modules/.bin/c8', '--100', '--skip-full', ...only, `--temp-directory=${folder}`])
}
for (const file of files) spawn(file)

function spawn(file, words = []) {
  // env(1) takes away what tap adds to the environment.
  const argv = ['-u', 'NODE_OPTIONS', ...words, process.execPath, '--enable-source-maps', file]
  t.spawn('env', argv, { buffered: true, timeout: HANG_SECONDS * 1000 }, file)
}
