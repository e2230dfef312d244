import t from 'tap'
import { fingerprint } from '../../../src/host/mirrors/discover.js'
import { parseIni } from '../../../src/host/mirrors/ini.js'
import { parseMetalink, parseMirrorList } from '../../../src/host/mirrors/mirror-list.js'
import { expand } from '../../../src/host/mirrors/variables.js'
import { found, hostOf, shown, write } from './sample-hosts.js'

const REPO = '/etc/yum.repos.d/a.repo'
const MAIN = '/etc/dnf/dnf.conf'

t.test('a value continues over the lines that are no entries of their own', async (t) => {
  const [, section] = parseIni('[a]\r\nbaseurl = http://x\n  http://y/?a=b\nhttps://z\n; c\n#c\nenabled=1\n')
  t.same(section, {
    name: 'a',
    entries: [
      {
        key: 'baseurl',
        line: 2,
        value: [
          { text: 'http://x', line: 2 },
          { text: 'http://y/?a=b', line: 3 },
          { text: 'https://z', line: 4 },
        ],
      },
      { key: 'enabled', line: 7, value: [{ text: '1', line: 7 }] },
    ],
  })
})

t.test('variables are replaced by their values or defaults; unknown variables stay', async (t) => {
  const variables = (name: string) => ({ a: '1', empty: '' })[name]
  // The tests write % for $: Biome reports a $ before a brace as a forgotten template.
  const expanded = (text: string) => expand(text.replaceAll('%', '$'), variables).replaceAll('$', '%')
  t.equal(expanded('%a %{a} %b %{b} %a-%ab'), '1 1 %b %{b} 1-%ab')
  t.equal(expanded('%{a:-x}%{b:-y}%{empty:-z}%{a:+x}%{b:+y}'), '1yzx')
  t.equal(expanded('%{b:-%{a}}%{b:-%{c:-q}}'), '1q')
  t.ok(expand('$loop', () => '$loop$loop').length < 100_000)
})

t.test('the mirrors of a metalink and of a mirrorlist are read', async (t) => {
  const metalink =
    '<url type="http">\nhttp://no.example.org</url>\n<urls>x</urls><url>http://a/</url><url x="1">http://b/?c&amp;d</url>'
  t.same(parseMetalink(metalink), [
    { text: 'http://a/', line: 3 },
    { text: 'http://b/?c&d', line: 3 },
  ])
  t.same(parseMirrorList('\ufeff# c\r\n\n http://a/ x\r\nhttp://b/\tpriority:1'), [
    { text: 'http://a/', line: 3 },
    { text: 'http://b/', line: 4 },
  ])
})

t.test(
  'the folders and the proxy of dnf.conf count, and settings of the repository override them',
  async (t) => {
    const files = {
      [MAIN]:
        '[main]\nreposdir=/srv/repos, /srv/more\nvarsdir=/srv/vars\nproxy=proxy.example.org:8080\n[own]\nbaseurl=http://own.example.org/\nproxy=\n',
      [REPO]: '[a]\nbaseurl=http://unread.example.org/\n',
      '/srv/repos/b.repo':
        '[b]\nbaseurl=http://$site.example.org/\nproxy=_none_\n[c]\nbaseurl=http://c.example.org/\n',
      '/srv/vars/site': 'here\n',
    }
    t.same(found(t, files), ['own.example.org:80', 'here.example.org:80', 'proxy.example.org:8080'])
  },
)

t.test(
  'a main file in /etc replaces the file of that name in /usr, and the last name in order counts',
  async (t) => {
    const proxy = (host: string) => `[main]\nproxy=http://${host}.example.org:1\n`
    const files = {
      [REPO]: '[a]\nbaseurl=http://a.example.org/\n',
      '/usr/share/dnf5/libdnf.conf.d/20-x.conf': proxy('hidden'),
      '/etc/dnf/libdnf5.conf.d/20-x.conf': proxy('etc'),
    }
    t.same(found(t, files), ['etc.example.org:1'])
    t.same(found(t, { ...files, '/usr/share/dnf5/libdnf.conf.d/30-y.conf': proxy('later') }), [
      'later.example.org:1',
    ])
    const earlier = { ...files, '/usr/share/dnf5/libdnf.conf.d/10-y.conf': proxy('earlier') }
    t.same(found(t, earlier), ['etc.example.org:1'])
  },
)

t.test('an override changes a repository, and never creates one', async (t) => {
  const override = '/etc/dnf/repos.override.d/9.repo'
  const files = {
    [REPO]: '[a-1]\nbaseurl=http://a.example.org/\n[b]\nenabled=0\nbaseurl=http://b.example.org/\n',
  }
  t.same(found(t, { ...files, [override]: '[a-?]\nenabled=0\n[new]\nbaseurl=http://new.example.org/\n' }), [])
  t.same(found(t, { ...files, [override]: '[b]\nenabled=1\n[a*]\nbaseurl=http://other.example.org/\n' }), [
    'other.example.org:80',
    'b.example.org:80',
  ])
  t.same(found(t, { [MAIN]: '[main]\n', [override]: '[*]\nbaseurl=http://new.example.org/\n' }), [])
})

t.test('a fetched list counts only for the repository that refers to it', async (t) => {
  const list = (id: string) => `/var/cache/dnf/${id}-0123456789abcdef/mirrorlist`
  const files = { [REPO]: '[a]\nmirrorlist=http://l.example.org/\n', [list('b')]: 'http://b.example.org/\n' }
  t.same(found(t, files), ['l.example.org:80'])
  t.same(found(t, { ...files, [list('a')]: 'rsync://r.example.org/\nhttp://m.example.org/\n' }), [
    'l.example.org:80',
    'm.example.org:80',
  ])
  const elsewhere = {
    ...files,
    [MAIN]: '[main]\ncachedir=/srv/cache\n',
    [list('a')]: 'http://m.example.org/\n',
  }
  t.same(found(t, elsewhere), ['l.example.org:80'])
  t.equal(found(t, { ...elsewhere, [MAIN]: '[main]\ncachedir=/srv/$basearch\n' }).length, 2)
})

t.test(
  'zypper reads each line of baseurl, and uses no proxy of the host for hosts in NO_PROXY',
  async (t) => {
    const repo = '[a]\nbaseurl=http://a.example.org/\nbaseurl=http://b.example.net/\n'
    const files = {
      '/etc/zypp/repos.d/a.repo': repo,
      '/etc/sysconfig/proxy': 'PROXY_ENABLED=yes\nHTTP_PROXY=http://p.example.com\nNO_PROXY=".example.net"\n',
    }
    t.same(found(t, files), ['p.example.com:1080', 'b.example.net:80'])
    t.same(
      found(t, { ...files, '/etc/sysconfig/proxy': 'PROXY_ENABLED="no"\nHTTP_PROXY=http://p.example.com\n' }),
      ['a.example.org:80', 'b.example.net:80'],
    )
  },
)

t.test('a repository of zypper may have its own proxy', async (t) => {
  const { mirrors } = shown(
    hostOf(t, {
      '/etc/zypp/repos.d/a.repo': '[a]\nbaseurl=http://a.example.org/\nproxy=p.example.com:3128\n',
    }),
  )
  t.same(mirrors, ['p.example.com:3128 /etc/zypp/repos.d/a.repo:3'])
})

t.test('zypper finds a fetched list by the name of the repository', async (t) => {
  const list = (id: string) => `/var/cache/zypp/raw/${id}/mirrorlist.xml`
  const files = {
    '/etc/zypp/repos.d/a.repo': '[a]\nmirrorlist=https://l.example.org/metalink\n',
    [list('b')]: '<url>http://b.example.org/</url>',
  }
  t.same(found(t, files), ['l.example.org:443'])
  t.same(found(t, { ...files, [list('a')]: '<url>http://m.example.org/</url>' }), [
    'l.example.org:443',
    'm.example.org:80',
  ])
})

t.test('what was fetched for a mirrorlist may be a metalink, for dnf and zypper', async (t) => {
  const metalink =
    '<metalink><files><file name="repomd.xml"><resources>\n<url protocol="https">https://m.example.org/x</url>\n</resources></file></files></metalink>\n'
  const repo =
    '[a]\n#baseurl=http://no.example.org/\nmirrorlist=https://l.example.org/metalink?repo=a&arch=$basearch\n'
  const dnf = { [REPO]: repo, '/var/cache/dnf/a-0123456789abcdef/metalink.xml': metalink }
  t.same(found(t, dnf), ['l.example.org:443', 'm.example.org:443'])
  const asList = { [REPO]: repo, '/var/cache/dnf/a-0123456789abcdef/mirrorlist': metalink }
  t.same(found(t, asList), ['l.example.org:443', 'm.example.org:443'])
  const zypper = { '/etc/zypp/repos.d/a.repo': repo, '/var/cache/zypp/raw/a/mirrorlist.txt': metalink }
  t.same(found(t, zypper), ['l.example.org:443', 'm.example.org:443'])
})

t.test('a list of mirrors that is a file of this host is read, and a change of it is noticed', async (t) => {
  const lists = {
    '/etc/mirrors/a1': 'https://m.example.org/\n',
    '/etc/mirrors/b': '<url>http://n.example.org/</url>',
  }
  const repos =
    '[a]\nmirrorlist=file:///etc/mirrors/a$n\n[b]\nmetalink=file:/etc/mirrors/b\n[c]\nmirrorlist=file:///etc/mirrors/none\n'
  const dnf = { ...lists, [REPO]: repos, '/etc/dnf/vars/n': '1\n' }
  t.same(found(t, dnf), ['m.example.org:443', 'n.example.org:80'])
  t.match(shown(hostOf(t, dnf)).notes, [
    /^\/etc\/yum\.repos\.d\/a\.repo:6: which mirrors this mirrorlist names is not known/,
  ])
  const zypper = { ...lists, '/etc/zypp/repos.d/a.repo': repos.replace('a$n', 'a1') }
  t.same(found(t, zypper), ['m.example.org:443', 'n.example.org:80'])
  for (const files of [dnf, zypper]) {
    const root = hostOf(t, files)
    const before = fingerprint(root)
    write(root, '/etc/mirrors/b', '<url>http://other.example.org/</url>')
    t.not(fingerprint(root), before)
  }
})

t.test('the hosts of subscription-manager are found, or its proxy', async (t) => {
  const conf = (proxy: string) => ({
    '/etc/rhsm/rhsm.conf': `[server]\nhostname = subscription.example.org\nprefix = /subscription\nport = 8443\nproxy_hostname =${proxy}\nproxy_port = 3129\n[rhsm]\nbaseurl = https://cdn.example.org\nca_cert_dir = /etc/rhsm/ca/\n`,
  })
  t.same(found(t, conf('')), ['subscription.example.org:8443', 'cdn.example.org:443'])
  t.same(found(t, conf(' proxy.example.org')), ['proxy.example.org:3129'])
  t.same(found(t, { '/etc/rhsm/rhsm.conf': '[server]\nhostname=a.example.org\n' }), ['a.example.org:443'])
})
