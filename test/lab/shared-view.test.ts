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

/** A program that reads the package.json above its folder, as the programs of the service do. */
const PROGRAM = `import { readFileSync } from 'node:fs'
readFileSync(new URL('../package.json', import.meta.url))
export const path = new URL(import.meta.url).pathname`

/**
 * Makes a clone that is set up, in a folder that only root may enter, as with umask 077.
 * @returns its path
 */
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

/**
 * IMPORT FILE: imports a module, makes a temporary folder, and prints the paths of the module and of Node.
 */
const IMPORT = `const folder = require('node:fs').mkdtempSync(require('node:os').tmpdir() + '/own-')
require('node:fs').rmdirSync(folder)
import(require('node:path').resolve(process.argv[1])).then(({ path }) => console.log(path, process.execPath))`

/** Imports a program of the clone as another user, where one exists. @returns the output */
function asOther(clone: string, program: string, env: NodeJS.ProcessEnv = {}): string {
  const other = canSwitchUsers() ? NOBODY : []
  // Without NODE_OPTIONS, because the test runner is not in this clone.
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

t.test('another user can run the programs of a clone that only its owner may enter', async (t) => {
  const clone = privateClone(t)
  for (const program of ['dist/program.js', 'node-netfilter-queue/dist/program.js'])
    t.equal(asOther(clone, program), found(program))
})

t.test('another user can run them when the folder of temporary files is private', async (t) => {
  const clone = privateClone(t)
  t.equal(asOther(clone, 'dist/program.js', { TMPDIR: clone }), found('dist/program.js'))
})

t.test(
  'another user can run them when Node is in a private folder, as that of a version manager is',
  async (t) => {
    const clone = privateClone(t)
    copyFileSync(process.execPath, join(clone, 'node'))
    const env = { PATH: `${clone}:${process.env.PATH}` }
    t.equal(asOther(clone, 'dist/program.js', env), found('dist/program.js'))
  },
)

t.test('a file that is written to a folder of the clone remains', async (t) => {
  const clone = privateClone(t)
  spawnSync(join(clone, 'scripts/namespaced'), ['sh', '-c', 'echo written > dist/file'], { cwd: '/' })
  t.equal(readFileSync(join(clone, 'dist/file'), 'utf8'), 'written\n')
})

t.test('a script finds its own folder when CDPATH names another one', async (t) => {
  const clone = privateClone(t)
  const elsewhere = mkdtempSync(join(tmpdir(), 'checkvalve-elsewhere-'))
  t.teardown(() => rmSync(elsewhere, { recursive: true }))
  mkdirSync(join(elsewhere, 'scripts'))
  const env = { ...process.env, CDPATH: elsewhere }
  const { stdout } = spawnSync('scripts/namespaced', ['pwd'], { cwd: clone, encoding: 'utf8', env })
  t.equal(stdout, '/mnt/checkvalve\n')
})
