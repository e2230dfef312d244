import t from 'tap'
import { parseAptConf } from '../../../src/host/mirrors/apt-conf.js'
import { parseSources, parseSourcesList } from '../../../src/host/mirrors/apt-sources.js'
import { discover } from '../../../src/host/mirrors/discover.js'
import { found, hostOf, shown } from './sample-hosts.js'

const LIST = '/etc/apt/sources.list'
const CONF = '/etc/apt/apt.conf'
const uris = (text: string) => parseSourcesList(text).map((uri) => uri.text)
const settings = (text: string) => parseAptConf(text).map(({ name, text, line }) => `${line} ${name}=${text}`)
const HTTP = 'deb http://mirror.example.org/debian bookworm main\n'
const HTTPS = 'deb https://mirror.example.org/debian bookworm main\n'

t.test('the URI of a line follows its options, in every form of the options', async (t) => {
  t.same(uris('deb [trusted=yes]http://a.example.org s main'), ['http://a.example.org'])
  t.same(uris('deb [ signed-by="/k ].gpg" ] http://a.example.org s main'), ['http://a.example.org'])
  t.same(uris('deb "http://a.example.org/x" s main\r\n\tdeb\thttp://b.example.org\ts'), [
    'http://a.example.org/x',
    'http://b.example.org',
  ])
  t.same(uris('deb [lang=de#x] http://a.example.org s # deb http://b.example.org'), ['http://a.example.org'])
  t.same(uris('debx http://a.example.org s\ndeb\ndeb [a=b]\n# deb http://b.example.org s'), [])
})

t.test('when a stanza has a field twice, the last one counts, as in apt', async (t) => {
  const text = 'URIs: http://a.example.org\nURIs: http://b.example.org\n \nEnabled: no\nEnabled: yes\n'
  t.same(parseSources(text), [{ text: 'http://b.example.org', line: 2 }])
})

t.test('settings are read in flat and in nested form, and comments are skipped', async (t) => {
  t.same(
    settings(
      'A::B "1"; // x\n# A::C "2";\nA {\n B { c "3//#"; };\n /* d "4";\n*/ e plain; };\n#clear A::B;\nA::F "open',
    ),
    ['1 a::b=1', '4 a::b::c=3//#', '6 a::e=plain', '7 a::b='],
  )
})

t.test('a proxy replaces the mirrors behind it', async (t) => {
  const proxied = (conf: string, list = HTTP) => found(t, { [LIST]: list, [CONF]: conf })
  t.same(proxied('Acquire::http::Proxy "http://u:p@proxy.example.org:3128/";'), ['proxy.example.org:3128'])
  t.same(proxied('Acquire::http::Proxy "http://proxy.example.org";'), ['proxy.example.org:80'])
  t.same(proxied('Acquire::http::Proxy "socks5h://proxy.example.org";'), ['proxy.example.org:1080'])
  t.same(proxied('Acquire::http::Proxy "DIRECT";'), ['mirror.example.org:80'])
  t.same(proxied('Acquire::http::Proxy "false";'), ['mirror.example.org:80'])
  t.same(proxied('Acquire::https::Proxy "http://proxy.example.org";'), ['mirror.example.org:80'])
  t.same(proxied('Acquire::http::Proxy "http://a.example.org"; #clear Acquire::http;'), [
    'mirror.example.org:80',
  ])
})

t.test(
  "https uses the proxy of http unless it has its own, and a host's own proxy comes first",
  async (t) => {
    const proxied = (conf: string) => found(t, { [LIST]: HTTPS, [CONF]: conf })
    const http = 'Acquire::http::Proxy "http://one.example.org:3128";'
    t.same(proxied(http), ['one.example.org:3128'])
    t.same(proxied(`${http}Acquire::https::Proxy "https://two.example.org";`), ['two.example.org:443'])
    t.same(proxied(`${http}Acquire::https::Proxy "DIRECT";`), ['mirror.example.org:443'])
    t.same(proxied(`${http}Acquire::https::Proxy "";`), ['one.example.org:3128'])
    t.same(proxied(`${http}Acquire::http::Proxy::Mirror.example.org "DIRECT";`), ['mirror.example.org:443'])
    t.same(proxied('Acquire::https::Proxy::other.example.org "http://two.example.org";'), [
      'mirror.example.org:443',
    ])
  },
)

t.test(
  'apt.conf is read before the files of its folder, and these in the order of their names',
  async (t) => {
    const conf = (host: string) => `Acquire::http::Proxy "http://${host}.example.org";`
    const folder = '/etc/apt/apt.conf.d/'
    const files = { [LIST]: HTTP, [`${folder}20b`]: conf('b'), [`${folder}10a.conf`]: conf('a') }
    t.same(found(t, files), ['b.example.org:80'])
    t.same(found(t, { ...files, [`${folder}30c.bak`]: conf('c') }), ['b.example.org:80'])
    t.same(found(t, { ...files, [CONF]: conf('d') }), ['d.example.org:80'])
  },
)

t.test('no mirror is found when the proxy in front of it cannot be read', async (t) => {
  for (const proxy of [
    'proxy.example.org:3128',
    'gopher://proxy.example.org',
    'http://127.0.0.1:3142',
    'http://u:s3cret@',
  ]) {
    const { mirrors, notes } = shown(
      hostOf(t, { [LIST]: HTTP, [CONF]: `\nAcquire::http::Proxy "${proxy}";` }),
    )
    t.same(mirrors, [], proxy)
    t.match(notes, [/^\/etc\/apt\/apt\.conf:2: /])
    t.notMatch(notes[0], 's3cret')
  }
})

t.test(
  "the SRV name is made of the called host and the mirror's scheme, unless SRV is switched off",
  async (t) => {
    const services = (conf: string, list = HTTPS) =>
      discover(hostOf(t, { [LIST]: list, [CONF]: conf })).mirrors.map(({ service }) => service)
    t.same(services(''), ['_https._tcp.mirror.example.org'])
    t.same(services('', 'deb http://mirror.example.org:8080/ ./'), ['_http._tcp.mirror.example.org'])
    t.same(services('Acquire::http::Proxy "http://proxy.example.org";'), ['_https._tcp.proxy.example.org'])
    t.same(services('Acquire::http::Proxy "socks5h://proxy.example.org";'), ['_socks._tcp.proxy.example.org'])
    t.same(services('Acquire::EnableSrvRecords "false";'), [undefined])
    t.same(services('', 'deb http://192.0.2.1/ ./\ndeb http://[2001:db8::1]/ ./'), [undefined, undefined])
  },
)

t.test('a fetched list of mirrors is found by the file name that apt gives it', async (t) => {
  const fetched = (uri: string, name: string) =>
    found(t, {
      [LIST]: `deb ${uri} s main`,
      [`/var/lib/apt/lists/auxfiles/${name}`]: 'http://one.example.org/\tpriority:1\nfile:/srv\n',
    }).slice(1)
  t.same(fetched('mirror+http://u:p@lists.example.org/a_b/m.lst', 'lists.example.org_a%5fb_m.lst'), [
    'one.example.org:80',
  ])
  t.same(fetched('mirror://lists.example.org:8080/m~1.lst', 'lists.example.org:8080_m%7e1.lst'), [
    'one.example.org:80',
  ])
})

t.test('a list that cannot be read, or was not fetched yet, gives a note', async (t) => {
  const { notes } = shown(
    hostOf(t, {
      [LIST]:
        'deb mirror+file:/etc/none s\ndeb mirror+file:///etc/m.xz s\ndeb mirror+http://l.example.org/m s\n',
    }),
  )
  t.match(notes, [/:1: this list .* names none/, /:2: this list is compressed/, /:3: which mirrors/])
})

t.test('only files with a name that apt accepts are read', async (t) => {
  const folder = '/etc/apt/sources.list.d/'
  const names = ['a.list', 'b c.list', 'd.list.save', 'e.list~', 'f.LIST', '.g.list']
  const files = Object.fromEntries(
    names.map((name, i) => [folder + name, `deb http://h${i}.example.org/ ./`]),
  )
  t.same(found(t, files), ['h0.example.org:80'])
})

t.test('updates that come from this host are no mirror, and a note says what to do', async (t) => {
  const list =
    'deb http://localhost:3142/deb.example.org/debian s main\ndeb http://127.0.0.1:3142/HTTPS///download.example.com/x s main\ndeb http://[::1]/x s main\n'
  const { mirrors, notes } = shown(hostOf(t, { '/etc/apt/sources.list': list }))
  t.same(mirrors, [])
  t.match(notes, [
    /:1: updates come from this host \(localhost:3142\): if a proxy or cache answers there, name the hosts that it calls in mirrors\.hosts, and its user in mirrors\.users$/,
    /:2: updates come from this host \(127\.0\.0\.1:3142\)/,
    /:3: updates come from this host \(::1\)/,
  ])
})

t.test('a host with an underscore is a mirror, as for apt itself', async (t) => {
  t.same(found(t, { '/etc/apt/sources.list': 'deb http://apt_repo.example.org/debian s main\n' }), [
    'apt_repo.example.org:80',
  ])
})

t.test('the files of apt are where its settings have them', async (t) => {
  const files = {
    '/etc/apt/apt.conf.d/50paths':
      'Dir::Etc { main "other.conf"; sourceparts "/srv/parts"; };\nDir::State::lists "/srv/lists";\n',
    '/etc/apt/other.conf': 'Dir::Etc::sourcelist "mine.list";\n',
    '/etc/apt/mine.list': 'deb http://mine.example.org/ s\ndeb mirror+http://list.example.org/m.txt s\n',
    '/srv/lists/auxfiles/list.example.org_m.txt': 'http://fetched.example.org/\n',
    '/srv/parts/a.list': 'deb http://part.example.org/ s\n',
    '/etc/apt/sources.list': 'deb http://no.example.org/ s\n',
    '/etc/apt/sources.list.d/a.list': 'deb http://no.example.org/ s\n',
  }
  const all = ['mine.example.org:80', 'list.example.org:80', 'fetched.example.org:80', 'part.example.org:80']
  t.same(found(t, files), all)
  const moved = { [CONF]: 'Dir "/srv/root";\n', '/srv/root/etc/apt/sources.list': HTTP }
  t.same(found(t, moved), ['mirror.example.org:80'])
  t.same(
    found(t, { ...files, [CONF]: 'Dir::Etc::sourceparts "/dev/null";\n', '/etc/apt/apt.conf.d/50paths': '' }),
    ['no.example.org:80'],
  )
})

t.test('the user that apt downloads as is found', async (t) => {
  const conf = { [CONF]: 'APT::Sandbox::User "fetcher";\n' }
  t.same(discover(hostOf(t, conf)).users, ['fetcher'])
  t.same(discover(hostOf(t, { [CONF]: 'APT::Sandbox::User "";\n' })).users, undefined)
})
