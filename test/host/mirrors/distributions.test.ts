import t from 'tap'
import { discover } from '../../../src/host/mirrors/discover.js'
import { copyOf, DISTRIBUTIONS, shown } from './sample-hosts.js'

const UNKNOWN = 'is not known before it was fetched once: name them in mirrors.hosts'

t.test('Debian has both formats of sources, and each mirror has the line of its URI', async (t) => {
  const { mirrors, notes } = shown(copyOf(t, 'debian'))
  t.same(mirrors, [
    '_http._tcp.mirror.example.org mirror.example.org:80 /etc/apt/sources.list:2',
    '_https._tcp.packages.example.net packages.example.net:8443 /etc/apt/sources.list:4',
    '2001:db8::10:443 /etc/apt/sources.list:5',
    '_https._tcp.bucket.example.com bucket.example.com:443 /etc/apt/sources.list:12',
    '192.0.2.80:8080 /etc/apt/sources.list:13',
    '_https._tcp.security.example.org security.example.org:443 /etc/apt/sources.list.d/debian.sources:3',
    '_http._tcp.second.example.org second.example.org:80 /etc/apt/sources.list.d/debian.sources:4',
    '_https._tcp.third.example.org third.example.org:443 /etc/apt/sources.list.d/debian.sources:6',
    '_http._tcp.a.example.com a.example.com:80 /etc/apt/sources.list.d/debian.sources:22',
    '_http._tcp.b.example.com b.example.com:80 /etc/apt/sources.list.d/debian.sources:22',
  ])
  t.same(notes, [
    '/etc/apt/sources.list:10: ftp:// is not followed: allow ftp.example.org by a rule',
    '/etc/apt/sources.list:11: this goes by the Tor service of this host: allow that service by a rule',
    '/etc/apt/sources.list:12: this goes by a method of its own: name what else that calls in mirrors.hosts',
  ])
})

t.test('Ubuntu has lists of mirrors, proxies in front of some mirrors, and a store for snaps', async (t) => {
  const { mirrors, notes } = shown(copyOf(t, 'ubuntu'))
  t.same(mirrors, [
    '_http._tcp.partial.example.org partial.example.org:80 /etc/apt/mirrors.txt:3',
    '_https._tcp.full.example.org full.example.org:443 /etc/apt/mirrors.txt:4',
    '_https._tcp.lists.example.org lists.example.org:443 /etc/apt/sources.list:2',
    '_http._tcp.proxy.example.org proxy.example.org:3128 /etc/apt/apt.conf.d/95proxy:4',
    '_https._tcp.proxy2.example.org proxy2.example.org:443 /etc/apt/apt.conf.d/95proxy:9',
    '_https._tcp.direct.example.org direct.example.org:443 /etc/apt/sources.list:4',
    'snapproxy.example.org:3128 /var/lib/snapd/state.json:4',
  ])
  t.same(notes, [
    '/etc/apt/apt.conf.d/95proxy:11: a program says which proxy is called: name that proxy in mirrors.hosts',
    `/etc/apt/sources.list:3: which mirrors this list names ${UNKNOWN}`,
  ])
})

t.test(
  'Fedora has the mirrors of a fetched metalink, a proxy, a disabled and an overridden repository',
  async (t) => {
    const { mirrors, notes } = shown(copyOf(t, 'fedora'))
    const metalink = '/var/cache/libdnf5/fedora-0123456789abcdef/metalink.xml'
    t.same(mirrors, [
      'mirrors.example.org:443 /etc/yum.repos.d/fedora.repo:4',
      `one.mirror.example.org:443 ${metalink}:8`,
      `two.mirror.example.org:8081 ${metalink}:10`,
      `three.mirror.example.org:443 ${metalink}:10`,
      'proxy.example.net:1080 /etc/yum.repos.d/vendor.repo:6',
      'lists.example.net:80 /etc/yum.repos.d/vendor.repo:9',
    ])
    t.same(notes, [
      '/etc/yum.repos.d/vendor.repo:5: this has $unset in its host, and no file says what that is: name its host in mirrors.hosts',
      `/etc/yum.repos.d/vendor.repo:9: which mirrors this mirrorlist names ${UNKNOWN}, or a baseurl`,
    ])
  },
)

t.test('CentOS has the proxy of yum.conf, and repositories without a proxy', async (t) => {
  const { mirrors, notes } = shown(copyOf(t, 'centos'))
  t.same(mirrors, [
    'proxy.example.org:3128 /etc/yum.conf:3',
    'repo.example.net:443 /etc/yum.repos.d/CentOS-Base.repo:7',
    'lists.example.net:443 /etc/yum.repos.d/CentOS-Base.repo:11',
    'first.example.net:80 /var/cache/yum/x86_64/7/lists/mirrorlist.txt:1',
    'second.example.net:443 /var/cache/yum/x86_64/7/lists/mirrorlist.txt:2',
  ])
  t.same(notes, [])
})

t.test('openSUSE has repositories and services, the proxies of the host and of one URL', async (t) => {
  const { mirrors, notes } = shown(copyOf(t, 'opensuse'))
  t.same(mirrors, [
    'download.example.org:443 /etc/zypp/repos.d/repo-oss.repo:5',
    'mirror.example.org:80 /etc/zypp/repos.d/repo-oss.repo:6',
    'acme.vendor.example.com:443 /etc/zypp/repos.d/vendor.repo:3',
    'own.example.com:8888 /etc/zypp/repos.d/vendor.repo:4',
    'sysproxy.example.org:3128 /etc/sysconfig/proxy:3',
    'm2.intern.example.com:443 /var/cache/zypp/raw/listed/mirrorlist.txt:3',
    'registration.example.com:443 /etc/zypp/services.d/SUSE.service:5',
  ])
  t.same(notes, [
    '/etc/zypp/repos.d/vendor.repo:6: nfs:// is not followed: allow files.example.com by a rule',
  ])
})

t.test('Alpine has tagged repositories, components and variables', async (t) => {
  const { mirrors, notes } = shown(copyOf(t, 'alpine'))
  t.same(mirrors, [
    'mirror.example.org:443 /etc/apk/repositories:3',
    'edge.example.org:8080 /etc/apk/repositories:5',
    'near.example.net:443 /lib/apk/repositories.d/distribution.list:2',
    'index.example.net:80 /lib/apk/repositories.d/distribution.list:3',
  ])
  t.same(notes, [
    '/lib/apk/repositories.d/distribution.list:4: this has $nowhere in its host, and no file says what that is: name its host in mirrors.hosts',
  ])
})

t.test('Arch has the servers of the included files, with the repository in the host name', async (t) => {
  const { mirrors, notes } = shown(copyOf(t, 'arch'))
  t.same(mirrors, [
    'vendor.example.com:443 /etc/pacman.d/vendor.conf:2',
    'one.example.org:443 /etc/pacman.d/mirrorlist:4',
    'two.example.org:80 /etc/pacman.d/mirrorlist:6',
    'cache.example.org:8080 /etc/pacman.conf:21',
    'custom.example.org:443 /etc/pacman.conf:22',
  ])
  t.same(notes, [])
})

t.test('each finding names its package manager, and the order is the same each time', async (t) => {
  const managers = {
    debian: 'apt',
    fedora: 'dnf',
    centos: 'dnf',
    opensuse: 'zypper',
    alpine: 'apk',
    arch: 'pacman',
  }
  for (const [distribution, manager] of Object.entries(managers)) {
    const root = copyOf(t, distribution)
    t.same(new Set(discover(root).mirrors.map((mirror) => mirror.manager)), new Set([manager]))
    t.same(discover(root), discover(root))
  }
  t.ok(DISTRIBUTIONS.length >= 7)
})

t.test('a host without package managers has no mirrors and no notes', async (t) => {
  t.same(discover(t.testdir({})), { mirrors: [], notes: [] })
  t.same(discover('/nowhere/at/all'), { mirrors: [], notes: [] })
})
