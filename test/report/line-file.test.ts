import { spawnSync } from 'node:child_process'
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { LineFile } from '../../src/report/line-file.js'

/** A file of lines, and what was told of it. */
function opened(t: Test, destination = `${t.testdir()}/lines`) {
  const told = { dropped: 0, troubles: [] as string[] }
  const file = new LineFile({
    destination,
    onDrop: (lines) => {
      told.dropped += lines
    },
    onTrouble: (error) => told.troubles.push((error as NodeJS.ErrnoException).code ?? error.message),
  })
  t.teardown(() => file.close())
  return { file, told, path: destination }
}

const linesOf = (path: string) => readFileSync(path, 'utf8').split('\n').slice(0, -1)
const numbers = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, i) => `line ${first + i}`)

/** Waits until something is so, two seconds at most. */
async function until(so: () => boolean): Promise<void> {
  for (let tries = 200; tries > 0 && !so(); tries--) await new Promise((resolve) => setTimeout(resolve, 10))
  if (!so()) throw new Error(`it did not come about: ${so}`)
}

t.test('lines are added to what the file holds, in their order, and are all there after close', async (t) => {
  const { file, told, path } = opened(t, `${t.testdir({ lines: 'line 0\n' })}/lines`)
  for (let i = 1; i <= 5000; i++) file.write(`line ${i}\n`)
  await file.close()
  t.same(linesOf(path), numbers(0, 5000))
  t.same(told, { dropped: 0, troubles: [] })
})

t.test('a line goes to the file by itself, without a close or another line', async (t) => {
  const { file, path } = opened(t)
  file.write('line 1\n')
  await until(() => linesOf(path).length === 1)
  file.write('line 2\n')
  await until(() => linesOf(path).length === 2)
})

t.test('letters outside of ASCII are written whole', async (t) => {
  const { file, path } = opened(t)
  for (let i = 0; i < 2000; i++) file.write('Käse 🧀 チーズ\n'.repeat(3))
  await file.close()
  t.same([linesOf(path).length, ...new Set(linesOf(path))], [6000, 'Käse 🧀 チーズ'])
})

t.test('missing folders are made, and the file is nothing for everybody to read', async (t) => {
  const { path } = opened(t, `${t.testdir()}/log/checkvalve/lines`)
  t.equal(statSync(path).mode & 0o007, 0)
})

t.test('a file that cannot be opened at start is an error at once', async (t) => {
  for (const [destination, code] of [
    [t.testdir(), 'EISDIR'],
    ['/proc/checkvalve/lines', 'ENOENT'],
  ] as const)
    t.throws(() => new LineFile({ destination, onDrop: () => {}, onTrouble: () => {} }), { code })
})

t.test(
  'reopening after the file was moved loses no line, and each line is in one of the files',
  async (t) => {
    const { file, told, path } = opened(t)
    let next = 1
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < 50; i++) file.write(`line ${next++}\n`)
      if (round % 2 === 0) await new Promise((resolve) => setImmediate(resolve))
      renameSync(path, `${path}.${String(round).padStart(2, '0')}`)
      file.reopen()
      file.reopen()
      await until(() => readdirSync(t.testdirName).includes('lines'))
    }
    await file.close()
    const files = readdirSync(t.testdirName)
    t.equal(files.length, 21)
    const all = files.flatMap((name) => linesOf(`${t.testdirName}/${name}`))
    t.same(all.toSorted(), numbers(1, 1000).toSorted())
    t.same(told, { dropped: 0, troubles: [] })
  },
)

t.test('no descriptor is left open by reopening or by close', async (t) => {
  const { file, path } = opened(t)
  const open = () =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith(path)
      } catch {
        return false
      }
    }).length
  for (let i = 0; i < 10; i++) {
    renameSync(path, `${path}.old`)
    file.reopen()
    await until(() => readdirSync(t.testdirName).includes('lines'))
  }
  file.write('line 1\n')
  await until(() => linesOf(path).length === 1)
  t.equal(open(), 1)
  await file.close()
  t.equal(open(), 0)
})

t.test(
  'a full disk throws nothing and is told of once; lines beyond the buffer are dropped and counted',
  async (t) => {
    const { file, told } = opened(t, '/dev/full')
    const line = `${'x'.repeat(1023)}\n`
    for (let i = 0; i < 5000; i++) file.write(line)
    await until(() => told.troubles.length > 0)
    for (let i = 0; i < 5000; i++) file.write(line)
    t.ok(told.dropped >= 10_000 - 4096 - 64 && told.dropped < 10_000, `${told.dropped} dropped: 4 MiB wait`)
    const began = performance.now()
    await file.close()
    t.ok(performance.now() - began < 1000, 'and closing does not wait for the disk')
    t.equal(told.dropped, 10_000, 'none was written, so all were dropped in the end')
    t.same(told.troubles, ['ENOSPC'])
  },
)

t.test(
  'lines that waited for a full disk are written once there is room, and a new failure is told again',
  async (t) => {
    // What the path leads to is a full disk first, then a good one.
    const path = `${t.testdir()}/lines`
    symlinkSync('/dev/full', path)
    const { file, told } = opened(t, path)
    const lead = (to: string) => {
      rmSync(path)
      symlinkSync(to, path)
      file.reopen()
    }
    for (const round of [0, 1]) {
      file.write(`line ${round * 2 + 1}\n`)
      await until(() => told.troubles.length === round + 1)
      file.write(`line ${round * 2 + 2}\n`)
      lead(`${path}.good`)
      await until(() => readdirSync(t.testdirName).includes('lines.good'))
      await until(() => linesOf(`${path}.good`).length === round * 2 + 2)
      lead('/dev/full')
      await until(() => readlinkSync(path) === '/dev/full')
    }
    await file.close()
    t.same(linesOf(`${path}.good`), numbers(1, 4))
    t.same(told, { dropped: 0, troubles: ['ENOSPC', 'ENOSPC'] })
  },
)

t.test('where reopening fails, that is told, and lines go on to the old file', async (t) => {
  const { file, told, path } = opened(t, `${t.testdir({ log: {} })}/log/lines`)
  renameSync(`${t.testdirName}/log`, `${t.testdirName}/moved`)
  file.reopen()
  await until(() => told.troubles.length === 1)
  file.write('line 1\n')
  await until(() => linesOf(`${t.testdirName}/moved/lines`).length === 1)
  mkdirSync(`${t.testdirName}/log`)
  file.reopen()
  file.write('line 2\n')
  await file.close()
  t.same(linesOf(path), ['line 2'])
  t.same(told, { dropped: 0, troubles: ['ENOENT'] })
})

t.test('a file that vanished is no trouble until it is opened anew', async (t) => {
  const { file, told, path } = opened(t)
  rmSync(path)
  file.write('line 1\n')
  await new Promise((resolve) => setTimeout(resolve, 20))
  file.reopen()
  file.write('line 2\n')
  await file.close()
  t.same(linesOf(path), ['line 2'])
  t.same(told.troubles, [])
})

t.test('after close, lines are dropped and counted; closing or reopening again does nothing', async (t) => {
  const { file, told, path } = opened(t)
  await file.close()
  file.write('line 1\n')
  file.reopen()
  await file.close()
  t.same(linesOf(path), [])
  t.same(told, { dropped: 1, troubles: [] })
})

/** A program that does something with a LineFile, in a process of its own, which `limit` can restrict. */
function run(body: string, destination: string, limit = 'true') {
  const url = new URL('../../src/report/line-file.js', import.meta.url)
  const program = `
    import { LineFile } from ${JSON.stringify(fileURLToPath(url))}
    const troubles = []
    let dropped = 0
    const file = new LineFile({ destination: ${JSON.stringify(destination)},
      onDrop: (lines) => { dropped += lines }, onTrouble: (error) => troubles.push(error.code) })
    ${body}`
  // NODE_OPTIONS would load parts of the test runner, which write files of their own.
  const shell = `unset NODE_OPTIONS; ${limit}; exec "$0" "$@"`
  const argv = ['-c', shell, process.execPath, '--input-type=module', '-e', program]
  return spawnSync('bash', argv, { encoding: 'utf8', timeout: 20_000 })
}

t.test('stdout is a file of lines as well: it is neither opened anew nor closed', async (t) => {
  const body = `
    file.write('line 1\\n')
    file.reopen()
    file.write('line 2\\n')
    await file.close()
    console.log('line 3')`
  t.equal(run(body, 'stdout').stdout, 'line 1\nline 2\nline 3\n')
})

t.test('a full disk never keeps the process from ending, closed or not', async (t) => {
  for (const end of ['await file.close()', '']) {
    const { status, signal, stderr } = run(`file.write('line 1\\n'); ${end}`, '/dev/full')
    t.same({ status, signal, stderr }, { status: 0, signal: null, stderr: '' })
  }
})

t.test('a line is never torn in two by a disk that fills up', async (t) => {
  // A limit of one block of 1,024 bytes on the size of files stands in for the disk: it cuts a write short.
  const path = `${t.testdir()}/lines`
  const body = `
    import { renameSync } from 'node:fs'
    process.on('SIGXFSZ', () => {})
    for (let i = 0; i < 30; i++) file.write('line ' + String(i).padEnd(44, '.') + '\\n')
    while (troubles.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    renameSync(${JSON.stringify(path)}, ${JSON.stringify(`${path}.1`)})
    file.reopen()
    await file.close()
    console.log(JSON.stringify({ troubles, dropped }))`
  const { stdout, stderr } = run(body, path, 'ulimit -f 1')
  t.equal(stderr, '')
  t.equal(stdout, '{"troubles":["EFBIG"],"dropped":0}\n')
  const [old, fresh] = [readFileSync(`${path}.1`, 'utf8'), readFileSync(path, 'utf8')]
  t.equal(old.length, 1024)
  const whole = old.slice(0, old.lastIndexOf('\n') + 1)
  const expected = Array.from({ length: 30 }, (_, i) => `line ${String(i).padEnd(44, '.')}\n`)
  t.same(whole + fresh, expected.join(''))
})
