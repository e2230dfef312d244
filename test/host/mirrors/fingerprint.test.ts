import { mkdirSync, readFileSync, rmSync, statSync, utimesSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { discover, fingerprint } from '../../../src/host/mirrors/discover.js'
import { copyOf, DISTRIBUTIONS, filesOf, write } from './sample-hosts.js'

/** UNREAD lists files of the samples that no package manager reads. */
const UNREAD = [
  '/etc/apt/sources.list.d/old.list.save',
  '/etc/pacman.d/off',
  '/lib/apk/repositories.d/00-vars.list',
]

t.test('the fingerprint stays the same while no file changes', async (t) => {
  for (const distribution of DISTRIBUTIONS) {
    const root = copyOf(t, distribution)
    const before = fingerprint(root)
    const unread = filesOf(root).filter((path) => path.startsWith('/etc') && UNREAD.includes(path))
    for (const path of ['/etc/motd', '/var/log/syslog', ...unread]) write(root, path, 'x')
    t.equal(fingerprint(root), before, distribution)
  }
})

t.test(
  'each file that is read changes the fingerprint: by its text, its absence, and its return',
  async (t) => {
    for (const distribution of DISTRIBUTIONS) {
      const root = copyOf(t, distribution)
      for (const path of filesOf(root).filter((path) => !UNREAD.includes(path))) {
        const text = readFileSync(join(root, path))
        const prints = new Set([fingerprint(root)])
        write(root, path, Buffer.concat([text, Buffer.from('\n')]))
        prints.add(fingerprint(root))
        rmSync(join(root, path))
        prints.add(fingerprint(root))
        write(root, path, text)
        prints.add(fingerprint(root))
        t.equal(prints.size, 4, `${distribution} ${path}`)
      }
    }
  },
)

t.test('another text of the same size and time changes the fingerprint', async (t) => {
  const root = copyOf(t, 'debian')
  const file = join(root, 'etc/apt/sources.list')
  const { atime, mtime } = statSync(file)
  const before = fingerprint(root)
  write(root, '/etc/apt/sources.list', readFileSync(file, 'utf8').replace('mirror.', 'mirroR.'))
  utimesSync(file, atime, mtime)
  t.not(fingerprint(root), before)
})

t.test('every change of a discovery changes the fingerprint, also a new folder', async (t) => {
  const additions = {
    '/etc/apt/sources.list.d/new.list': 'deb http://a.example.org/ ./',
    '/etc/yum.repos.d/new.repo': '[n]\nbaseurl=http://b.example.org/',
    '/etc/yum/vars/x': 'y',
    '/var/cache/dnf/n-0123456789abcdef/metalink.xml': '<url>http://c.example.org/</url>',
    '/etc/zypp/services.d/new.service': '[n]\nurl=http://d.example.org/',
    '/etc/apk/repositories': 'http://e.example.org/',
    '/etc/pacman.conf': '[core]\nInclude = /srv/*.conf',
    '/srv/new.conf': 'Server = http://f.example.org/',
    '/usr/libexec/snapd/snapd': '',
    '/etc/environment': 'http_proxy=http://g.example.org',
  }
  const root = t.testdir({})
  for (const [path, text] of Object.entries(additions)) {
    const before = { print: fingerprint(root), found: JSON.stringify(discover(root)) }
    mkdirSync(dirname(join(root, path)), { recursive: true })
    write(root, path, text)
    t.not(fingerprint(root), before.print, path)
  }
  t.equal(discover(root).mirrors.length, 5)
})
