import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { GENERATIONS } from '../../src/core/ruleset/marks.js'
import { GenerationFile } from '../../src/policy/generation-file.js'

/** A generation file, and what it logged. */
function generationIn(directory: string, random: () => number = never) {
  const errors: string[] = []
  const log = { error: (line: string) => errors.push(line), warn: () => {} }
  return Object.assign(new GenerationFile(directory, random, log as never), { errors })
}

/** What is no good for a start from any number. */
const never = (): number => {
  throw new Error('a number was drawn though one was kept')
}

/** The generation that a start from `kept` begins with. */
function startFrom(t: Test, kept: string, random: () => number = never): number {
  return generationIn(t.testdir({ generation: kept }), random).current
}

/** The number drawn by a start that finds nothing to go on from: 8 of 15. */
const HALF = () => 0.5
const DRAWN = 8

t.test('a start goes on from the generation before, so that what it approved is judged again', async (t) => {
  const directory = t.testdir()
  const first = generationIn(directory, () => 0)
  t.equal(first.current, 1)
  await first.keep(first.current)
  const second = generationIn(directory)
  t.equal(second.current, 2)
  await second.keep(7)
  t.equal(second.current, 2, 'until the rules stand')
  second.take(7)
  t.equal(second.current, 7)
  t.equal(generationIn(directory).current, 8)
})

t.test('a start whose rules never stood leaves no trace: the next one has the same generation', async (t) => {
  const directory = t.testdir({ generation: '4\n' })
  for (let start = 0; start < 3; start++) t.equal(generationIn(directory).current, 5)
})

t.test('behind the last generation comes the first one', async (t) => {
  t.equal(startFrom(t, `${GENERATIONS}\n`), 1)
  t.equal(startFrom(t, `${GENERATIONS - 1}\n`), GENERATIONS)
})

t.test('where nothing is kept, the start is drawn from all generations alike', async (t) => {
  const drawn = Array.from({ length: GENERATIONS }, (_, i) => {
    const random = () => (i + 0.5) / GENERATIONS
    return generationIn(`${t.testdirName}/nowhere`, random).current
  })
  t.same(
    drawn,
    Array.from({ length: GENERATIONS }, (_, i) => i + 1),
  )
  t.equal(generationIn('/nowhere', () => 1 - Number.EPSILON).current, GENERATIONS)
  t.notOk(existsSync(t.testdirName), 'and nothing is written before the rules stand')
})

t.test('a file that holds no generation is as good as none', async (t) => {
  const bad = ['', '\n', '0', '16', '-3', '1.5', '3 4', 'three', 'NaN', 'Infinity', '\0', '9'.repeat(1000)]
  for (const kept of bad) t.equal(startFrom(t, kept, HALF), DRAWN, JSON.stringify(kept.slice(0, 10)))
})

t.test('a file that cannot be read is as good as none', async (t) => {
  const directory = t.testdir({ generation: {} })
  t.equal(generationIn(directory, HALF).current, DRAWN)
  t.equal(generationIn(`${t.testdir({ file: '' })}/file`, HALF).current, DRAWN)
})

t.test('what is kept is one number, in a folder that is made where it is missing', async (t) => {
  const directory = `${t.testdir()}/var/lib/checkvalve`
  const generation = generationIn(directory, () => 0)
  for (const taken of [10, 9]) {
    await generation.keep(taken)
    t.same(readdirSync(directory), ['generation'])
    t.equal(readFileSync(`${directory}/generation`, 'utf8'), `${taken}\n`)
  }
})

t.test('a generation that cannot be kept is logged, and the write is tried again', async (t) => {
  const inFile = generationIn(`${t.testdir({ file: '' })}/file`, () => 0)
  t.match(await inFile.keep(3), /ENOTDIR/)
  const directory = t.testdir({ generation: {} })
  const blocked = generationIn(directory, () => 0)
  t.match(await blocked.keep(4), /EISDIR/)
  t.match(blocked.errors, [/a restart may leave connections unjudged that this run approved$/])
  rmdirSync(`${directory}/generation`)
  await blocked.tick(0)
  t.equal(readFileSync(`${directory}/generation`, 'utf8'), '4\n')
})

t.test('a generation that is kept is on disk, and the same one is not written again', async (t) => {
  const directory = t.testdir()
  const generation = generationIn(directory, () => 0)
  t.equal(await generation.keep(5), undefined)
  const { ino } = statSync(`${directory}/generation`)
  t.equal(await generation.keep(5), undefined)
  t.equal(statSync(`${directory}/generation`).ino, ino)
})

t.test('a folder that comes later is used', async (t) => {
  const directory = `${t.testdir()}/late`
  const generation = generationIn(directory, () => 0)
  mkdirSync(directory)
  writeFileSync(`${directory}/generation`, '5\n')
  await generation.keep(6)
  t.equal(generationIn(directory).current, 7)
})
