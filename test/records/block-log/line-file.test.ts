import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import t, { type Test } from 'tap'
import { LineFile } from '../../../src/records/block-log/line-file.js'
import { eventually } from '../../lab/waiting.js'

/** Opens a file of lines, and collects its reports. */
function opened(t: Test, destination = `${t.testdir()}/lines`) {
  const reports: string[] = []
  const file = new LineFile({
    destination,
    onTrouble: (error) => reports.push(error.code ?? error.message),
    onRecovery: () => reports.push('well'),
  })
  t.teardown(() => file.close())
  return { file, reports, path: destination }
}

const linesOf = (path: string) => readFileSync(path, 'utf8').split('\n').slice(0, -1)
const numbers = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, i) => `line ${first + i}`)

const until = (so: () => boolean) => eventually(String(so), so)

t.test('lines are appended to the file in their order, and all of them are in it after close', async (t) => {
  const { file, reports, path } = opened(t, `${t.testdir({ lines: 'line 0\n' })}/lines`)
  for (let i = 1; i <= 5000; i++) file.write(`line ${i}\n`)
  t.equal(await file.close(), 0, 'no line was lost')
  t.same(linesOf(path), numbers(0, 5000))
  t.same(reports, [])
})

t.test('a line is written without a close or another line', async (t) => {
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

t.test('missing folders are created, and other users may not read the file', async (t) => {
  const { path } = opened(t, `${t.testdir()}/log/checkvalve/lines`)
  t.equal(statSync(path).mode & 0o007, 0)
})

t.test('a file that cannot be opened at start is an error at once', async (t) => {
  for (const [destination, code] of [
    [t.testdir(), 'EISDIR'],
    ['/proc/checkvalve/lines', 'ENOENT'],
  ] as const)
    t.throws(() => new LineFile({ destination, onTrouble: () => {}, onRecovery: () => {} }), { code })
})

t.test(
  'when the file is moved and opened again, no line is lost, and each line is in one of the files',
  async (t) => {
    const { file, reports, path } = opened(t)
    let next = 1
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < 50; i++) file.write(`line ${next++}\n`)
      if (round % 2 === 0) await new Promise((resolve) => setImmediate(resolve))
      renameSync(path, `${path}.${String(round).padStart(2, '0')}`)
      file.reopen()
      file.reopen()
      await until(() => readdirSync(t.testdirName).includes('lines'))
    }
    t.equal(await file.close(), 0)
    const files = readdirSync(t.testdirName)
    t.equal(files.length, 21)
    const all = files.flatMap((name) => linesOf(`${t.testdirName}/${name}`))
    t.same(all.toSorted(), numbers(1, 1000).toSorted())
    t.same(reports, [])
  },
)

t.test('neither reopening nor close leaves a descriptor open', async (t) => {
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
  'a full disk throws nothing and is reported once; lines that exceed the memory limit are refused',
  async (t) => {
    const { file, reports } = opened(t, '/dev/full')
    const line = `${'x'.repeat(1023)}\n`
    const taken = () => Array.from({ length: 5000 }, () => file.write(line)).filter(Boolean).length
    const first = taken()
    await until(() => reports.length > 0)
    t.notOk(file.isWell)
    const all = first + taken()
    t.ok(all >= 4096 && all <= 4096 + 64, `${all} KiB are waiting`)
    t.equal(await file.close(), all, 'no line was written, so all were lost in the end')
    t.same(reports, ['ENOSPC'])
  },
)

t.test(
  'lines that waited for a full disk are written later; recovery and new failures are reported',
  async (t) => {
    // The path leads to a full disk first, then to a working file: by its folder, which may be a link.
    const root = t.testdir({ good: {} })
    const folder = `${root}/log`
    symlinkSync('/dev', folder)
    const { file, reports } = opened(t, `${folder}/full`)
    const lead = (to: string) => {
      rmSync(folder)
      symlinkSync(to, folder)
    }
    for (const round of [0, 1]) {
      file.write(`line ${round * 2 + 1}\n`)
      await until(() => reports.length === round * 2 + 1)
      file.write(`line ${round * 2 + 2}\n`)
      lead(`${root}/good`)
      await until(() => reports.length === round * 2 + 2)
      // The line that failed is written; the lines that arrived meanwhile are next.
      await until(() => linesOf(`${root}/good/full`).length >= round * 2 + 2)
      t.same(linesOf(`${root}/good/full`), numbers(1, round * 2 + 2))
      t.ok(file.isWell)
      lead('/dev')
    }
    t.equal(await file.close(), 0)
    t.same(reports, ['ENOSPC', 'well', 'ENOSPC', 'well'])
  },
)

t.test(
  'lines go through no symbolic link, at the start or later: it could lead to a file of root',
  async (t) => {
    const root = t.testdir({ target: 'important\n' })
    const path = `${root}/lines`
    symlinkSync(`${root}/target`, path)
    t.throws(() => new LineFile({ destination: path, onTrouble: () => {}, onRecovery: () => {} }), {
      code: 'ELOOP',
    })
    rmSync(path)
    const { file, reports } = opened(t, path)
    file.write('line 1\n')
    await until(() => linesOf(path).length === 1)
    renameSync(path, `${path}.moved`)
    symlinkSync(`${root}/target`, path)
    file.write('line 2\n')
    await until(() => linesOf(`${path}.moved`).length === 2)
    t.same(reports, ['ELOOP'])
    rmSync(path)
    // Not even one that leads to the open file: it may lead elsewhere a moment later.
    symlinkSync(`${path}.moved`, path)
    file.write('line 3\n')
    await until(() => linesOf(`${path}.moved`).length === 3)
    t.same(reports, ['ELOOP'])
    rmSync(path)
    file.write('line 4\n')
    await until(() => reports.length === 2)
    t.same([linesOf(path), linesOf(`${root}/target`), reports[1]], [['line 4'], ['important'], 'well'])
  },
)

t.test(
  'a file that was moved or deleted, with or without its folder, is noticed before the next line',
  async (t) => {
    const { file, reports, path } = opened(t, `${t.testdir()}/log/lines`)
    const log = dirname(path)
    file.write('line 1\n')
    await until(() => linesOf(path).length === 1)
    renameSync(path, `${path}.moved`)
    file.write('line 2\n')
    await until(() => existsSync(path) && linesOf(path).length === 1)
    renameSync(path, `${path}.touched`)
    writeFileSync(path, '')
    file.write('line 3\n')
    await until(() => linesOf(path).length === 1)
    t.same([...linesOf(`${path}.moved`), ...linesOf(`${path}.touched`), ...linesOf(path)], numbers(1, 3))
    rmSync(path)
    file.write('line 4\n')
    await until(() => existsSync(path) && linesOf(path).length === 1)
    renameSync(log, `${log}.moved`)
    file.write('line 5\n')
    await until(() => existsSync(path) && linesOf(path).length === 1)
    t.same([...linesOf(`${log}.moved/lines`), ...linesOf(path)], numbers(4, 5))
    rmSync(log, { recursive: true })
    file.write('line 6\n')
    t.equal(await file.close(), 0)
    t.same(linesOf(path), ['line 6'])
    t.same(reports, [], 'none of these is an error')
  },
)

t.test('after copytruncate has emptied the file, lines are written from its start', async (t) => {
  const { file, path } = opened(t)
  file.write('line 1\n')
  await until(() => linesOf(path).length === 1)
  copyFileSync(path, `${path}.1`)
  truncateSync(path)
  file.write('line 2\n')
  await file.close()
  t.same([...linesOf(`${path}.1`), ...linesOf(path)], numbers(1, 2))
})

t.test(
  'when no new file can be created, lines go to the old file while it has a name; one report follows',
  async (t) => {
    const { file, reports, path } = opened(t, `${t.testdir({ log: {} })}/log/lines`)
    const log = dirname(path)
    renameSync(log, `${log}.moved`)
    writeFileSync(log, 'in the way')
    file.reopen()
    await until(() => reports.length === 1)
    file.write('line 1\n')
    await until(() => linesOf(`${log}.moved/lines`).length === 1)
    rmSync(`${log}.moved`, { recursive: true })
    file.write('line 2\n')
    await new Promise((resolve) => setTimeout(resolve, 50))
    rmSync(log)
    await until(() => reports.length === 2)
    t.equal(await file.close(), 0)
    t.same(linesOf(path), ['line 2'], 'lines for a file without a name have waited')
    t.same(reports, ['ENOTDIR', 'well'])
  },
)

t.test('after a signal the new file is created before its first line', async (t) => {
  const { file, path } = opened(t)
  renameSync(path, `${path}.1`)
  file.reopen()
  await until(() => existsSync(path))
  file.reopen()
  await file.close()
  t.same(linesOf(path), [])
})

t.test('a file that ends within a line, as after a crash, gets a line feed first', async (t) => {
  const { file, path } = opened(t, `${t.testdir({ lines: 'line 1\nli' })}/lines`)
  file.write('line 2\n')
  await until(() => linesOf(path).length === 3)
  writeFileSync(`${path}.new`, 'li')
  renameSync(`${path}.new`, path)
  file.write('line 3\n')
  file.write('line 4\n')
  await file.close()
  t.same(linesOf(path), ['li', 'line 3', 'line 4'])
})

t.test('after close, lines are refused; a second close or reopening does nothing', async (t) => {
  const { file, reports, path } = opened(t)
  t.equal(await file.close(), 0)
  t.notOk(file.write('line 1\n'))
  file.reopen()
  t.equal(await file.close(), 0)
  t.same(linesOf(path), [])
  t.same(reports, [])
})
