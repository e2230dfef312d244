/**
 * test-files.mjs FILE...: runs test files beside each other, and writes one TAP stream. It is tap's runner without
 * what coverage needs: that one puts a loader into every Node which a test starts, and doubles what each costs.
 */
import { availableParallelism, loadavg } from 'node:os'
import t from 'tap'

/** Tests on a real kernel wait more than they compute. */
const JOBS_PER_CORE = 3
/** Only a test that hangs takes so long. */
const HANG_SECONDS = 1800

process.env.TAP_TIMEOUT = `${HANG_SECONDS}`
const files = process.argv.slice(2)
t.setTimeout(0)
t.jobs = Math.min(files.length, jobs())

/** Beside other work as many fewer as that has processes, but one a core. */
function jobs() {
  const cores = availableParallelism()
  return Math.max(cores, JOBS_PER_CORE * cores - Math.round(loadavg()[0]))
}

for (const file of files) {
  // env(1) takes away what tap adds to the environment.
  const argv = ['-u', 'NODE_OPTIONS', process.execPath, '--enable-source-maps', file]
  t.spawn('env', argv, { buffered: true, timeout: HANG_SECONDS * 1000 }, file)
}
