/** Runs hosts as they are: files of several programs, and all that must be found in them. */
import t from 'tap'
import { formatPrefix } from '../../src/core/packet/address-text.js'
import { readInfrastructure } from '../../src/host/infrastructure.js'
import { discover } from '../../src/host/mirrors/discover.js'
import { rootOf, serverText } from './hosts.js'

interface HostCase {
  readonly files: Readonly<Record<string, string>>
  readonly mirrors?: readonly string[]
  readonly times?: readonly string[]
  readonly resolvers?: readonly string[]
  /** Whether the operator is told something. */
  readonly hasNotes?: boolean
}

const CASES: Readonly<Record<string, HostCase>> = {
  'apt by a cache on this host': {
    files: {
      '/etc/apt/sources.list': 'deb [arch=amd64] http://127.0.0.1:3142/deb.example.org/debian trixie main\n',
    },
    hasNotes: true,
  },
  'apt by a host with an underscore': {
    files: {
      '/etc/apt/sources.list.d/own.sources':
        'Types: deb\nURIs: https://deb_mirror.corp_net.example.org/debian\nSuites: trixie\nComponents: main\n',
    },
    mirrors: ['deb_mirror.corp_net.example.org:443'],
  },
  'dnf with a metalink under the name of a mirrorlist': {
    files: {
      '/etc/yum.repos.d/more.repo':
        '[more]\nname=More\nmirrorlist=https://lists.example.org/metalink?repo=more-9\nenabled=1\n',
      '/var/cache/libdnf5/more-fedcba9876543210/metalink.xml':
        '<?xml version="1.0"?>\n<metalink>\n <url protocol="http" preference="90">http://a.example.net/more/repodata/repomd.xml</url>\n</metalink>\n',
    },
    mirrors: ['lists.example.org:443', 'a.example.net:80'],
  },
  'a caching dnsmasq in front of two resolvers': {
    files: {
      '/etc/resolv.conf': 'search example.org\nnameserver ::1\n',
      '/etc/dnsmasq.d/upstream.conf': 'no-resolv\nserver=192.0.2.53\nserver=2001:db8::53\n',
    },
    resolvers: ['192.0.2.53', '2001:db8::53'],
  },
  'a stock host with timesyncd': {
    files: { '/usr/lib/systemd/timesyncd.conf': '[Time]\n#NTP=\n#FallbackNTP=time.example.org\n' },
    times: ['time.example.org'],
  },
  'chrony with servers of a lease': {
    files: {
      '/etc/chrony.conf': 'sourcedir /run/chrony-dhcp\npool 2.pool.example.org iburst nts\n',
      '/run/chrony-dhcp/ens3.sources': 'server 192.0.2.123 iburst\nserver 2001:db8::123\n',
    },
    times: ['2.pool.example.org', '192.0.2.123', '2001:db8::123'],
  },
  'chrony with included files and a port': {
    files: {
      '/etc/chrony/chrony.conf': 'include /etc/chrony/site.d/*\nserver time.example.org port 11123\n',
      '/etc/chrony/site.d/one': 'server one.example.org\n',
    },
    times: ['time.example.org 11123', 'one.example.org'],
  },
}

for (const [name, { files, mirrors = [], times = [], resolvers = [], hasNotes = false }] of Object.entries(
  CASES,
))
  t.test(`what the files of a host name is found: ${name}`, async (t) => {
    const root = rootOf(t, files)
    const found = discover(root)
    const host = readInfrastructure(root, () => undefined)
    t.same(
      {
        mirrors: found.mirrors.map(({ host, port }) => `${host}:${port}`),
        times: host.timeServers.map(serverText),
        resolvers: host.resolvers.map(formatPrefix),
        hasNotes: found.notes.length + host.resolverNotes.length > 0,
      },
      { mirrors, times, resolvers, hasNotes },
    )
  })
