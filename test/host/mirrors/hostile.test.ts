import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { discover, fingerprint } from '../../../src/host/mirrors/discover.js'
import { copyOf, DISTRIBUTIONS, filesOf, found, hostOf, write } from './sample-hosts.js'

/** Returns whether a discovery has the properties that hold for any contents of the files. */
function isSound(root: string): boolean {
  const { mirrors, notes } = discover(root)
  const names = mirrors.every(({ host, port }) => /^[a-z0-9_.:-]+$/.test(host) && port >= 1 && port <= 65535)
  return names && notes.every((note) => /^[\x20-\x7e]+$/.test(note) && !note.includes('s3cret'))
}

t.test('a file that ends at any byte does no harm', async (t) => {
  for (const distribution of DISTRIBUTIONS) {
    const root = copyOf(t, distribution)
    let sound = true
    for (const path of filesOf(root)) {
      const whole = readFileSync(join(root, path))
      for (let length = 0; length < whole.length; length++) {
        write(root, path, whole.subarray(0, length))
        sound &&= isSound(root)
      }
      write(root, path, whole)
    }
    t.ok(sound, distribution)
  }
})

t.test('random bytes in a file do no harm', async (t) => {
  const random = generator(20240229)
  for (const distribution of DISTRIBUTIONS) {
    const root = copyOf(t, distribution)
    let sound = true
    for (const path of filesOf(root)) {
      const whole = readFileSync(join(root, path))
      for (let round = 0; round < 20; round++) {
        const bytes = Buffer.from(whole)
        for (let change = 0; change <= round; change++) bytes[random() % bytes.length] = random() & 0xff
        write(
          root,
          path,
          round === 0 ? Buffer.from(Array.from({ length: 4096 }, () => random() & 0xff)) : bytes,
        )
        sound &&= isSound(root)
      }
      write(root, path, whole)
    }
    t.ok(sound, distribution)
  }
})

t.test('huge lines of awkward characters are read without deep recursion', async (t) => {
  for (const distribution of DISTRIBUTIONS) {
    const root = copyOf(t, distribution)
    for (const character of [
      'a',
      ' ',
      '[',
      '"',
      '/',
      '{',
      '${',
      '$a',
      '<url',
      'a=',
      '\\',
      '\0',
      '=',
      '#',
      '*',
      '\n',
      'é',
    ]) {
      for (const path of filesOf(root)) write(root, path, `deb [${character.repeat(50_000)}`)
      t.doesNotThrow(() => discover(root))
    }
  }
})

t.test('variables that contain each other do not fill the memory', async (t) => {
  const text = `set a=${'x'.repeat(50_000)}\nset b=${'$a'.repeat(50_000)}\nhttp://$b.example.org/\n`
  t.same(found(t, { '/etc/apk/repositories': text }), [])
  const doubled = Array.from({ length: 40 }, (_, i) => `set a${i + 1}=$a${i}$a${i}`).join('\n')
  t.same(found(t, { '/etc/apk/repositories': `set a0=abcdefgh\n${doubled}\nhttp://$a40.example.org/` }), [])
})

t.test('CRLF and a byte order mark do not matter', async (t) => {
  for (const distribution of DISTRIBUTIONS) {
    const root = copyOf(t, distribution)
    const before = discover(root)
    for (const path of filesOf(root).filter((path) => !path.endsWith('.json'))) {
      const text = readFileSync(join(root, path), 'utf8')
      write(root, path, `\ufeff${text.replaceAll('\n', '\r\n')}`)
    }
    t.same(discover(root), before, distribution)
  }
})

t.test('a large file is read up to its limit, and a note reports that', async (t) => {
  const line = 'http://a.example.org/x\n'
  const root = hostOf(t, { '/etc/apk/repositories': `${line.repeat(60_000)}http://z.example.org/\n` })
  const { mirrors, notes } = discover(root)
  t.same(
    mirrors.map(({ host }) => host),
    ['a.example.org'],
  )
  t.match(notes, [/repositories: this file is larger than 1 MiB/])
})

t.test('the numbers of mirrors and notes are bounded, and a note reports that', async (t) => {
  const lines = (scheme: string) =>
    Array.from({ length: 5000 }, (_, i) => `${scheme}://h${i}.example.org/`).join('\n')
  const { mirrors, notes } = discover(
    hostOf(t, { '/etc/apk/repositories': `${lines('http')}\n${lines('ftp')}` }),
  )
  t.equal(mirrors.length, 4096)
  t.equal(notes.length, 102)
  t.same(notes.slice(-2), [
    'there are more notes of this kind',
    'more than 4096 mirrors: the rest is left out',
  ])
})

t.test(
  'devices, FIFOs and folders in the place of files give no mirrors, and reading never blocks',
  async (t) => {
    const root = t.testdir({ etc: { apk: {}, apt: { 'sources.list': {} } } })
    execFileSync('mkfifo', [join(root, 'etc/apk/repositories')])
    symlinkSync('/dev/zero', join(root, 'etc/pacman.conf'))
    symlinkSync('loop', join(root, 'etc/apt/loop'))
    symlinkSync('loop', join(root, 'etc/apt/apt.conf'))
    t.same(discover(root), { mirrors: [], notes: [] })
    t.ok(fingerprint(root))
  },
)

t.test('symbolic links are followed, and circular includes only up to a limit', async (t) => {
  const root = hostOf(t, {
    '/srv/list': 'deb http://a.example.org/ ./\n',
    '/etc/pacman.conf':
      '[core]\nInclude = /etc/pacman.conf\nInclude = /etc/pacman.conf\nServer = http://b.example.org/\n',
  })
  mkdirSync(join(root, 'etc/apt'))
  symlinkSync(join(root, 'srv/list'), join(root, 'etc/apt/sources.list'))
  t.same(
    discover(root).mirrors.map(({ host }) => host),
    ['a.example.org', 'b.example.org'],
  )
})

t.test(
  'passwords and control characters never appear in the findings, and this host is no mirror',
  async (t) => {
    const list = [
      'deb http://user:s3cret@bad!host.example.org/ ./',
      'deb ftp://user:s3cret@ftp.example.org/ ./',
      'deb s3cret:s3cret@mirror.example.org/ ./',
      'deb http://localhost:3142/debian s main',
      'deb http://127.0.0.1/debian s main',
      'deb http://[::1]/debian s main',
    ].join('\n')
    t.same(found(t, { '/etc/apt/sources.list': list }), [])
    const root = hostOf(t, {
      '/etc/apt/sources.list': list,
      '/etc/yum.repos.d/\x1b[2J.repo': '[a]\nbaseurl=x://b\n',
    })
    t.ok(isSound(root))
    t.equal(discover(root).notes.length, 7)
    rmSync(root, { recursive: true })
  },
)

/** Makes numbers that are the same in each run. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state >>> 8
  }
}
