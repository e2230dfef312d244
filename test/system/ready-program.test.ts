import { existsSync, readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { ReadyProgram } from '../../src/system/ready-program.js'
import { CommandError } from '../../src/system/run-command.js'
import { eventually } from '../lab/waiting.js'

/** Makes a program that writes its pid when it starts, and what it was given when it ends. */
function ready(t: Test, end = '') {
  const folder = t.testdir()
  const script = 'echo $$ >> "$0/started"; cat > "$0/given"; echo $$ >> "$0/ended"'
  const program = new ReadyProgram(['sh', '-c', `${script}; ${end}`, folder])
  t.teardown(() => program.close())
  const linesOf = (name: string) =>
    existsSync(`${folder}/${name}`) ? readFileSync(`${folder}/${name}`, 'utf8').trim().split('\n') : []
  return { program, linesOf }
}

const isRunning = (pid: number) => existsSync(`/proc/${pid}`)

t.test('the process that waits gets the input, and no other one is started', async (t) => {
  const { program, linesOf } = ready(t)
  program.prepare()
  program.prepare()
  await eventually('it has started', () => linesOf('started').length === 1)
  await program.run('some text')
  t.same(linesOf('ended'), linesOf('started'))
  t.same(linesOf('given'), ['some text'])
})

t.test('without a process that waits, or when it was killed, a new one is started', async (t) => {
  const { program, linesOf } = ready(t)
  await program.run('one')
  t.same(linesOf('given'), ['one'])
  program.prepare()
  await eventually('it has started', () => linesOf('started').length === 2)
  const pid = Number(linesOf('started')[1])
  process.kill(pid)
  await eventually('it has ended', () => !isRunning(pid))
  await program.run('two')
  t.same([linesOf('given'), linesOf('ended').length], [['two'], 2])
})

t.test('a program that fails is an error with what it said, whether it waited or not', async (t) => {
  const { program } = ready(t, 'echo no such table >&2; exit 1')
  for (const isReady of [true, false]) {
    if (isReady) program.prepare()
    await t.rejects(program.run(''), { name: 'CommandError', message: /no such table$/ })
  }
  const missing = new ReadyProgram(['checkvalve-no-such-program'])
  missing.prepare()
  await new Promise((resolve) => setImmediate(resolve))
  await t.rejects(missing.run(''), CommandError)
})

t.test('a process that still waits is ended by close', async (t) => {
  const { program, linesOf } = ready(t)
  program.prepare()
  await eventually('it has started', () => linesOf('started').length === 1)
  program.close()
  await eventually('it has ended', () => !isRunning(Number(linesOf('started')[0])))
})
