import { spawnSync } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { allCommands } from '../../src/commands/registry.js'
import { schema } from '../../src/config/schema.js'
import { settingsByKey } from '../../src/config/setting-table.js'

const SCRIPT = fileURLToPath(new URL('../../../packaging/checkvalve.bash', import.meta.url))

/**
 * Completes the last word in a bash without user settings. `source` does the work of `complete` without
 * readline.
 */
const COMPLETE = `source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_checkvalve 2>&1
printf '%s\\n' "\${COMPREPLY[@]}"`

function complete(words: readonly string[], folder = ''): string[] {
  const env = { PATH: `${folder}:${process.env.PATH}`, HOME: '/nonexistent' }
  const argv = ['--norc', '--noprofile', '-u', '-c', COMPLETE, 'bash', SCRIPT, 'checkvalve', ...words]
  const { stdout, stderr, status } = spawnSync('bash', argv, { env, encoding: 'utf8', cwd: folder || '/' })
  if (status !== 0 || stderr !== '') throw new Error(`${words.join(' ')}: ${status}: ${stderr}`)
  return stdout.split('\n').filter((line) => line !== '')
}

const COMMANDS = await allCommands()
const COMMON = ['--config', '--set', '--help']

t.test('all commands are completed, and no other word', async (t) => {
  t.same(complete(['']), [...COMMANDS.map(({ name }) => name), 'help'])
  t.same(complete(['re']), ['replay', 'release'])
  t.same(complete(['help', 'do']), ['doctor'])
})

t.test('each command is completed with all of its options, and no others', async (t) => {
  for (const { name, options = {} } of COMMANDS) {
    const wanted = [...Object.keys(options).map((option) => `--${option}`), ...COMMON]
    t.same(complete([name, '--']).toSorted(), wanted.toSorted(), name)
  }
  t.same(complete(['--']), COMMON)
})

t.test('a word that needs a value is not followed by a command or an option', async (t) => {
  for (const { name, options = {} } of COMMANDS)
    for (const [option, { type }] of Object.entries(options))
      if (type === 'string')
        for (const found of complete([name, `--${option}`, '']))
          t.notOk(found.startsWith('--'), `${name} --${option} was completed with ${found}`)
      else
        t.ok(
          complete([name, `--${option}`, '--']).includes('--config'),
          `${name} --${option} is followed by options`,
        )
})

t.test('the arguments of a command are completed, also after options and their values', async (t) => {
  t.same(complete(['mode', '']), ['observe', 'enforce'])
  t.same(complete(['allow', '']), ['add', 'remove', 'list'])
  t.same(complete(['explain', 'u']), ['udp'])
  t.same(complete(['--config', 'status', 'mo']), ['mode'])
  t.same(complete(['--set', 'mode', '=', 'enforce', 'mo']), ['mode'])
  t.same(complete(['mode', '--set', 'block', '=', 'drop', 'en']), ['enforce'])
  t.same(complete(['allow', 'add', 'x', '--to', 'remove', '--protocol', '']), ['tcp', 'udp', 'icmp', 'any'])
  t.same(complete(['allow', 'add', '']), [], 'a new name cannot be completed')
  t.same(complete(['check', '']), [])
  t.same(complete(['no-such', '']), [])
})

t.test('--set is completed with all settings', async (t) => {
  const keys = [...settingsByKey(schema).keys()]
  t.same(complete(['run', '--set', '']).toSorted(), keys.map((key) => `${key}=`).toSorted())
  t.same(complete(['--set', 'canary.i']), ['canary.interval='])
})

t.test('users are completed from the host, files from the folder', async (t) => {
  t.ok(complete(['allow', 'add', 'x', '--user', '']).includes('root'))
  const folder = t.testdir({ 'a.yaml': '', 'b.yaml': '', 'b c.yaml': '' })
  t.same(complete(['check', '--config', 'a'], folder), ['a.yaml'])
  t.same(complete(['replay', '--policy', 'b'], folder).toSorted(), ['b c.yaml', 'b.yaml'])
})

t.test(
  'entries are completed from the running service, with the given configuration, and with their spaces',
  async (t) => {
    const folder = t.testdir()
    const program = join(folder, 'checkvalve')
    writeFileSync(
      program,
      '#!/bin/sh\necho "$*" > asked\nprintf "%s\\\\n" payments "two words" \'$(touch harm)\'\n',
    )
    chmodSync(program, 0o755)
    const { readFileSync, existsSync } = await import('node:fs')
    t.same(complete(['--config', 'x.yaml', 'allow', 'remove', ''], folder), [
      'payments',
      'two\\ words',
      '\\$\\(touch\\ harm\\)',
    ])
    t.equal(readFileSync(join(folder, 'asked'), 'utf8'), 'allow list --names --config x.yaml\n')
    t.same(complete(['allow', 'remove', 'tw'], folder), ['two\\ words'])
    t.notOk(existsSync(join(folder, 'harm')))
  },
)

t.test('units are completed from systemd; without its answer there are none', async (t) => {
  const folder = t.testdir()
  const systemctl = join(folder, 'systemctl')
  writeFileSync(
    systemctl,
    '#!/bin/sh\necho "nginx.service loaded active running A web server"\necho "php8.2-fpm.service loaded active running PHP"\n',
  )
  chmodSync(systemctl, 0o755)
  t.same(complete(['explain', '--unit', ''], folder), ['nginx.service', 'php8.2-fpm.service'])
  t.same(complete(['tail', '--unit', 'p'], folder), ['php8.2-fpm.service'])
  writeFileSync(systemctl, '#!/bin/sh\necho "no systemd here" >&2\nexit 1\n')
  t.same(complete(['explain', '--unit', ''], folder), [])
})
