import { spawn } from 'node:child_process'
import { appendFileSync, renameSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { type Event, gzipped, lineOf, suppressed, textOf } from '../records/block-log/events.js'
import { Running, run } from './running.js'

const events = (first: number, last: number, more: Event = {}): Event[] =>
  Array.from({ length: last - first + 1 }, (_, i) => ({ at: first + i, port: first + i, ...more }))

/** Makes a configuration with the log in its own folder. */
function host(t: Test, log: string | undefined, destination?: string) {
  const folder = t.testdir()
  const path = `${folder}/blocks.json`
  const config = `${folder}/checkvalve.yaml`
  writeFileSync(config, `mode: enforce\nlog: { destination: ${destination ?? path} }\n`)
  if (log !== undefined) writeFileSync(path, log)
  const args = (...words: string[]) => ['tail', '--config', config, ...words]
  return { path, args, tail: (...words: string[]) => run(args(...words, '--no-follow')) }
}

const portsOf = (text: string) => [...text.matchAll(/:(\d+)\/tcp/g)].map(([, port]) => Number(port))
const range = (first: number, last: number) => events(first, last).map(({ port }) => port)

t.test('the last ten events are printed, or the number that an option gives', async (t) => {
  const { path, tail } = host(t, textOf(events(11, 30)))
  writeFileSync(`${path}.1.gz`, gzipped(textOf(events(1, 10))))
  const { status, stdout, stderr } = tail()
  t.same([status, stderr], [0, ''])
  t.equal(stdout.split('\n')[0], '-- 2024-11-26')
  t.same(portsOf(stdout), range(21, 30))
  t.same(portsOf(tail('-n', '3').stdout), range(28, 30))
  t.same(portsOf(tail('--lines=25').stdout), range(6, 30))
  t.equal(tail('-n', '0').stdout, '')
})

t.test('time, user and unit select events, alone and together', async (t) => {
  const { tail } = host(
    t,
    textOf([
      ...events(1, 20),
      ...events(21, 22, { user: 'root', uid: 0, unit: 'cron.service' }),
      ...events(23, 24, { unit: 'php8.2-fpm.service' }),
    ]),
  )
  t.same(
    portsOf(tail('--since', '2024-11-26T08:00:03Z').stdout),
    range(3, 24),
    'all events since that time are printed, not ten',
  )
  t.same(portsOf(tail('--since', '2024-11-26T08:00:03Z', '-n', '4').stdout), range(21, 24))
  t.same(portsOf(tail('--user', 'root').stdout), [21, 22])
  t.same(portsOf(tail('--user', '0').stdout), [21, 22])
  t.same(portsOf(tail('--user', 'root', '--unit', 'cron').stdout), [21, 22])
  t.same(portsOf(tail('--unit', 'php8.2-fpm.service').stdout), [23, 24])
  t.same(portsOf(tail('--unit', 'php8.2-fpm', '--user', 'root').stdout), [])
})

t.test('when no event matches, a note reports that, with the selection', async (t) => {
  const { path, tail } = host(t, textOf(events(1, 3)))
  const { status, stdout, stderr } = tail('--since', '2025-01-01', '--user', 'www-data', '--unit', 'x')
  t.same([status, stdout], [0, ''])
  t.equal(stderr, `note: no event in ${path} (since 2025-01-01, user www-data, unit x)\n`)
  t.equal(
    tail('--user', 'no such').stderr,
    `note: there is no user "no such" on this host: the log may know one
note: no event in ${path} (user no such)\n`,
  )
  t.equal(tail('-n', '0').stderr, '')
})

t.test(
  '--json prints the lines themselves, with the same selection, and escapes control characters',
  async (t) => {
    const lines = [lineOf({ port: 1 }), lineOf({ port: 2, user: 'root', uid: 0, program: '/tmp/\u202e\x9b' })]
    const { tail } = host(t, `${lines.join('\n')}\nno event\n`)
    const { status, stdout, stderr } = tail('--json', '--user', 'root')
    t.equal(status, 0)
    t.same(JSON.parse(stdout), JSON.parse(lines[1]!))
    t.match(stdout, /^[\x20-\x7e]+\n$/)
    t.equal(
      stderr,
      'note: 1 line is no event: 1 no JSON\n',
      'lines that cannot be read are reported separately',
    )
  },
)

t.test('the log may come from standard input', async (t) => {
  const text = `Started checkvalve.\n${textOf(events(1, 20))}${suppressed(7, 21)}\n`
  const { stdout, status, stderr } = run(['tail', '-'], { input: text })
  t.same([status, portsOf(stdout)], [0, range(1, 20)])
  t.match(stdout, 'suppressed x7')
  t.match(stderr, 'note: 1 line is no event: 1 no JSON')
  t.same(portsOf(run(['tail', '-n', '2', '-'], { input: text }).stdout), [20])
})

t.test('when the log is in the journal, the note gives the command that reads it there', async (t) => {
  const { tail } = host(t, undefined, 'stdout')
  const { status, stdout, stderr } = tail()
  t.same([status, stdout], [1, ''])
  t.match(stderr, 'journalctl -u checkvalve -o cat | checkvalve tail -\n')
})

t.test('a missing log is reported, and with --follow the command waits for it', async (t) => {
  const { path, tail, args } = host(t, undefined)
  const { status, stderr } = tail()
  t.equal(status, 1)
  t.equal(
    stderr,
    `checkvalve: there is no block log at ${path}: has the service run? If it writes elsewhere, set log.destination\n`,
  )
  const running = new Running(args())
  await running.until('the command waits', ({ stderr }) => stderr.includes('note: waiting for it'))
  appendFileSync(path, textOf(events(1, 2)))
  await running.until('it shows', ({ stdout }) => portsOf(stdout).length === 2)
  running.child.kill('SIGINT')
  const { signal } = await running.ended
  t.equal(signal, 'SIGINT', 'Ctrl-C ends the command, and a shell sees the signal')
})

t.test('with --follow the command continues with new events, across a rotation', async (t) => {
  const { path, args } = host(t, textOf(events(1, 12)))
  const running = new Running(args('-f', '-n', '2'))
  await running.until('the beginning', ({ stdout }) => portsOf(stdout).length === 2)
  appendFileSync(path, textOf(events(13, 14)))
  renameSync(path, `${path}.1`)
  appendFileSync(`${path}.1`, textOf(events(15, 15)))
  appendFileSync(path, textOf(events(16, 18)))
  await running.until('the rest', ({ stdout }) => portsOf(stdout).includes(18))
  t.same(portsOf(running.stdout), range(11, 18))
  running.child.kill('SIGTERM')
  await running.ended
  t.equal(running.stderr, '')
})

t.test('the command ends when its reader has gone, also when no new event comes', async (t) => {
  const { args } = host(t, textOf(events(1, 3)))
  const quiet = new Running(args())
  await quiet.until('all events are printed', ({ stdout }) => portsOf(stdout).length === 3)
  quiet.child.stdout!.destroy()
  t.same([await quiet.ended, quiet.stderr], [{ status: 0, signal: null }, ''])

  const { args: many } = host(t, textOf(events(1, 50_000).map((each) => ({ ...each, port: 443 }))))
  const loud = new Running(many('--since', '2024-11-26', '--no-follow'))
  loud.child.stdout!.once('data', () => loud.child.stdout!.destroy())
  t.same([await loud.ended, loud.stderr], [{ status: 0, signal: null }, ''])
})

t.test('when the output cannot be written, the command fails', async (t) => {
  const { args } = host(t, textOf(events(1, 3)))
  const words = args('--no-follow').map((word) => `'${word}'`)
  const main = new URL('../../bin/checkvalve.js', import.meta.url).pathname
  const child = spawn('sh', ['-c', `${process.execPath} ${main} ${words.join(' ')} > /dev/full`], {
    env: { PATH: process.env.PATH },
  })
  let stderr = ''
  child.stderr.on('data', (data) => (stderr += data))
  const status = await new Promise((resolve) => child.once('close', resolve))
  t.same(
    [status, stderr],
    [1, 'checkvalve: the answer cannot be written: ENOSPC: no space left on device, write\n'],
  )
})

t.test('wrong usage is refused with an error that shows the right usage', async (t) => {
  for (const [words, reason] of [
    [['-n', 'x'], '-n must be a number from 0 to 100000, not "x"'],
    [['-n', '100001'], '-n must be a number'],
    [['--since', 'soon'], '--since must be a time like 10m, 2h, 3d, today'],
    [['--since', '2999-01-01'], '--since 2999-01-01 is in the future'],
    [['-f', '--no-follow'], '--follow and --no-follow exclude each other'],
    [['a', 'b'], 'tail takes no further argument: b'],
  ] as const) {
    const { status, stderr } = run(['tail', ...words])
    t.equal(status, 2, words.join(' '))
    t.match(stderr.split('\n')[0], reason)
  }
})
