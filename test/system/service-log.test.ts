import { execFileSync, spawnSync } from 'node:child_process'
import { openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { PATIENCE_MS } from '../lab/waiting.js'

const MODULE = fileURLToPath(new URL('../../src/system/service-log.js', import.meta.url))
const SAY = `
  import { createServiceLog } from ${JSON.stringify(MODULE)}
  const log = createServiceLog(process.argv[1])
  for (const level of ['info', 'warn', 'error']) log[level]('a word at ' + level)
  log.error({ stack: 'here' }, 'with a field')
  if (process.argv[2]) log.error({ stack: process.argv[2] }, process.argv[2])
  if (process.stderr.isTTY) log.error('named by a stranger: \\x1b[2J\\u202e')
  console.log('still alive')
`
const ARGUMENTS = ['--input-type=module', '-e', SAY]
const { NODE_OPTIONS: _, ...environment } = process.env

function say(level: string, stderr: 'pipe' | number = 'pipe') {
  const result = spawnSync(process.execPath, [...ARGUMENTS, level], {
    env: environment,
    encoding: 'utf8',
    timeout: PATIENCE_MS,
    stdio: ['ignore', 'pipe', stderr],
  })
  return { status: result.status, stdout: result.stdout, stderr: result.stderr ?? '' }
}

t.test('each line is JSON with time, level and message, on standard error only', async (t) => {
  const { stdout, stderr } = say('info')
  t.equal(stdout, 'still alive\n')
  const lines = stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.same(
    lines.map((line) => line['log.level']),
    ['info', 'warn', 'error', 'error'],
  )
  t.match(lines[0], { 'event.module': 'checkvalve', message: 'a word at info' })
  t.match(lines[0]['@timestamp'], /^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
  t.match(lines[3], { stack: 'here', message: 'with a field' })
})

t.test('no field of a line controls a terminal, also after its JSON is decoded', async (t) => {
  const evil = 'a\x1b[2J\n\x9b\u202e\u2028'
  const { stderr } = spawnSync(process.execPath, [...ARGUMENTS, 'info', evil], {
    env: environment,
    encoding: 'utf8',
    timeout: PATIENCE_MS,
  })
  const { stack, message } = JSON.parse(stderr.trim().split('\n').at(-1)!)
  t.same([stack, message], Array(2).fill('a\\x1b[2J\\x0a\\x9b\\u{202e}\\u{2028}'))
})

t.test('messages below the level are left out', async (t) => {
  t.equal(say('warn').stderr.trim().split('\n').length, 3)
})

t.test('a full disk behind standard error neither ends the service nor prevents its end', async (t) => {
  const { status, stdout } = say('info', openSync('/dev/full', 'w'))
  t.equal(stdout, 'still alive\n')
  t.equal(status, 0)
})

t.test('the service continues when the reader of standard error has gone', async (t) => {
  const script = 'exec "$0" "$@" 2> >(exec 0<&-; sleep 0.2)'
  const result = spawnSync('bash', ['-c', script, process.execPath, ...ARGUMENTS, 'info'], {
    env: environment,
    encoding: 'utf8',
    timeout: PATIENCE_MS,
  })
  t.equal(result.stdout, 'still alive\n')
  t.equal(result.status, 0)
})

t.test('on a terminal, lines are text, and warnings and errors are marked', async (t) => {
  const words = [process.execPath, ...ARGUMENTS, 'info'].map((word) => `'${word.replaceAll("'", "'\\''")}'`)
  let shown: string
  try {
    shown = execFileSync('script', ['-qec', words.join(' '), '/dev/null'], {
      env: environment,
      encoding: 'utf8',
      timeout: PATIENCE_MS,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  } catch {
    t.pass('no script(1) here', { skip: true })
    return
  }
  t.equal(
    shown.replaceAll('\r', ''),
    [
      'checkvalve: a word at info',
      'checkvalve: warning: a word at warn',
      'checkvalve: ERROR a word at error',
      'checkvalve: ERROR with a field',
      'checkvalve: ERROR named by a stranger: \\x1b[2J\\u{202e}',
      'still alive',
      '',
    ].join('\n'),
  )
})
