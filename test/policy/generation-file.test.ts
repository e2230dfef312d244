import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { GENERATIONS } from '../../src/core/ruleset/marks.js'
import { GenerationFile } from '../../src/policy/generation-file.js'

/** Makes a generation file, and collects its log. */
function generationIn(directory: string, random: () => number = never) {
  const errors: string[] = []
  const log = { error: (line: string) => errors.push(line), warn: () => {} }
  return Object.assign(new GenerationFile(directory, random, log as never), { errors })
}

/** Fails the test when a start draws a random number. */
const never = (): number => {
  throw new Error('a number was drawn though one was kept')
}

/** Returns the first generation of a start that finds `kept` in its file. */
function startFrom(t: Test, kept: string, random: () => number = never): number {
  return generationIn(t.testdir({ generation: kept }), random).current
}

/** Draws the number for a start without a saved generation: 8 of 15. */
const HALF = () => 0.5
const DRAWN = 8

t.test(
  'a start uses the generation after the saved one, so that its approvals are judged again',
  async (t) => {
    const directory = t.testdir()
    const first = generationIn(directory, () => 0)
    t.equal(first.current, 1)
    await first.keep(first.current)
    const second = generationIn(directory)
    t.equal(second.current, 2)
    await second.keep(7)
    t.equal(second.current, 2, 'the rules are not loaded yet')
    second.take(7)
    t.equal(second.current, 7)
    t.equal(generationIn(directory).current, 8)
  },
)

t.test(
  'a start that never loads its rules leaves no trace: the next start has the same generation',
  async (t) => {
    const directory = t.testdir({ generation: '4\n' })
    for (let start = 0; start < 3; start++) t.equal(generationIn(directory).current, 5)
  },
)

t.test('the first generation follows the last one', async (t) => {
  t.equal(startFrom(t, `${GENERATIONS}\n`), 1)
  t.equal(startFrom(t, `${GENERATIONS - 1}\n`), GENERATIONS)
})

t.test('without a saved generation, the start draws one of all generations at random', async (t) => {
  const drawn = Array.from({ length: GENERATIONS }, (_, i) => {
    const random = () => (i + 0.5) / GENERATIONS
    return generationIn(`${t.testdirName}/nowhere`, random).current
  })
  t.same(
    drawn,
    Array.from({ length: GENERATIONS }, (_, i) => i + 1),
  )
  t.equal(generationIn('/nowhere', () => 1 - Number.EPSILON).current, GENERATIONS)
  t.notOk(existsSync(t.testdirName), 'nothing is written before the rules are loaded')
})

t.test('a file without a valid generation counts as missing', async (t) => {
  const bad = ['', '\n', '0', '16', '-3', '1.5', '3 4', 'three', 'NaN', 'Infinity', '\0', '9'.repeat(1000)]
  for (const kept of bad) t.equal(startFrom(t, kept, HALF), DRAWN, JSON.stringify(kept.slice(0, 10)))
})

t.test('a file that cannot be read counts as missing', async (t) => {
  const directory = t.testdir({ generation: {} })
  t.equal(generationIn(directory, HALF).current, DRAWN)
  t.equal(generationIn(`${t.testdir({ file: '' })}/file`, HALF).current, DRAWN)
})

t.test('the file contains one number, and a missing folder is created', async (t) => {
  const directory = `${t.testdir()}/var/lib/checkvalve`
  const generation = generationIn(directory, () => 0)
  for (const taken of [10, 9]) {
    await generation.keep(taken)
    t.same(readdirSync(directory), ['generation'])
    t.equal(readFileSync(`${directory}/generation`, 'utf8'), `${taken}\n`)
  }
})

t.test('a generation that cannot be saved is logged, and the write is tried again', async (t) => {
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

t.test('a saved generation is on disk, and the same generation is not written again', async (t) => {
  const directory = t.testdir()
  const generation = generationIn(directory, () => 0)
  t.equal(await generation.keep(5), undefined)
  const { ino } = statSync(`${directory}/generation`)
  t.equal(await generation.keep(5), undefined)
  t.equal(statSync(`${directory}/generation`).ino, ino)
})

t.test('a folder that is created later is used', async (t) => {
  const directory = `${t.testdir()}/late`
  const generation = generationIn(directory, () => 0)
  mkdirSync(directory)
  writeFileSync(`${directory}/generation`, '5\n')
  await generation.keep(6)
  t.equal(generationIn(directory).current, 7)
})
