/** Runs LineFile in its own process: standard output, pipes, full disks, and the end of the process. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { PATIENCE_MS } from '../../lab/waiting.js'

const linesOf = (path: string) => readFileSync(path, 'utf8').split('\n').slice(0, -1)

/** Makes a program that uses a LineFile in its own process. */
function program(body: string, destination: string): string {
  const url = new URL('../../../src/records/block-log/line-file.js', import.meta.url)
  return `
    import { LineFile } from ${JSON.stringify(fileURLToPath(url))}
    const reports = []
    const file = new LineFile({ destination: ${JSON.stringify(destination)},
      onTrouble: (error) => reports.push(error.code), onRecovery: () => reports.push('well') })
    const until = async (so) => { while (!so()) await new Promise((resolve) => setTimeout(resolve, 5)) }
    ${body}`
}

/**
 * Runs a program in a shell, with the command in `$RUN`. NODE_OPTIONS would load parts of the test runner.
 */
function run(body: string, destination: string, shell = '$RUN') {
  const folder = mkdtempSync(join(tmpdir(), 'checkvalve-lines-'))
  writeFileSync(join(folder, 'run.mjs'), program(body, destination))
  try {
    return spawnSync(
      'bash',
      ['-c', `unset NODE_OPTIONS; RUN="${process.execPath} ${folder}/run.mjs"; ${shell}`],
      {
        encoding: 'utf8',
        timeout: PATIENCE_MS,
      },
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
}

t.test('stdout is a file of lines as well: it is neither opened again nor closed', async (t) => {
  const body = `
    file.write('line 1\\n')
    file.reopen()
    file.write('line 2\\n')
    await file.close()
    console.log('line 3')`
  for (const shell of [
    '$RUN',
    '$RUN | cat',
    `f=$(mktemp); echo line 0 > $f; $RUN >> $f; tail -n +2 $f; rm $f`,
  ])
    t.equal(run(body, 'stdout', shell).stdout, 'line 1\nline 2\nline 3\n')
})

const SLOW = `
  const line = 'x'.repeat(1023) + '\\n'
  let taken = 0
  while (file.write(line)) taken++
  const began = Date.now()
  await new Promise((resolve) => setTimeout(resolve, 300))
  const lost = await file.close()
  await until(() => !file.hangs)
  console.error(JSON.stringify({ taken, lost, reports, hangs: file.hangs }))`

t.test('a reader of stdout that never reads delays neither the program nor its end', async (t) => {
  // A process has opened the pipe for reading, and never reads.
  const pipe = `${t.testdir()}/pipe`
  const { status, stderr } = run(SLOW, 'stdout', `mkfifo ${pipe}; exec 3<>${pipe}; $RUN >${pipe}`)
  t.equal(status, 0)
  const { taken, lost, reports, hangs } = JSON.parse(stderr)
  t.ok(lost > 0 && lost < taken, "the pipe's capacity is written, and the rest is counted")
  t.same({ reports, hangs }, { reports: [], hangs: false })
})

t.test('a slow reader of stdout receives all lines whole', async (t) => {
  const read = `$RUN | (sleep 0.2; cat) | awk 'length != 1023 { torn++ } END { print NR, torn + 0 }'`
  const { stdout, stderr } = run(SLOW, 'stdout', read)
  const { taken, lost } = JSON.parse(stderr)
  t.equal(lost, 0)
  t.equal(stdout, `${taken} 0\n`)
})

t.test(
  'a reader of stdout that empties the pipe at intervals receives all lines before the end',
  async (t) => {
    // The pipe is filled 64 times, and emptied 2 ms later: a program that checks only every 50 ms does not
    // end in time.
    const take = `const { readSync } = require('fs'), bytes = Buffer.alloc(65_536)
    let n = 0
    while (readSync(0, bytes, 0, 1) > 0) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2)
      n += 1 + readSync(0, bytes)
    }
    console.log(n)`
    const { stdout, stderr } = run(SLOW, 'stdout', `$RUN | ${process.execPath} -e "${take}"`)
    const { taken, lost } = JSON.parse(stderr)
    t.equal(lost, 0)
    t.equal(stdout, `${taken * 1024}\n`)
  },
)

t.test(
  'a reader of stdout that has gone is reported as an error, and does not end the program',
  async (t) => {
    const body = `
    const { isHungUp } = await import(${JSON.stringify(import.meta.resolve('node-netfilter-queue/system'))})
    await until(() => isHungUp(1))
    file.write('line 1\\n')
    await until(() => reports.length > 0)
    console.error(JSON.stringify({ reports, lost: await file.close() }))`
    const { status, stderr } = run(body, 'stdout', 'set -o pipefail; $RUN | true')
    t.equal(status, 0)
    t.equal(stderr, '{"reports":["EPIPE"],"lost":1}\n')
  },
)

t.test('a named pipe without a reader does not block the program', async (t) => {
  const path = `${t.testdir()}/pipe`
  execFileSync('mkfifo', [path])
  const { status, stderr } = run(SLOW, path)
  t.equal(status, 0)
  t.match(JSON.parse(stderr), { reports: [], hangs: false })
})

t.test('with a full disk the process still ends, with and without close', async (t) => {
  for (const end of ['await file.close()', '']) {
    const { status, signal, stderr } = run(`file.write('line 1\\n'); ${end}`, '/dev/full')
    t.same({ status, signal, stderr }, { status: 0, signal: null, stderr: '' })
  }
})

/** Simulates a disk that fills up, by a limit of 1,024 bytes on the size of files: it cuts a write short. */
function fillUp(path: string, then: string) {
  const body = `
    import { renameSync } from 'node:fs'
    process.on('SIGXFSZ', () => {})
    for (let i = 0; i < 30; i++) file.write('line ' + String(i).padEnd(44, '.') + '\\n')
    await until(() => reports.length > 0)
    ${then}
    console.log(JSON.stringify({ reports, lost: await file.close() }))`
  const { stdout, stderr } = run(body, path, 'ulimit -f 1; $RUN')
  return { stderr, ...(JSON.parse(stdout) as { reports: string[]; lost: number }) }
}
const THIRTY = Array.from({ length: 30 }, (_, i) => `line ${String(i).padEnd(44, '.')}\n`).join('')

t.test('a disk that fills up never leaves half a line', async (t) => {
  const path = `${t.testdir()}/lines`
  const moved = fillUp(
    path,
    `renameSync(${JSON.stringify(path)}, ${JSON.stringify(`${path}.1`)}); file.reopen()`,
  )
  t.same(moved, { stderr: '', reports: ['EFBIG', 'well'], lost: 0 })
  const [old, fresh] = [readFileSync(`${path}.1`, 'utf8'), readFileSync(path, 'utf8')]
  t.equal(old.length, 1024)
  const whole = old.slice(0, old.lastIndexOf('\n') + 1)
  t.same(whole + fresh, THIRTY)
})

t.test(
  'lines that a full disk refused at the end are counted, including a line that was begun',
  async (t) => {
    const path = `${t.testdir()}/lines`
    const { reports, lost } = fillUp(path, '')
    t.same(reports, ['EFBIG'])
    t.equal(linesOf(path).length + lost, 30)
  },
)
