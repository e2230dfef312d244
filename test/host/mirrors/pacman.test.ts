import t from 'tap'
import { found } from './sample-hosts.js'

const CONF = '/etc/pacman.conf'

t.test('an included file belongs to the section that includes it', async (t) => {
  const files = { '/etc/list': 'Server = http://$repo.$arch.example.org/\n' }
  const arch = '[options]\nArchitecture = x1 x2\n'
  t.same(
    found(t, { ...files, [CONF]: `${arch}[core]\nInclude = /etc/list\n[extra]\nInclude = /etc/list\n` }),
    ['core.x1.example.org:80', 'extra.x1.example.org:80'],
  )
  t.same(found(t, { ...files, [CONF]: `${arch}Include = /etc/list\n` }), [])
  t.same(found(t, files), [], 'a file that no section includes is not read')
})

t.test('a pattern matches the files of one folder', async (t) => {
  const server = (name: string) => [
    `/etc/p/${name}`,
    `Server = http://${name.replace(/^\./, '')}.example.org/\n`,
  ]
  const files = Object.fromEntries(['a1', 'a2', 'b1', 'a12', '.a3', 'a+'].map(server))
  const fits = (pattern: string) =>
    found(t, { ...files, [CONF]: `[core]\nInclude = /etc/p/${pattern}\n` }).map((host) => host.split('.')[0])
  t.same(fits('a*'), ['a1', 'a12', 'a2'])
  t.same(fits('?1'), ['a1', 'b1'])
  t.same(fits('[!b][1-2]'), ['a1', 'a2'])
  t.same(fits('[z-a]*'), [])
  t.same(fits('a[2'), [])
})

t.test('files may include each other as deep as pacman allows', async (t) => {
  const include = (i: number) => `Include = /etc/p/${i}\nServer = http://h${i}.example.org/\n`
  const files = Object.fromEntries(Array.from({ length: 14 }, (_, i) => [`/etc/p/${i}`, include(i + 1)]))
  t.equal(found(t, { ...files, [CONF]: `[core]\n${include(0)}` }).length, 11)
})
