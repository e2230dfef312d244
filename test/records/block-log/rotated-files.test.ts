import { execFileSync } from 'node:child_process'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import t, { type Test } from 'tap'
import type { BlockFilter, SelectedLine } from '../../../src/records/block-log/filter.js'
import { type Begin, growingOf, showAll, showLast } from '../../../src/records/block-log/last-lines.js'
import { closeFiles, openFiles, readWhole } from '../../../src/records/block-log/rotated-files.js'
import { firstSince, linesFrom, sourceOf } from '../../../src/records/block-log/source.js'
import { Unreadable } from '../../../src/records/block-log/unreadable.js'
import { pause } from '../../lab/waiting.js'
import { BEGIN, type Event, gzipped, lineOf, textOf } from './events.js'

/** Makes events, one each second. The port of each event is its number. */
const events = (first: number, last: number): Event[] =>
  Array.from({ length: last - first + 1 }, (_, i) => ({ at: first + i, port: first + i }))

function folder(t: Test, files: Readonly<Record<string, string | Buffer>>): string {
  const directory = t.testdir()
  for (const [name, content] of Object.entries(files)) writeFileSync(`${directory}/${name}`, content)
  return `${directory}/blocks.json`
}

const EVERYTHING: BlockFilter = { since: 0 }
const portsOf = (picked: readonly SelectedLine[]) =>
  picked.map(({ line }) => (line.kind === 'block' ? line.port : undefined))
const range = (first: number, last: number) => events(first, last).map(({ port }) => port)

/** Returns the events that are read from a log: all of them, or the last ones. */
async function shown(
  t: Test,
  path: string,
  some: { count?: number; wanted?: BlockFilter; isGrowing?: boolean } = {},
) {
  const { files, unread: paths } = await openFiles(path)
  t.teardown(() => closeFiles(files).catch(() => {}))
  const unread = new Unreadable()
  const growing = some.isGrowing ? growingOf(files) : undefined
  const begin: Begin = { wanted: some.wanted ?? EVERYTHING, unread, growing }
  const picked: SelectedLine[] = []
  const take = (more: readonly SelectedLine[]) => picked.push(...more)
  const { count } = some
  const end = await (count === undefined ? showAll(files, begin, take) : showLast(files, begin, count, take))
  const names = files.map((file) => basename(file.path))
  return {
    names,
    paths: paths.map((each) => basename(each)),
    ports: portsOf(picked),
    end,
    growing,
    notes: unread.notes(),
  }
}

t.test('all files of a log are read, by the names that logrotate gives them, the newest last', async (t) => {
  const path = folder(t, {
    'blocks.json': textOf(events(60, 69)),
    'blocks.json.1': textOf(events(50, 59)),
    'blocks.json.2.gz': gzipped(textOf(events(40, 49))),
    'blocks.json.10.gz': gzipped(textOf(events(30, 39))),
    'blocks.json-20261126.gz': gzipped(textOf(events(10, 19))),
    'blocks.json-20261127': textOf(events(20, 29)),
    'blocks.json-2026112618': textOf(events(5, 9)),
    'blocks.json.swp': textOf(events(900, 901)),
    'blocks.json.1.orig': textOf(events(900, 901)),
    'blocks.json.gz': gzipped(textOf(events(900, 901))),
    'other.json.1': textOf(events(900, 901)),
    'blocks.json.3.xz': 'unreadable',
  })
  const { names, ports, notes, paths } = await shown(t, path)
  t.same(ports, range(5, 69))
  t.same(names, [
    'blocks.json-2026112618',
    'blocks.json-20261126.gz',
    'blocks.json-20261127',
    'blocks.json.10.gz',
    'blocks.json.2.gz',
    'blocks.json.1',
    'blocks.json',
  ])
  t.same(
    [notes, paths],
    [[], ['blocks.json.3.xz is not read: only .gz is']],
    'files with another compression are named',
  )
})

t.test('an old file that cannot be read is named, and the others are read', async (t) => {
  const path = folder(t, { 'blocks.json': textOf(events(1, 3)) })
  mkdirSync(`${path}.1`)
  execFileSync('mkfifo', [`${path}.2`])
  const { ports, paths } = await shown(t, path)
  t.same(ports, range(1, 3))
  t.match(paths.sort(), [/^blocks\.json\.1 cannot be read: EISDIR/, /^blocks\.json\.2 cannot be read: /])
})

t.test('a file that is being compressed is read once, from the uncompressed file', async (t) => {
  const path = folder(t, {
    'blocks.json': textOf(events(20, 29)),
    'blocks.json.1': textOf(events(10, 19)),
    'blocks.json.1.gz': gzipped(textOf(events(10, 19))).subarray(0, 40),
  })
  t.same((await shown(t, path)).ports, range(10, 29))
})

t.test('a damaged compressed file is read as far as possible, and is named', async (t) => {
  const whole = gzipped(textOf(events(1, 2000)))
  const path = folder(t, {
    'blocks.json.1.gz': whole.subarray(0, whole.length / 2),
    'blocks.json': textOf(events(3000, 3001)),
  })
  const { ports, notes } = await shown(t, path)
  t.same(ports.slice(-2), [3000, 3001])
  t.ok(ports.length > 100 && ports.length < 2000, `${ports.length} events were read`)
  t.match(notes[0], /blocks\.json\.1\.gz cannot be read to its end: unexpected end of file/)
})

t.test('a compressed file is recognized by its bytes, under any name', async (t) => {
  const path = folder(t, {
    'blocks.json.1': gzipped(textOf(events(1, 5))),
    'blocks.json': textOf(events(6, 7)),
  })
  t.same((await shown(t, path)).ports, range(1, 7))
})

t.test('the last events are read from the end, from as many files as needed', async (t) => {
  const path = folder(t, {
    'blocks.json.2.gz': gzipped(textOf(events(1, 3000))),
    'blocks.json.1': textOf(events(3001, 6000)),
    'blocks.json': textOf(events(6001, 6003)),
  })
  for (const count of [0, 1, 3, 4, 700, 2000, 3003, 3004, 5000, 6003, 9000]) {
    const { ports } = await shown(t, path, { count })
    t.same(ports, range(1, 6003).slice(count === 0 ? 6003 : -count), `${count} events are wanted`)
  }
  const wanted = { since: BEGIN + 5990_000 }
  t.same((await shown(t, path, { count: 100, wanted })).ports, range(5990, 6003))
  t.same((await shown(t, path, { count: 5, wanted })).ports, range(5999, 6003))
})

t.test('the last events of one user are found, however far back they are', async (t) => {
  const path = folder(t, {
    'blocks.json.1': textOf(events(1, 5).map((each) => ({ ...each, user: 'deploy', uid: 1000 }))),
    'blocks.json': textOf(events(6, 3000)),
  })
  const wanted = { since: 0, user: { name: 'deploy', uid: 1000 } }
  t.same((await shown(t, path, { count: 3, wanted })).ports, range(3, 5))
})

t.test(
  'a follower receives the position after the last complete line, and reads the rest later',
  async (t) => {
    const text = textOf(events(1, 3))
    const path = folder(t, { 'blocks.json': `${text}${lineOf({ port: 4 }).slice(0, 50)}` })
    for (const count of [undefined, 10, 0]) {
      const { ports, end, notes } = await shown(t, path, {
        ...(count !== undefined && { count }),
        isGrowing: true,
      })
      t.same([ports, end, notes], [count === 0 ? [] : range(1, 3), text.length, []])
    }
    const { ports, notes } = await shown(t, path)
    t.same([ports, notes], [range(1, 3), ['1 line is no event: 1 cut short']])
  },
)

t.test('a last line without a line feed is read as an event', async (t) => {
  const path = folder(t, { 'blocks.json': textOf(events(1, 3)).trimEnd() })
  t.same((await shown(t, path)).ports, range(1, 3))
})

t.test('while the new file is empty, the file that was just moved is the one that grows', async (t) => {
  const moved = folder(t, {
    'blocks.json': '',
    'blocks.json.1': textOf(events(1, 3)),
    'blocks.json.2.gz': gzipped(''),
  })
  t.match((await shown(t, moved, { count: 2, isGrowing: true })).growing, { path: `${moved}.1` })
  const gone = folder(t, { 'blocks.json.1': textOf(events(1, 3)) })
  t.match((await shown(t, gone, { isGrowing: true })).growing, { path: `${gone}.1` })
  const compressed = folder(t, { 'blocks.json.1.gz': gzipped(textOf(events(1, 3))) })
  t.equal((await shown(t, compressed, { isGrowing: true })).growing, undefined)
})

t.test('files that end before the wanted time are skipped', async (t) => {
  const path = folder(t, {
    'blocks.json.2.gz': gzipped(textOf(events(1, 9))),
    'blocks.json.1': textOf(events(10, 19)),
    'blocks.json': textOf(events(20, 29)),
  })
  const found = await openFiles(path)
  t.teardown(() => closeFiles(found.files))
  for (const [at, first] of [
    [0, 0],
    [10, 0],
    [11, 1],
    [20, 1],
    [25, 2],
    [1000, 2],
  ] as const)
    t.equal(firstSince(found, BEGIN + at * 1000), first, `the wanted time is ${at}`)
})

t.test('no line is missing or repeated while files are rotated during the read', async (t) => {
  const path = folder(t, { 'blocks.json': textOf(events(1, 1)) })
  let last = 1
  let isOver = false
  let rounds = 0
  const rotating = (async () => {
    for (let round = 0; round < 60 || rounds <= 3; round++) {
      for (let number = 5; number >= 1; number--)
        try {
          renameSync(`${path}.${number}`, `${path}.${number + 1}`)
        } catch {
          // The file does not exist yet.
        }
      renameSync(path, `${path}.1`)
      writeFileSync(path, textOf(events(last + 1, ++last)))
      await pause(3)
      // A reader gives up on a log that is rotated without a pause: the test pauses now and then, however
      // slow the reader is.
      if (round % 20 === 19) for (const before = rounds; rounds === before; ) await pause(3)
    }
    isOver = true
  })()
  while (!isOver) {
    const { files } = await openFiles(path)
    const ports: (number | undefined)[] = []
    for (const file of files)
      for await (const lines of readWhole(file, (text) => t.fail(text)))
        for (const line of lines) ports.push(JSON.parse(line!)['destination.port'])
    await closeFiles(files)
    t.same(ports, range(Number(ports[0]), Number(ports.at(-1))), 'the events are consecutive')
    rounds++
  }
  await rotating
  t.ok(rounds > 3, `${rounds} rotations happened`)
})

t.test('a source that cannot be read is reported, with the remedy', async (t) => {
  const readAll = async (word: string | undefined, destination = '/nowhere/blocks.json') => {
    for await (const _ of linesFrom(
      sourceOf(word, () => destination, 'tail'),
      0,
      new Unreadable(),
    ));
  }
  const directory = t.testdir()
  await t.rejects(readAll(`${directory}/none`), { message: `${directory}/none does not exist` })
  await t.rejects(readAll(directory), { message: /cannot be read: EISDIR/ })
  await t.rejects(readAll(undefined), {
    message: /there is no block log at \/nowhere\/blocks\.json: has the service run\?/,
  })
  await t.rejects(readAll(undefined, 'stdout'), {
    message:
      'the blocks are in the journal (log.destination is stdout): journalctl -u checkvalve -o cat | checkvalve tail -',
  })
  mkdirSync(`${directory}/blocks.json`)
  await t.rejects(readAll(undefined, `${directory}/blocks.json`), { message: /cannot be read: EISDIR/ })
})
