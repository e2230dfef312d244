import { mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { formatPrefix } from '../../src/core/packet/address-text.js'
import type { Destination } from '../../src/core/packet/ip.js'
import { infrastructureFingerprint, readInfrastructure } from '../../src/host/infrastructure.js'
import { parseResolvConf, parseSearchDomains, usesStub } from '../../src/host/resolvers/resolv-conf.js'

const text = (destination: Destination) => {
  if (destination.kind === 'prefix') return formatPrefix(destination.prefix)
  return destination.kind === 'name' ? destination.name : `*.${destination.domain}`
}
const resolvers = (file: string) => parseResolvConf(file).map(formatPrefix)

/** Makes a host with only these files. */
function host(t: Test, files: Parameters<typeof t.testdir>[0]) {
  const found = readInfrastructure(t.testdir(files), () => undefined)
  return { resolvers: found.resolvers.map(formatPrefix), timeServers: found.timeServers.map(text) }
}

t.test('the nameservers of resolv.conf are resolvers, each a single address', async (t) => {
  t.same(
    resolvers(
      '# local\nsearch example.org\nnameserver 192.0.2.53\n nameserver\t2001:db8::53 ; second\noptions edns0\n',
    ),
    ['192.0.2.53', '2001:db8::53'],
  )
})

t.test('a zone is dropped from the address of a resolver', async (t) => {
  t.same(resolvers('nameserver fe80::1%eth0\n'), ['fe80::1'])
})

t.test('loopback addresses, comments and invalid lines of resolv.conf are no resolvers', async (t) => {
  t.same(
    resolvers(
      'nameserver 127.0.0.53\nnameserver ::1\n#nameserver 192.0.2.1\n;nameserver 192.0.2.2\nnameserver\nnameserver example.org\nnameserver 192.0.2.300\nnameservers 192.0.2.3\n',
    ),
    [],
  )
  t.same(resolvers(''), [])
})

t.test('an incomplete line does not swallow the next line', async (t) => {
  t.same(resolvers('nameserver\nnameserver 192.0.2.53\n'), ['192.0.2.53'])
  t.same(resolvers('nameserver \n192.0.2.53\n'), [])
  t.same(resolvers('nameserver 192.0.2.53\r\nnameserver 192.0.2.54\r\n'), ['192.0.2.53', '192.0.2.54'])
  t.same(parseSearchDomains('search\nnameserver 192.0.2.53\n'), [])
  t.equal(usesStub('nameserver\n127.0.0.53\n'), false)
})

t.test('the search domains are those of the last line that has some', async (t) => {
  t.same(parseSearchDomains('search example.org  Example.NET. # ours\n'), ['example.org', 'example.net'])
  t.same(parseSearchDomains('domain example.org\nsearch a.example.org b.example.org\n'), [
    'a.example.org',
    'b.example.org',
  ])
  t.same(parseSearchDomains('search a.example.org\ndomain example.org\n'), ['example.org'])
})

t.test('a domain that would match every name, and an invalid domain, are left out', async (t) => {
  t.same(
    parseSearchDomains('search . * *.example.org under_score!.example.org 192.0.2.1 -a.example.org\n'),
    [],
  )
  t.same(parseSearchDomains('#search example.org\n;search example.org\nsearching example.org\nsearch\n'), [])
  t.same(parseSearchDomains(''), [])
})

t.test('the stub of systemd-resolved is recognized by its addresses', async (t) => {
  t.equal(usesStub('nameserver 127.0.0.53\n'), true)
  t.equal(usesStub('nameserver 127.0.0.54\noptions edns0\n'), true)
  t.equal(usesStub('nameserver 127.0.0.1\n'), false)
  t.equal(usesStub('# nameserver 127.0.0.53\nnameserver 192.0.2.53\n'), false)
})

t.test('a host with a plain resolv.conf has its nameservers as resolvers', async (t) => {
  t.same(host(t, { etc: { 'resolv.conf': 'nameserver 192.0.2.53\n' } }), {
    resolvers: ['192.0.2.53'],
    timeServers: [],
  })
})

t.test('behind the stub, the upstream servers of systemd-resolved are the resolvers', async (t) => {
  const upstream = {
    systemd: { resolve: { 'resolv.conf': 'nameserver 192.0.2.53\nnameserver 2001:db8::53\n' } },
  }
  t.same(host(t, { etc: { 'resolv.conf': 'nameserver 127.0.0.53\n' }, run: upstream }).resolvers, [
    '192.0.2.53',
    '2001:db8::53',
  ])
  t.same(
    host(t, { etc: { 'resolv.conf': 'nameserver 192.0.2.1\n' }, run: upstream }).resolvers,
    ['192.0.2.1'],
    'the stub is not in use',
  )
})

t.test(
  'a host without these files, or with folders in their place, has no resolvers and causes no error',
  async (t) => {
    t.same(host(t, {}), { resolvers: [], timeServers: [] })
    t.same(host(t, { etc: { 'resolv.conf': {}, systemd: { 'timesyncd.conf.d': 'a file' } } }), {
      resolvers: [],
      timeServers: [],
    })
  },
)

t.test('DHCP is allowed for root and for those users of DHCP clients that exist on this host', async (t) => {
  const users: Record<string, number> = { root: 0, 'systemd-network': 998, 'www-data': 33 }
  t.same(readInfrastructure(t.testdir({}), (name) => users[name]).dhcpUsers, [0, 998])
})

t.test(
  'time servers are for root and for those users of time services that exist on this host',
  async (t) => {
    const users: Record<string, number> = { root: 0, _chrony: 997, 'systemd-timesync': 996, 'www-data': 33 }
    t.same(readInfrastructure(t.testdir({}), (name) => users[name]).timeUsers, [0, 996, 997])
  },
)

t.test('the users of local resolvers are those that exist on this host', async (t) => {
  const users: Record<string, number> = { unbound: 114, dnsmasq: 998, 'www-data': 33 }
  t.same(readInfrastructure(t.testdir({}), (name) => users[name]).resolverUsers, [114, 998])
})

t.test(
  'search domains come from resolv.conf and, behind the stub, from systemd-resolved, each domain once',
  async (t) => {
    const root = t.testdir({
      etc: { 'resolv.conf': 'nameserver 127.0.0.53\nsearch example.org\n' },
      run: {
        systemd: { resolve: { 'resolv.conf': 'nameserver 192.0.2.53\nsearch example.org example.net\n' } },
      },
    })
    t.same(readInfrastructure(root, () => undefined).searchDomains, ['example.org', 'example.net'])
  },
)

/** Writes a file and its folders as a DHCP client or a package does: the complete file appears at once. */
function put(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(`${path}.new`, text)
  renameSync(`${path}.new`, path)
}

t.test('the fingerprint changes with each file that is read, and for no other reason', async (t) => {
  const root = t.testdir({
    etc: { chrony: { 'conf.d': {}, 'sources.d': {} }, systemd: { 'timesyncd.conf.d': {} } },
  })
  const changes = (work: () => void) => {
    const before = infrastructureFingerprint(root)
    work()
    return before !== infrastructureFingerprint(root)
  }
  t.equal(
    changes(() => {}),
    false,
  )
  for (const path of [
    'etc/resolv.conf',
    'run/systemd/resolve/resolv.conf',
    'etc/systemd/timesyncd.conf',
    'etc/systemd/timesyncd.conf.d/a.conf',
    'etc/chrony/chrony.conf',
    'etc/chrony.conf',
    'etc/ntpsec/ntp.conf',
    'etc/ntp.conf',
  ]) {
    const file = join(root, path)
    t.equal(
      changes(() => put(file, 'one')),
      true,
      `${path} is created`,
    )
    t.equal(
      changes(() => put(file, 'two')),
      true,
      `${path} has another content of the same length`,
    )
    t.equal(
      changes(() => utimesSync(file, 1, 1)),
      true,
      `${path} has another time of change`,
    )
    t.equal(
      changes(() => rmSync(file)),
      true,
      `${path} is removed`,
    )
  }
  t.equal(
    changes(() => put(join(root, 'etc/other.conf'), 'one')),
    false,
  )
})

t.test('a symbolic link with another target changes the fingerprint as well', async (t) => {
  const root = t.testdir({
    etc: { 'resolv.conf': t.fixture('symlink', '../run/a.conf') },
    run: { 'a.conf': 'nameserver 192.0.2.53\n', 'b.conf': 'nameserver 192.0.2.54\n' },
  })
  const before = infrastructureFingerprint(root)
  rmSync(join(root, 'etc/resolv.conf'))
  symlinkSync('../run/b.conf', join(root, 'etc/resolv.conf'))
  t.not(infrastructureFingerprint(root), before)
})

t.test('the files of the real host can be read', async (t) => {
  t.ok(readInfrastructure().dhcpUsers.includes(0))
})
