import {
  appendFileSync,
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import t, { type Test } from 'tap'
import { follow } from '../../../src/records/block-log/follow.js'
import { growingOf, showAll } from '../../../src/records/block-log/last-lines.js'
import { LineFile } from '../../../src/records/block-log/line-file.js'
import { closeFiles, openFiles } from '../../../src/records/block-log/rotated-files.js'
import { Unreadable } from '../../../src/records/block-log/unreadable.js'
import { BEGIN, gzipped, lineOf } from './events.js'

/** Makes a log that is followed. The port of each event is its number. */
class Log {
  readonly path: string
  readonly seen: number[] = []
  readonly troubles: string[] = []
  #number = 0
  #time = 0
  #wake: ((goesOn: boolean) => void) | undefined
  #asleep: (() => void) | undefined
  #done: Promise<void> | undefined

  constructor(t: Test) {
    this.path = `${t.testdir()}/blocks.json`
  }

  /** Returns the text of `count` more events. */
  text(count = 1): string {
    return Array.from({ length: count }, () => this.#line()).join('')
  }

  /** Makes a line with the current time, later than the previous one. */
  #line(): string {
    this.#time = Math.max(Date.now(), this.#time + 1)
    return `${lineOf({ port: ++this.#number, at: (this.#time - BEGIN) / 1000 })}\n`
  }

  append(count = 1, path = this.path): void {
    appendFileSync(path, this.text(count))
  }

  /** Starts to follow at the end of the existing lines. */
  async follow(): Promise<void> {
    const { files } = await openFiles(this.path)
    const growing = growingOf(files)
    const end = await showAll(files, { wanted: { since: 0 }, unread: new Unreadable(), growing }, () => {})
    await closeFiles(files.filter((file) => file !== growing))
    this.#done = this.#run(growing && { file: growing, end })
    await this.look(false)
  }

  async #run(place: Parameters<typeof follow>[0]['position']): Promise<void> {
    const pause = () =>
      new Promise<boolean>((resolve) => {
        this.#wake = resolve
        this.#asleep?.()
      })
    const onTrouble = (text: string) => this.troubles.push(text)
    for await (const lines of follow({ path: this.path, position: place, since: BEGIN, pause, onTrouble }))
      for (const line of lines) this.seen.push(JSON.parse(line!)['destination.port'])
  }

  /** Lets the follower read once. */
  async look(first = true): Promise<void> {
    const asleep = new Promise<void>((resolve) => {
      this.#asleep = resolve
    })
    const wake = this.#wake
    this.#wake = undefined
    if (first) wake!(true)
    await asleep
  }

  async end(): Promise<void> {
    await this.look()
    this.#wake!(false)
    await this.#done
  }

  /** Returns the numbers that should have been read: from this one to the last. */
  from(first: number): number[] {
    return Array.from({ length: this.#number - first + 1 }, (_, i) => first + i)
  }
}

async function following(t: Test, before = 3): Promise<Log> {
  const log = new Log(t)
  if (before > 0) log.append(before)
  await log.follow()
  return log
}

t.test('each line is read once, when it is complete', async (t) => {
  const log = await following(t)
  log.append(2)
  await log.look()
  t.same(log.seen, [4, 5])
  const text = log.text()
  appendFileSync(log.path, text.slice(0, 40))
  await log.look()
  t.same(log.seen, [4, 5])
  appendFileSync(log.path, text.slice(40))
  log.append(1)
  await log.end()
  t.same(log.seen, [4, 5, 6, 7])
})

t.test(
  'a moved file is read to its end, also lines that are written before the log is opened again',
  async (t) => {
    for (const create of [false, true]) {
      const log = await following(t)
      log.append()
      renameSync(log.path, `${log.path}.1`)
      if (create) writeFileSync(log.path, '')
      await log.look()
      log.append(2, `${log.path}.1`)
      await log.look()
      t.same(log.seen, [4, 5, 6])
      log.append(1, `${log.path}.1`)
      log.append(2)
      await log.look()
      log.append()
      await log.end()
      t.same(log.seen, log.from(4), create ? 'an empty new file exists' : 'no new file exists')
    }
  },
)

t.test('a line that was begun in the old file and written again in the new one is read once', async (t) => {
  const log = await following(t)
  const text = log.text()
  appendFileSync(log.path, text.slice(0, 100))
  await log.look()
  renameSync(log.path, `${log.path}.1`)
  writeFileSync(log.path, text)
  await log.end()
  t.same(log.seen, [4])
})

t.test(
  'files that are created and removed between two reads are read: moved, compressed, with a date in the name',
  async (t) => {
    const log = await following(t)
    log.append(2)
    renameSync(log.path, `${log.path}.1`)
    log.append(2)
    renameSync(`${log.path}.1`, `${log.path}.2`)
    renameSync(log.path, `${log.path}.1`)
    log.append(2)
    await log.look()
    t.same(log.seen, log.from(4), 'two rotations have happened')

    log.append(2)
    for (const day of [27, 28, 29]) {
      writeFileSync(`${log.path}-202611${day}.gz`, gzipped(readFileSync(log.path, 'utf8')))
      rmSync(log.path)
      log.append(2)
    }
    await log.end()
    t.same(log.seen, log.from(4), 'three rotations have happened, with compression')
  },
)

t.test('copytruncate loses no copied line: the copy is read to its end', async (t) => {
  const log = await following(t)
  log.append(2)
  await log.look()
  log.append(3)
  copyFileSync(log.path, `${log.path}.1`)
  truncateSync(log.path)
  await log.look()
  log.append(2)
  await log.look()
  t.same(log.seen, log.from(4))

  log.append(1)
  writeFileSync(`${log.path}.1.gz`, gzipped(readFileSync(log.path, 'utf8')))
  rmSync(`${log.path}.1`)
  truncateSync(log.path)
  log.append(50)
  await log.end()
  t.same(log.seen, log.from(4), 'the file has grown beyond its earlier length')
})

t.test('after a file is emptied without a copy, the follower continues with new lines', async (t) => {
  const log = await following(t)
  truncateSync(log.path)
  log.append(2)
  await log.end()
  t.same(log.seen, [4, 5])
})

t.test('a deleted file is read to its end, and the next file from its beginning', async (t) => {
  const log = await following(t)
  const fd = openSync(log.path, 'a')
  rmSync(log.path)
  writeSync(fd, log.text(2))
  await log.look()
  t.same(log.seen, [4, 5])
  writeSync(fd, log.text(1))
  closeSync(fd)
  log.append(2)
  await log.end()
  t.same(log.seen, log.from(4))
})

t.test('files that are created and removed after the current one was deleted are read', async (t) => {
  const log = await following(t)
  rmSync(log.path)
  log.append(2)
  renameSync(log.path, `${log.path}.1`)
  log.append(2)
  await log.end()
  t.same(log.seen, log.from(4))
})

t.test('a file that begins with a line that is too long is followed, also after it is emptied', async (t) => {
  const log = new Log(t)
  writeFileSync(log.path, `${'x'.repeat(100_000)}\n`)
  await log.follow()
  log.append(1)
  await log.look()
  truncateSync(log.path)
  log.append(1)
  await log.end()
  t.same(log.seen, [1, 2])
})

t.test('the follower waits for a log that does not exist yet, and for its folder', async (t) => {
  const log = await following(t, 0)
  await log.look()
  log.append(2)
  await log.look()
  t.same(log.seen, [1, 2])
  rmSync(log.path)
  await log.look()
  log.append(1)
  await log.end()
  t.same(log.seen, [1, 2, 3])
  t.same(log.troubles, [])
})

t.test('a follower that starts during a rotation misses no line', async (t) => {
  const log = new Log(t)
  log.append(3)
  renameSync(log.path, `${log.path}.1`)
  writeFileSync(log.path, '')
  await log.follow()
  log.append(1, `${log.path}.1`)
  await log.look()
  log.append(1)
  await log.end()
  t.same(log.seen, [4, 5])
})

t.test('bytes at the beginning that are not UTF-8 do not make the file look like another one', async (t) => {
  const log = new Log(t)
  writeFileSync(log.path, Buffer.concat([Buffer.from([0x22, 0xff, 0x22, 0x0a])]))
  await log.follow()
  log.append(1)
  await log.look()
  log.append(1)
  await log.end()
  t.same(log.seen, [1, 2])
})

t.test('lines that the service writes during hundreds of rotations are read once, in order', async (t) => {
  const log = new Log(t)
  const fail = (error: Error) => t.fail(error)
  const file = new LineFile({ destination: log.path, onTrouble: fail, onRecovery: () => {} })
  await log.follow()
  for (let round = 1; round <= 300; round++) {
    for (let line = 0; line < 10; line++) {
      file.write(log.text())
      if (line % 4 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    renameSync(log.path, `${log.path}.${round}`)
    file.reopen()
    if (round % 7 === 0) await log.look()
    while (!existsSync(log.path)) await new Promise((resolve) => setImmediate(resolve))
  }
  await file.close()
  await log.end()
  t.same(log.seen, log.from(1))
})
