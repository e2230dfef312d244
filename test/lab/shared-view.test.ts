import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { canSwitchUsers } from './users.js'

const SCRIPTS = fileURLToPath(new URL('../../../scripts', import.meta.url))
const NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--']

/** It reads the package.json of its folder, as those of the service do. */
const PROGRAM = `import { readFileSync } from 'node:fs'
readFileSync(new URL('../package.json', import.meta.url))
export const path = new URL(import.meta.url).pathname`

/** A clone that has been set up, in a folder for root alone, made with umask 077. @returns its path */
function privateClone(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'checkvalve-clone-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const clone = join(folder, `check valve's "$HOME" #1`)
  const nested = join(clone, 'node-netfilter-queue')
  for (const closed of [clone, nested]) {
    mkdirSync(join(closed, 'dist'), { recursive: true })
    writeFileSync(join(closed, 'package.json'), '{ "type": "module" }', { mode: 0o600 })
    writeFileSync(join(closed, 'dist/program.js'), PROGRAM, { mode: 0o644 })
    chmodSync(closed, 0o700)
  }
  writeFileSync(join(clone, '.taprc'), '')
  cpSync(SCRIPTS, join(clone, 'scripts'), { recursive: true })
  return clone
}

/** Imports a module, and makes a temporary folder. */
const IMPORT = `const folder = require('node:fs').mkdtempSync(require('node:os').tmpdir() + '/own-')
require('node:fs').rmdirSync(folder)
import(require('node:path').resolve(process.argv[1])).then(({ path }) => console.log(path, process.execPath))`

/** What another user, where there is one, finds out by a program of the clone. */
function asOther(clone: string, program: string, env: NodeJS.ProcessEnv = {}): string {
  const other = canSwitchUsers() ? NOBODY : []
  // Without what a test runner adds to its children: it is not in this clone.
  const argv = [
    '-u',
    'NODE_OPTIONS',
    join(clone, 'scripts/namespaced'),
    ...other,
    'node',
    '-e',
    IMPORT,
    program,
  ]
  const options = { cwd: '/', encoding: 'utf8', env: { ...process.env, ...env } } as const
  const { stdout, stderr } = spawnSync('env', argv, options)
  return stdout + stderr
}

const found = (program: string) => `/mnt/checkvalve/${program} /mnt/node/bin/node\n`

t.test('another user runs the programs of a clone that only its owner may enter', async (t) => {
  const clone = privateClone(t)
  for (const program of ['dist/program.js', 'node-netfilter-queue/dist/program.js'])
    t.equal(asOther(clone, program), found(program))
})

t.test('so it is where the folder of temporary files is private', async (t) => {
  const clone = privateClone(t)
  t.equal(asOther(clone, 'dist/program.js', { TMPDIR: clone }), found('dist/program.js'))
})

t.test('so it is where Node is in a private folder, as that of a version manager is', async (t) => {
  const clone = privateClone(t)
  copyFileSync(process.execPath, join(clone, 'node'))
  const env = { PATH: `${clone}:${process.env.PATH}` }
  t.equal(asOther(clone, 'dist/program.js', env), found('dist/program.js'))
})

t.test('what is written to a folder of the clone is there afterwards', async (t) => {
  const clone = privateClone(t)
  spawnSync(join(clone, 'scripts/namespaced'), ['sh', '-c', 'echo written > dist/file'], { cwd: '/' })
  t.equal(readFileSync(join(clone, 'dist/file'), 'utf8'), 'written\n')
})

t.test('a script finds its own folder, whatever CDPATH says', async (t) => {
  const clone = privateClone(t)
  const elsewhere = mkdtempSync(join(tmpdir(), 'checkvalve-elsewhere-'))
  t.teardown(() => rmSync(elsewhere, { recursive: true }))
  mkdirSync(join(elsewhere, 'scripts'))
  const env = { ...process.env, CDPATH: elsewhere }
  const { stdout } = spawnSync('scripts/namespaced', ['pwd'], { cwd: clone, encoding: 'utf8', env })
  t.equal(stdout, '/mnt/checkvalve\n')
})
