import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, rmdirSync, symlinkSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { canSwitchUsers } from '../lab/users.js'
import { directoryOf, linesOf, loadFrom, problemsOf } from './files.js'

const MIB = 1024 * 1024

t.test(
  'a main file that cannot be used is reported with the remedy, and the other files are still read',
  async (t) => {
    const directory = directoryOf(t, { 'conf.d/10.yaml': 'mode: on' })
    const main = join(directory, 'main.yaml')
    const lines = () => linesOf(loadFrom(directory), directory)
    t.equal(lines()[0], 'main.yaml: does not exist: create it, or name another file')
    t.match(lines()[1], /^conf\.d\/10\.yaml:1: mode: /)
    mkdirSync(main)
    t.equal(lines()[0], 'main.yaml: is a directory: give the file in it')
    rmdirSync(main)
    symlinkSync('main.yaml', main)
    t.equal(lines()[0], 'main.yaml: is a symbolic link that leads to itself')
  },
)

t.test('a path with a file in place of a folder is reported as a problem, not thrown', async (t) => {
  const directory = directoryOf(t, { 'main.yaml': 'mode: observe' })
  const lines = linesOf(loadFrom(join(directory, 'main.yaml')))
  t.match(lines[0], /main\.yaml\/main\.yaml: cannot exist: a part of its path is a file/)
})

t.test('a pipe in place of the main file does not block the start', async (t) => {
  const directory = directoryOf(t, {})
  execFileSync('mkfifo', [join(directory, 'main.yaml')])
  t.same(linesOf(loadFrom(directory), directory), ['main.yaml: is not a regular file'])
})

t.test('a file that may not be read names the user who tried', async (t) => {
  if (process.geteuid!() === 0 && !canSwitchUsers()) {
    t.comment('left out: only one user exists in this user namespace, and it may read everything')
    return
  }
  const directory = directoryOf(t, { 'main.yaml': 'mode: observe' })
  chmodSync(directory, 0o755)
  chmodSync(join(directory, 'main.yaml'), 0)
  const isRoot = process.geteuid!() === 0
  if (isRoot) process.seteuid!(65534)
  const lines = linesOf(loadFrom(directory), directory)
  if (isRoot) process.seteuid!(0)
  t.match(lines, [/^main\.yaml: may not be read by user \d+: run as root, or change the owner or the mode/])
})

t.test('conf.d must be a directory that contains only files', async (t) => {
  const file = directoryOf(t, { 'main.yaml': 'mode: observe', 'conf.d': 'x' })
  t.same(linesOf(loadFrom(file), file), ['conf.d: must be a directory of *.yaml files'])
  const nested = directoryOf(t, { 'main.yaml': 'mode: observe', 'conf.d/a.yaml/b': '' })
  t.same(linesOf(loadFrom(nested), nested), ['conf.d/a.yaml: is a directory: give the file in it'])
})

t.test('an empty main file is refused: it would protect nothing', async (t) => {
  for (const text of ['', '\n\n', '# mode: enforce\n', '---\n', 'null', '~']) {
    t.same(problemsOf(t, text), ['main.yaml: is empty: write at least `mode: observe`'], JSON.stringify(text))
  }
})

t.test('a file over 1 MiB is refused without being read', async (t) => {
  t.match(problemsOf(t, Buffer.alloc(10 * MIB, 'a: 1\n')), [
    /^main\.yaml: has 10485760 bytes, more than the 1048576/,
  ])
  const large = directoryOf(t, { 'main.yaml': '' })
  // The file is sparse and has more bytes than Node could read.
  truncateSync(join(large, 'main.yaml'), 4096 * MIB)
  t.match(linesOf(loadFrom(large), large), [/^main\.yaml: has 4294967296 bytes, more than the 1048576/])
  t.same(problemsOf(t, `mode: observe\n#${' '.repeat(MIB - 15)}`), [], 'a file of exactly 1 MiB is read')
})

t.test('a file that is not text is reported with its line', async (t) => {
  t.same(problemsOf(t, Buffer.from('mode: observe\n\0\x01')), [
    'main.yaml:2: is not text: there is a zero byte on this line',
  ])
  t.same(problemsOf(t, Buffer.from('mode: observe\n\n# caf\xe9\n', 'latin1')), [
    'main.yaml:3: is not UTF-8: save the file in that encoding',
  ])
  t.match(problemsOf(t, Buffer.from('mode: observe', 'utf16le')), [/^main\.yaml:1: is not text/])
})

t.test('a byte order mark and Windows line endings are accepted', async (t) => {
  t.same(problemsOf(t, '\ufeffmode: observe\r\nlog:\r\n  level: info\r\n'), [])
  t.match(problemsOf(t, 'mode: observe\r\nblok: x\r\n'), [/^main\.yaml:2: blok/])
})
