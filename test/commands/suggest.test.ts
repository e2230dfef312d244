import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { gzipped, lineOf, textOf } from '../records/block-log/events.js'
import { run } from './running.js'

const MAIN = new URL('../../bin/checkvalve.js', import.meta.url).pathname

/** Users are given by number: this host may not have their names. */
const SHOP = { uid: 4711, user: 'shop' }
const CRON = { uid: 0, user: 'root', unit: 'cron.service' }

/** Makes a host with log, state and configuration in one folder. */
function host(t: Test, log: string, destination?: string) {
  const folder = t.testdir()
  const config = `${folder}/checkvalve.yaml`
  const path = `${folder}/blocks.json`
  for (const name of ['conf.d', 'state']) mkdirSync(`${folder}/${name}`)
  writeFileSync(path, log)
  writeFileSync(
    config,
    `mode: enforce
mirrors: { discover: false }
infrastructure: { dns: [], ntp: [] }
log: { destination: ${destination ?? path} }
state: { directory: ${folder}/state }
`,
  )
  const args = (...words: string[]) => [...words, '--config', config]
  return { folder, config, path, args, suggest: (...words: string[]) => run(args('suggest', ...words)) }
}

const namesOf = (text: string) => [...text.matchAll(/^ {2}- name: (.*)$/gm)].map(([, name]) => name)

t.test(
  'the output is a file for conf.d that check accepts; with it in place nothing is left to suggest',
  async (t) => {
    const { folder, path, args, suggest } = host(
      t,
      textOf([
        { ...SHOP, at: 20, domain: 'api.example.org' },
        { ...CRON, at: 30, port: 80 },
      ]),
    )
    writeFileSync(
      `${path}.1.gz`,
      gzipped(textOf([{ ...SHOP, at: 10, domain: 'api.example.org', repeat: 9 }])),
    )
    const { status, stdout, stderr } = suggest()
    t.same([status, stderr], [0, ''])
    t.same(namesOf(stdout), ['"4711-api.example.org"', 'cron-203.0.113.7'])
    t.match(stdout, '# 10 blocks, 2024-11-26T08:00:10Z to 2024-11-26T08:00:20Z.', 'the rotated file counts')
    writeFileSync(`${folder}/conf.d/suggested.yaml`, stdout)
    t.match(run(args('check')), { status: 0, stdout: 'configuration OK\n' })
    const after = suggest()
    t.same(namesOf(after.stdout), [])
    t.match(after.stdout, '# 11 blocks would pass now: the configuration allows them.')
  },
)

t.test('options choose the blocks that count', async (t) => {
  const { suggest } = host(
    t,
    textOf([
      { ...SHOP, at: 0 },
      { ...CRON, at: 100, port: 80 },
    ]),
  )
  t.same(namesOf(suggest('--user', '4711').stdout), ['"4711-203.0.113.7"'])
  t.same(namesOf(suggest('--user', 'root').stdout), ['cron-203.0.113.7'])
  t.same(namesOf(suggest('--since', '2024-11-26T08:01Z').stdout), ['cron-203.0.113.7'])
  t.same(namesOf(suggest('--unit', 'cron').stdout), ['cron-203.0.113.7'])
  t.match(
    suggest('--unit', 'x.service', '--since', '2024-11-26').stdout,
    /^# No blocks in\s[^(]+\(since 2024-11-26, unit x\.service\)\./,
  )
  t.equal(JSON.parse(suggest('--json', '--user', '4711').stdout).allow[0].entry.users[0], 4711)
  t.equal(suggest('--since', 'soon').status, 2)
})

t.test('a log may come from a file, from standard input, or through a pipe of the shell', async (t) => {
  const { path, config, args, suggest } = host(t, textOf([SHOP]), 'stdout')
  const own = suggest()
  t.same([own.status, own.stdout], [1, ''])
  t.match(own.stderr, 'journalctl -u checkvalve -o cat | checkvalve suggest -\n')
  t.same(namesOf(suggest(path).stdout), ['"4711-203.0.113.7"'])
  const input = `Started checkvalve.\n${lineOf(SHOP)}\n`
  const piped = run(args('suggest', '-'), { input })
  t.same(namesOf(piped.stdout), ['"4711-203.0.113.7"'])
  t.match(piped.stdout, /^# 1 block in standard input/)
  t.equal(
    piped.stderr,
    'note: 1 line is no event: 1 no JSON\n',
    'lines that cannot be read are reported on standard error, not in the YAML',
  )
  const script = `${process.execPath} ${MAIN} suggest --config ${config} <(cat ${path})`
  const shell = spawnSync('bash', ['--norc', '-c', script], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH },
  })
  t.same([namesOf(shell.stdout), shell.stderr], [['"4711-203.0.113.7"'], ''])
})

t.test('permanent runtime entries count like written ones; temporary ones do not', async (t) => {
  const { folder, suggest } = host(t, textOf([SHOP, { ...SHOP, to: '203.0.113.8' }]))
  const entry = (name: string, to: string, more = {}) => ({
    name,
    to: [to],
    protocol: 'tcp',
    users: [4711],
    ...more,
  })
  const entries = [
    entry('stays', '203.0.113.7'),
    entry('ends', '203.0.113.8', { expires: '2999-01-01T00:00:00Z' }),
  ]
  writeFileSync(`${folder}/state/allow.json`, JSON.stringify({ entries }))
  t.same(namesOf(suggest().stdout), ['"4711-203.0.113.8"'])
})

t.test('the output for programs contains nothing that would control a terminal', async (t) => {
  const { suggest } = host(t, textOf([{ ...SHOP, at: 1, program: '/tmp/\u009b31m\u202e' }]))
  const { stdout } = suggest('--json')
  t.match(stdout, '/tmp/\\u009b31m\\u202e')
  t.same(JSON.parse(stdout).programs, ['/tmp/\u009b31m\u202e'])
})

t.test('the suggestions of several hosts are merged, without a configuration of this host', async (t) => {
  const hosts = ['web1', 'web2'].map((name) => {
    const { suggest } = host(t, textOf([SHOP, ...(name === 'web2' ? [CRON] : [])]))
    return { name, text: suggest('--json').stdout }
  })
  const folder = t.testdir(Object.fromEntries(hosts.map(({ name, text }) => [`${name}.json`, text])))
  const files = hosts.map(({ name }) => `${folder}/${name}.json`)
  const { status, stdout, stderr } = run(['suggest', '--merge', ...files, '--config', `${folder}/none`])
  t.same([status, stderr], [0, ''])
  t.match(stdout, /^# 3 blocks in the logs of 2 hosts, /)
  t.match(stdout, / {2}# 2 blocks on all 2 hosts, .*\n {2}- name: "4711-203.0.113.7"/)
  t.match(stdout, / {2}# 1 block on 1 of 2 hosts: web2, .*\n.*\n {2}- name: cron-203.0.113.7/)
  t.equal(JSON.parse(run(['suggest', '--merge', '--json', ...files]).stdout).hostsMerged, 2)

  writeFileSync(files[0]!, 'none')
  t.match(run(['suggest', '--merge', ...files]), {
    status: 1,
    stderr: /web1\.json is not what checkvalve suggest --json prints: it is no object/,
  })
  t.equal(run(['suggest', '--merge']).status, 2)
  t.equal(run(['suggest', '--merge', '--since', '1d', ...files]).status, 2)
  t.equal(run(['suggest', ...files]).status, 2, 'two logs are no two hosts')
})
