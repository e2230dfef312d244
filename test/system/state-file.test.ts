import { execFileSync, spawnSync } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { StateFile } from '../../src/system/state-file.js'

const LOSS = 'a restart loses it'

/** Makes a state file whose text a test sets, and collects its log. */
function keeping(t: Test, directory = t.testdir(), intervalMs?: number) {
  const path = join(directory, 'state')
  const its = { path, directory, text: '', made: 0, errors: [] as string[], warnings: [] as string[] }
  const text = () => {
    its.made++
    return its.text
  }
  const log = {
    error: (line: string) => its.errors.push(line),
    warn: (line: string) => its.warnings.push(line),
  }
  const file = new StateFile({ path, text, loss: LOSS, log: log as never, ...(intervalMs && { intervalMs }) })
  const set = (text: string) => {
    its.text = text
    file.change()
  }
  return Object.assign(its, { file, set, read: () => readFileSync(path, 'utf8') })
}

/** Makes the disk full, or the folder unwritable, until `mend`. */
interface Fault {
  readonly directory: string
  readonly mend: () => void
}

function fullDisk(t: Test): Fault {
  const directory = mkdtempSync(join(tmpdir(), 'checkvalve-disk-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'disk', directory])
  t.teardown(() => {
    execFileSync('umount', ['-l', directory])
    rmdirSync(directory)
  })
  const filler = join(directory, 'filler')
  execFileSync('sh', ['-c', 'cat /dev/zero 2>/dev/null > "$0" || true', filler])
  return { directory, mend: () => rmSync(filler) }
}

/** Makes a folder at the path of the temporary file: permissions would not stop root. */
function blockedFolder(t: Test): Fault {
  const directory = t.testdir({ 'state.new': {} })
  return { directory, mend: () => rmdirSync(join(directory, 'state.new')) }
}

/** Records the syncs of a write in their order; `before` may let one of them fail or wait. */
async function recordCalls(t: Test, directory: string) {
  const handle = await open(directory)
  const prototype = Object.getPrototypeOf(handle)
  await handle.close()
  const { sync } = prototype
  const its = { calls: [] as string[], before: async (_call: string): Promise<void> => {} }
  prototype.sync = async function (this: Awaited<ReturnType<typeof open>>) {
    const call = (await this.stat()).isDirectory() ? 'sync folder' : 'sync file'
    its.calls.push(`${call} with ${readdirSync(directory)}`)
    await its.before(call)
    return sync.call(this)
  }
  t.teardown(() => Object.assign(prototype, { sync }))
  return its
}

t.test('a changed text replaces the whole file, and a missing folder is created', async (t) => {
  const its = keeping(t, join(t.testdir(), 'var', 'state'))
  its.set('a longer first text')
  t.equal(await its.file.write(), undefined)
  its.set('second')
  t.equal(await its.file.write(), undefined)
  t.equal(its.read(), 'second')
  t.same(readdirSync(its.directory), ['state'])
  t.equal(statSync(its.path).mode & 0o777, 0o640)
  t.same([its.errors, its.warnings], [[], []])
})

t.test('the file is synced before the rename, and its folder after it', async (t) => {
  const its = keeping(t)
  const { calls } = await recordCalls(t, its.directory)
  its.set('text')
  await its.file.write()
  t.same(calls, ['sync file with state.new', 'sync folder with state'])
})

t.test('a text that has not changed is not written again', async (t) => {
  const its = keeping(t)
  await its.file.write()
  await its.file.tick(0)
  t.equal(its.made, 0, 'the text is not made before the first change')
  its.set('text')
  await its.file.write()
  writeFileSync(its.path, 'untouched')
  await its.file.write()
  t.equal(its.made, 1)
  its.set('text')
  t.equal(await its.file.write(), undefined)
  await its.file.tick(0)
  t.equal(its.read(), 'untouched')
  t.equal(its.made, 2)
})

t.test('a text that was read from the file is not written again', async (t) => {
  const its = keeping(t)
  its.file.remember('known')
  its.set('known')
  t.equal(await its.file.write(), undefined)
  t.same(readdirSync(its.directory), [])
  its.set('new')
  await its.file.write()
  t.equal(its.read(), 'new')
})

t.test('writes run in turn, and the last text stays', async (t) => {
  const its = keeping(t)
  const writes = Array.from({ length: 20 }, (_, i) => {
    its.set(`text ${i}`)
    return its.file.write()
  })
  t.ok((await Promise.all(writes)).every((error) => error === undefined))
  t.equal(its.read(), 'text 19')
  t.same(readdirSync(its.directory), ['state'])
})

t.test('a change during a write is written by the next one', async (t) => {
  const its = keeping(t)
  its.set('first')
  const first = its.file.write()
  await Promise.resolve()
  its.set('second')
  await first
  t.equal(its.read(), 'first')
  await its.file.write()
  t.equal(its.read(), 'second')
})

for (const [name, fault, code] of [
  ['a full disk', fullDisk, 'ENOSPC'],
  ['a folder that cannot be written', blockedFolder, 'EISDIR'],
] as const)
  t.test(`${name} is logged once, is tried again by ticks, and is logged when it has ended`, async (t) => {
    const { directory, mend } = fault(t)
    const its = keeping(t, directory)
    its.set('x'.repeat(10_000))
    t.match(await its.file.write(), new RegExp(code))
    for (let now = 0; now < 60_000; now += 1000) await its.file.tick(now)
    t.equal(its.made, 7, 'one try is made in 10 seconds')
    t.equal(its.errors.length, 1)
    t.match(
      its.errors[0],
      new RegExp(`^${its.path} cannot be written: .*${code}.* every 10 s; until then ${LOSS}$`),
    )
    mend()
    await its.file.tick(59_999)
    t.same(its.warnings, [], 'nothing is logged before the next try')
    await its.file.tick(60_000)
    t.equal(its.read(), its.text)
    t.same(its.warnings, [`${its.path} is written again`])
    t.notOk(readdirSync(directory).includes('state.new'))
    await its.file.tick(120_000)
    t.same([its.made, its.errors.length, its.warnings.length], [8, 1, 1])
  })

t.test('a fault that comes back, and a fault that changes, are logged', async (t) => {
  const { directory, mend } = blockedFolder(t)
  const its = keeping(t, directory)
  its.set('text')
  await its.file.write()
  mend()
  await its.file.write()
  mkdirSync(join(directory, 'state.new'))
  its.set('other')
  await its.file.write()
  t.equal(its.errors.length, 2)
  mend()
  mkdirSync(join(directory, 'gone'))
  rmSync(directory, { recursive: true })
  writeFileSync(directory, 'a file where the folder was')
  await its.file.write()
  t.match(its.errors, [/EISDIR/, /EISDIR/, /ENOTDIR/])
  rmSync(directory)
  t.equal(await its.file.write(), undefined)
  t.equal(its.read(), 'other')
})

t.test('when the new text cannot be written, the saved text stays whole', async (t) => {
  const { directory, mend } = fullDisk(t)
  mend()
  const its = keeping(t, directory)
  its.set('kept')
  await its.file.write()
  execFileSync('sh', ['-c', 'cat /dev/zero 2>/dev/null > "$0" || true', join(directory, 'filler')])
  its.set('y'.repeat(10_000))
  t.match(await its.file.write(), /ENOSPC/)
  t.equal(its.read(), 'kept')
})

t.test('after a write that failed at its last step, a return to the previous text is written', async (t) => {
  const its = keeping(t)
  const disk = await recordCalls(t, its.directory)
  its.set('old')
  await its.file.write()
  disk.before = async (call) => {
    if (call === 'sync folder') throw new Error('EIO: i/o error, fsync')
  }
  its.set('new')
  t.match(await its.file.write(), /EIO/)
  t.equal(its.read(), 'new', 'the file has its new name, and may lose it')
  disk.before = async () => {}
  its.set('old')
  t.equal(await its.file.write(), undefined)
  t.equal(its.read(), 'old')
})

t.test('an error while the text is made is treated like a write error', async (t) => {
  const its = keeping(t)
  const log = { error: (line: string) => its.errors.push(line), warn: () => {} }
  const text = () => {
    throw new Error('no text')
  }
  const file = new StateFile({ path: its.path, text, loss: LOSS, log: log as never })
  file.change()
  t.equal(await file.write(), 'no text')
  t.equal(its.errors.length, 1)
})

t.test('an incomplete temporary file does not block the next write, and its mode is not used', async (t) => {
  const its = keeping(t, t.testdir({ 'state.new': 'half a te' }))
  t.equal(statSync(join(its.directory, 'state.new')).mode & 0o004, 0o004)
  its.set('text')
  t.equal(await its.file.write(), undefined)
  t.equal(its.read(), 'text')
  t.same(readdirSync(its.directory), ['state'])
  t.equal(statSync(its.path).mode & 0o777, 0o640)
})

t.test(
  'when a process is killed between write and rename, the next one continues from the previous file',
  async (t) => {
    const its = keeping(t, t.testdir({ state: 'before' }))
    const program = `
    import fs from 'node:fs/promises'
    import { syncBuiltinESMExports } from 'node:module'
    fs.rename = () => process.kill(process.pid, 'SIGKILL')
    syncBuiltinESMExports()
    const { StateFile } = await import(${JSON.stringify(import.meta.resolve('../../src/system/state-file.js'))})
    const file = new StateFile({ path: process.env.STATE_PATH, text: () => 'after', loss: '', log: console })
    file.change()
    await file.write()`
    const { signal } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
      env: { ...process.env, STATE_PATH: its.path },
    })
    t.equal(signal, 'SIGKILL')
    t.equal(its.read(), 'before')
    t.equal(readFileSync(`${its.path}.new`, 'utf8'), 'after')
    its.set('next')
    t.equal(await its.file.write(), undefined)
    t.equal(its.read(), 'next')
    t.same(readdirSync(its.directory), ['state'])
  },
)

t.test('ticks keep the interval; an explicit write does not wait for it', async (t) => {
  const its = keeping(t, t.testdir(), 60_000)
  its.set('a')
  await its.file.tick(5)
  its.set('b')
  await its.file.tick(60_004)
  t.equal(its.read(), 'a')
  await its.file.tick(60_005)
  t.equal(its.read(), 'b')
  its.set('c')
  await its.file.write()
  t.equal(its.read(), 'c')
})

t.test('a text that is slow to make is made by ticks for at most a hundredth of the time', async (t) => {
  const its = keeping(t)
  const { now } = performance
  let clock = 0
  performance.now = () => clock
  t.teardown(() => Object.assign(performance, { now }))
  const log = { error: t.fail, warn: t.fail }
  const text = () => {
    clock += 50
    return `${clock}`
  }
  const file = new StateFile({ path: its.path, text, loss: LOSS, log: log as never })
  for (let now = 0; now <= 10_000; now += 1000) {
    file.change()
    await file.tick(now)
  }
  t.equal(its.read(), '150', 'the text was made at 0, 5000 and 10 000 milliseconds')
})

t.test('ticks during a write that hangs return at once', async (t) => {
  const its = keeping(t)
  const disk = await recordCalls(t, its.directory)
  let release = () => {}
  const reached = new Promise<void>((resolve) => {
    disk.before = () => {
      resolve()
      return new Promise((proceed) => {
        release = proceed
      })
    }
  })
  its.set('first')
  const first = its.file.write()
  await reached
  its.set('second')
  for (let now = 0; now < 100_000; now += 1000) await its.file.tick(now)
  t.equal(its.made, 1)
  disk.before = async () => {}
  release()
  await first
  await its.file.tick(100_000)
  t.equal(its.read(), 'second')
})
