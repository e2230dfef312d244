import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { allCommands } from '../src/commands/registry.js'
import { VERSION } from '../src/system/version.js'
import { directoryOf } from './config/files.js'
import { PATIENCE_MS } from './lab/waiting.js'

const MAIN = fileURLToPath(new URL('../bin/checkvalve.js', import.meta.url))
const SHIPPED = fileURLToPath(new URL('../../config/checkvalve.yaml', import.meta.url))

interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the command line with the given variables only, after a prefix such as `unshare --net`. */
function run(
  args: readonly string[],
  env: Record<string, string> = {},
  before: readonly string[] = [],
): Outcome {
  // The environment is cleared: the test runner would add its own NODE_OPTIONS.
  const argv = ['env', '-i', `PATH=${process.env.PATH}`, ...Object.entries(env).map((pair) => pair.join('='))]
  const [file = '', ...rest] = [...before, ...argv, process.execPath, MAIN, ...args]
  const { status, stdout, stderr } = spawnSync(file, rest, { encoding: 'utf8', timeout: PATIENCE_MS })
  return { status, stdout, stderr }
}

/** Runs a command with a configuration of these lines. */
function runOn(t: Parameters<typeof directoryOf>[0], yaml: string, ...args: string[]) {
  const file = `${directoryOf(t, { 'main.yaml': yaml })}/main.yaml`
  return { file, ...run([...args, '--config', file]) }
}

const COMMANDS = await allCommands()

t.test('version prints the version, and that of Node', async (t) => {
  const expected = { status: 0, stdout: `checkvalve ${VERSION} (node ${process.version})\n`, stderr: '' }
  t.same(run(['version']), expected)
  t.same(run(['--version']), expected)
})

t.test('help prints to standard output, exits with 0, and names each command', async (t) => {
  for (const args of [['--help'], ['-h'], ['help']]) {
    const { status, stdout, stderr } = run(args)
    t.same({ status, stderr }, { status: 0, stderr: '' }, args.join(' '))
    for (const { name } of COMMANDS) t.match(stdout, `\n  ${name} `)
    t.ok(stdout.split('\n').every((line) => line.length <= 80))
  }
})

t.test('each command has a help text with an example', async (t) => {
  for (const { name } of COMMANDS) {
    const { status, stdout, stderr } = run([name, '--help'])
    t.same({ status, stderr }, { status: 0, stderr: '' }, name)
    t.match(stdout, `usage: checkvalve ${name}`)
    t.match(stdout, /^examples?:\n {2}\S/m)
    t.ok(
      stdout.split('\n').every((line) => line.length <= 80),
      `${name}: the lines fit a terminal`,
    )
    t.same(run(['help', name]).stdout, stdout)
  }
})

t.test('wrong usage exits with 2, prints the mistake, and names the help in a few lines', async (t) => {
  const ofAll = /^checkvalve --help lists all commands\.$/m
  const ofCheck =
    /^usage: checkvalve check \[OPTION\]\.\.\.\n\ncheckvalve check --help describes the options\.$/m
  const wrong: [string[], string, RegExp][] = [
    [['no-such'], 'no such command: no-such', ofAll],
    [['toString'], 'no such command: toString', ofAll],
    [['__proto__'], 'no such command: __proto__', ofAll],
    [['stauts'], 'no such command: stauts (did you mean status?)', ofAll],
    [['help', 'tial'], 'no such command: tial (did you mean tail?)', ofAll],
    [['-V'], 'no command, only -V', ofAll],
    [['\x1b[2J'], 'no such command: \\x1b[2J', ofAll],
    [['check', 'more'], 'check takes no further argument: more', ofCheck],
    [['check', '--no-such'], "Unknown option '--no-such'", ofCheck],
    [['check', '--sett', 'a=b'], "Unknown option '--sett' (did you mean --set?)", ofCheck],
    [['check', '--config'], '--config needs a value', ofCheck],
    [['check', '--config', '--set'], '--config needs a value', ofCheck],
    [['check', '--help=x'], "Option '-h, --help' does not take an argument", ofCheck],
  ]
  for (const [args, reason, more] of wrong) {
    const { status, stdout, stderr } = run(args)
    t.same({ status, stdout }, { status: 2, stdout: '' }, args.join(' '))
    t.equal(stderr.split('\n')[0], `checkvalve: ${reason}`)
    t.match(stderr, more)
    t.ok(stderr.split('\n').length < 7, 'the message stays on the screen')
  }
  const nothing = run([])
  t.equal(nothing.status, 2)
  t.match(
    nothing.stderr,
    /^checkvalve: no command\n\ncheckvalve \S+: an outbound guard .*\n\nusage: checkvalve COMMAND/,
  )
})

t.test('the shipped configuration is valid', async (t) => {
  const { status, stdout } = run(['check', '--config', SHIPPED])
  t.same({ status, stdout }, { status: 0, stdout: 'configuration OK\n' })
})

t.test('a broken configuration exits with 1 and prints file, line and key, and no stack', async (t) => {
  const yaml = readFileSync(SHIPPED, 'utf8').replace(/^mode: observe$/m, 'mode: open')
  const line = yaml.split('\n').indexOf('mode: open') + 1
  for (const command of ['check', 'show-config', 'ruleset', 'run']) {
    const { file, status, stdout, stderr } = runOn(t, yaml, command)
    t.same({ status, stdout }, { status: 1, stdout: '' }, command)
    t.ok(stderr.startsWith(`${file}:${line}: mode`), stderr)
    t.notMatch(stderr, /\n {4}at |node:internal|\.js:/)
  }
})

t.test('all problems of a configuration are printed at once, one per line', async (t) => {
  const { stderr, file } = runOn(t, 'mode: open\nblok: drop\nqueue: { first: -1 }\n', 'check')
  const lines = stderr.trim().split('\n')
  t.same(
    lines.map((text) => text.slice(0, text.indexOf(':', file.length + 1))),
    [`${file}:1`, `${file}:2`, `${file}:3`],
  )
})

t.test('a missing configuration file is named, without a stack', async (t) => {
  const { status, stderr } = run(['check', '--config', '/nonexistent/checkvalve.yaml'])
  t.equal(status, 1)
  t.match(stderr, /^\/nonexistent\/checkvalve\.yaml: /)
  t.notMatch(stderr, /\n {4}at /)
})

t.test(
  'the configuration file is taken from the option, else from the environment, else from the default path',
  async (t) => {
    const file = `${directoryOf(t, { 'main.yaml': 'mode: enforce\n' })}/main.yaml`
    const variable = { CHECKVALVE_CONFIG: file }
    t.equal(run(['check'], variable).status, 0)
    t.match(run(['check', '-c', '/nonexistent/a.yaml'], variable).stderr, '/nonexistent/a.yaml')
  },
)

t.test('environment and --set override settings, and --set comes last', async (t) => {
  const file = `${directoryOf(t, { 'main.yaml': 'mode: observe\n' })}/main.yaml`
  const show = (args: string[], env = {}) => run(['show-config', '-c', file, ...args], env).stdout
  t.match(show([]), /^mode: observe$/m)
  t.match(show([], { CHECKVALVE_MODE: 'enforce' }), /^mode: enforce$/m)
  t.match(show(['--set', 'mode=enforce', '--set', 'block=drop']), /^mode: enforce$[\s\S]*^block: drop$/m)
  t.match(show(['--set', 'mode=observe'], { CHECKVALVE_MODE: 'enforce' }), /^mode: observe$/m)
  const { status, stderr } = run(['check', '-c', file, '--set', 'mode=open'])
  t.equal(status, 1)
  t.match(stderr, /--set.*mode/)
})

t.test('the output of show-config can be loaded again, and gives the same configuration', async (t) => {
  const yaml = `mode: enforce
transparentUsers: [nobody]
mirrors: { hosts: [mirror.example.org, 198.51.100.0/24, "*.example.org"], ports: [80, 8000-8010] }
allow:
  - { name: payments, to: [api.example.org, "2001:db8::/32"], ports: [443], protocol: tcp, users: [root], expires: 2099-01-01 }
canary: { target: "[2001:db8::9]:9", interval: 1m }
`
  const first = runOn(t, yaml, 'show-config')
  t.equal(first.status, 0, first.stderr)
  const second = runOn(t, first.stdout, 'show-config')
  t.equal(second.status, 0, second.stderr)
  t.equal(second.stdout, first.stdout)
  t.match(first.stdout, /^transparentUsers: \[nobody\]$/m)
  t.equal(runOn(t, first.stdout, 'check').stdout, 'configuration OK\n')
})

/**
 * Returns the command that makes a network namespace, for root or an ordinary user; undefined when none
 * works.
 */
const unshare = [
  ['unshare', '--net'],
  ['unshare', '--user', '--map-root-user', '--net'],
].find(([file = '', ...words]) => spawnSync(file, [...words, 'nft', 'list', 'ruleset']).status === 0)

t.test(
  'ruleset prints the table that the command run would load',
  { skip: !unshare && 'needs nft and a namespace' },
  async (t) => {
    const yaml = `mode: enforce
infrastructure: { dns: [192.0.2.53], ntp: [time.example.org] }
mirrors: { hosts: [198.51.100.7], discover: false }
state: { directory: /nonexistent }
`
    const file = `${directoryOf(t, { 'main.yaml': yaml })}/main.yaml`
    const { status, stdout, stderr } = run(['ruleset', '--config', file], {}, unshare)
    t.equal(status, 0, stderr)
    t.match(stdout, /table inet checkvalve/)
    for (const address of ['192.0.2.53', '198.51.100.7']) t.match(stdout, address)
    t.equal(stderr, 'note: not looked up here: time.example.org\n')
    const checked = spawnSync(unshare![0]!, [...unshare!.slice(1), 'nft', '--check', '-f', '-'], {
      input: stdout,
    })
    t.equal(checked.status, 0, String(checked.stderr))
  },
)
