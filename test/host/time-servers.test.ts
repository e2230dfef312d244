import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  infrastructureFingerprint,
  placedInfrastructure,
  readInfrastructure,
} from '../../src/host/infrastructure.js'
import { readHost, rootOf, serverText } from './hosts.js'

type FileTexts = Readonly<Record<string, string>>
const TIMESYNCD = '/etc/systemd/timesyncd.conf'
const CHRONY = '/etc/chrony/chrony.conf'
const STOCK =
  '# Defaults are in comments.\n\n[Time]\n#NTP=\n#FallbackNTP=0.pool.example.org 1.pool.example.org\n#RootDistanceMaxSec=5\n'
const POOL = ['0.pool.example.org', '1.pool.example.org']

/** Returns the time servers of a host with these files. */
const servers = (t: Test, files: FileTexts) => readHost(t, files).timeServers.map(serverText)
const tls = (t: Test, files: FileTexts) => readHost(t, files).timeTlsServers.map(serverText)

t.test(
  'the compiled-in servers of timesyncd, which its stock file has in a comment, are found',
  async (t) => {
    t.same(servers(t, { [TIMESYNCD]: STOCK }), POOL)
    t.same(servers(t, { '/usr/lib/systemd/timesyncd.conf': STOCK }), POOL, 'where /etc has no file')
    const own = { [TIMESYNCD]: '[Time]\nPollIntervalMinSec=32\n', '/usr/lib/systemd/timesyncd.conf': STOCK }
    t.same(servers(t, own), POOL, 'where the file in /etc has no comment')
    const both = { [TIMESYNCD]: STOCK, '/usr/lib/systemd/timesyncd.conf': STOCK.replaceAll('pool', 'old') }
    t.same(servers(t, both), POOL, 'each once')
    t.same(servers(t, { [TIMESYNCD]: STOCK, [CHRONY]: '# none\n' }), POOL, 'chrony names none')
  },
)

t.test('compiled-in servers do not count where anything else names servers', async (t) => {
  t.same(servers(t, { [TIMESYNCD]: `${STOCK}NTP=ntp.example.org\n` }), ['ntp.example.org'])
  t.same(servers(t, { [TIMESYNCD]: `${STOCK}FallbackNTP=ntp.example.org\n` }), ['ntp.example.org'])
  t.same(servers(t, { [TIMESYNCD]: `${STOCK}FallbackNTP=\n` }), [], 'the operator wants none')
  t.same(servers(t, { [TIMESYNCD]: STOCK, [CHRONY]: 'server ntp.example.org\n' }), ['ntp.example.org'])
  const link = { [TIMESYNCD]: STOCK, '/run/systemd/netif/links/2': 'NTP=192.0.2.123\n' }
  t.same(servers(t, link), ['192.0.2.123'])
})

t.test('drop-ins of timesyncd count from all folders, and one of /etc hides those of its name', async (t) => {
  const files = {
    [TIMESYNCD]: '[Time]\nNTP=main.example.org\n',
    '/usr/lib/systemd/timesyncd.conf.d/10-vendor.conf': '[Time]\nNTP=vendor.example.org\n',
    '/usr/lib/systemd/timesyncd.conf.d/20-hidden.conf': '[Time]\nNTP=hidden.example.org\n',
    '/etc/systemd/timesyncd.conf.d/20-hidden.conf': '[Time]\nNTP=etc.example.org\n',
    '/run/systemd/timesyncd.conf.d/30-dhclient.conf': '[Time]\nNTP=192.0.2.1 192.0.2.2\n',
    '/etc/systemd/timesyncd.conf.d/40.conf.bak': '[Time]\nNTP=no.example.org\n',
  }
  const found = ['main.example.org', 'vendor.example.org', 'etc.example.org', '192.0.2.1', '192.0.2.2']
  t.same(servers(t, files), found)
  const reset = { ...files, '/etc/systemd/timesyncd.conf.d/25-reset.conf': '[Time]\nNTP=\n' }
  t.same(servers(t, reset), ['192.0.2.1', '192.0.2.2'], 'an empty list takes away what is before it')
  const mask = rootOf(t, files)
  mkdirSync(join(mask, 'etc/systemd/timesyncd.conf.d'), { recursive: true })
  symlinkSync('/dev/null', join(mask, 'etc/systemd/timesyncd.conf.d/30-dhclient.conf'))
  t.same(readInfrastructure(mask).timeServers.length, 3, '/dev/null hides one')
})

t.test('lists of timesyncd go on over lines, have ports, and count in their section only', async (t) => {
  const text =
    '[Time]\nNTP=a.example.org \\\n# a comment\n  b.example.org:1123 \\\n  2001:db8::1 [2001:db8::2]:1123\n[Other]\nNTP=no.example.org\n'
  t.same(servers(t, { [TIMESYNCD]: text }), [
    'a.example.org',
    'b.example.org 1123',
    '2001:db8::1',
    '2001:db8::2 1123',
  ])
  t.same(servers(t, { [TIMESYNCD]: '[Time]\nNTP=a.example.org \\' }), ['a.example.org'], 'an unfinished line')
})

t.test('the servers of the links of systemd-networkd are found, from files and from leases', async (t) => {
  const files = {
    '/run/systemd/netif/state': 'OPER_STATE=routable\nNTP=192.0.2.7\n',
    '/run/systemd/netif/links/2': 'DNS=192.0.2.53\nNTP=192.0.2.1 ntp.example.org\n',
    '/etc/systemd/network/10-lan.network':
      '[Match]\nName=eth0\n[Network]\nNTP=lan.example.org\n[Route]\nNTP=no.example.org\n',
    '/etc/systemd/network/10-lan.network.d/a.conf': '[Network]\nNTP=\nNTP=more.example.org\n',
    '/run/systemd/network/20-netplan.network': '[Network]\nNTP=plan.example.org\n',
  }
  t.same(servers(t, files), [
    '192.0.2.7',
    '192.0.2.1',
    'ntp.example.org',
    'more.example.org',
    'plan.example.org',
  ])
})

t.test('chrony: the files that its own names are read, and no others', async (t) => {
  const files = {
    [CHRONY]:
      'include /etc/chrony/x/*.inc\nconfdir /etc/chrony/conf.d\nSourceDir /run/chrony-dhcp /etc/chrony/sources.d\npool pool.example.org iburst\n',
    '/etc/chrony/x/a.inc': 'Server a.example.org\ninclude /etc/chrony/chrony.conf\n',
    '/etc/chrony/x/a.other': 'server no.example.org\n',
    '/etc/chrony/conf.d/b.conf': 'peer b.example.org\n',
    '/etc/chrony/conf.d/b.sources': 'server no.example.org\n',
    '/run/chrony-dhcp/eth0.sources': 'server 192.0.2.123 iburst\n',
    '/run/chrony-dhcp/same.sources': 'server first.example.org\n',
    '/etc/chrony/sources.d/same.sources': 'server hidden.example.org\n',
    '/etc/chrony/sources.d/c.sources': 'server c.example.org\nserver 127.0.0.1\n',
    '/etc/chrony/other.d/d.sources': 'server no.example.org\n',
  }
  const found = ['pool.example.org', 'a.example.org', 'b.example.org']
  t.same(servers(t, files), [...found, 'c.example.org', '192.0.2.123', 'first.example.org'])
  t.same(
    servers(t, {
      '/etc/chrony.conf': '! server a.example.org\n# pool b.example.org\nserver c.example.org\nserver\n',
    }),
    ['c.example.org'],
  )
  const lease = { '/etc/chrony.conf': '', '/var/lib/dhclient/chrony.servers.eth0': '192.0.2.9 iburst\n' }
  t.same(servers(t, lease), ['192.0.2.9'])
})

t.test('a port other than 123, and the port for NTS keys, are those of the line', async (t) => {
  const text =
    'server ntp.example.org port 1123\npool nts.example.org iburst nts prefer\nserver 192.0.2.4 NTS ntsport 4461\nserver plain.example.org ntsport 4462\n'
  const files = { '/etc/chrony.conf': text }
  t.same(servers(t, files), ['ntp.example.org 1123', 'nts.example.org', '192.0.2.4', 'plain.example.org'])
  t.same(tls(t, files), ['nts.example.org 4460', '192.0.2.4 4461'], 'only where NTS is used')
})

t.test('ntpd and ntpsec: included files, folders, leases and NTS', async (t) => {
  const files = {
    '/etc/ntpsec/ntp.conf':
      'server -4 a.example.org iburst # ours\npool nts.example.org:4470 nts\nserver [2001:db8::5]:4471 nts\nincludefile "/etc/more.conf"\n',
    '/etc/ntpsec/ntp.d/b.conf': 'server b.example.org\n',
    '/etc/more.conf': 'server more.example.org\nincludefile /etc/more.conf\n',
    '/etc/ntp.conf': 'server 127.127.1.0\npeer 2001:db8::6\nserver ntp.example.org\n',
    '/run/ntp.conf.dhcp': 'server 192.0.2.8 iburst\n',
  }
  t.same(servers(t, files), [
    'a.example.org',
    'nts.example.org',
    '2001:db8::5',
    'more.example.org',
    'b.example.org',
    '2001:db8::6',
    'ntp.example.org',
    '192.0.2.8',
  ])
  t.same(tls(t, files), ['nts.example.org 4470', '2001:db8::5 4471'])
})

t.test('OpenNTPD: its servers, and the hosts that it asks over HTTPS', async (t) => {
  const text =
    'listen on *\nserver ntp.example.org weight 2\nservers pool.example.org\n#server no.example.org\nconstraint from "192.0.2.99"\nconstraints from "https://www.example.org/"\nconstraint from "https://www.example.net:8443/x" 2001:db8::7 192.0.2.98\nconstraint from "2001:db8::8"\n'
  const files = { '/etc/openntpd/ntpd.conf': text }
  t.same(servers(t, files), ['ntp.example.org', 'pool.example.org'])
  t.same(tls(t, files), [
    '192.0.2.99 443',
    'www.example.org 443',
    '2001:db8::7 8443',
    '192.0.2.98 8443',
    '2001:db8::8 443',
  ])
})

t.test('the ntpd of BusyBox has its servers in its options', async (t) => {
  t.same(servers(t, { '/etc/conf.d/ntpd': 'NTPD_OPTS="-N -p a.example.org -p keyno:1:192.0.2.5"\n' }), [
    'a.example.org',
    '192.0.2.5',
  ])
})

t.test('addresses of IPv4 in IPv6 form and with a zone are understood; others are left out', async (t) => {
  const text =
    'server ::ffff:192.0.2.6\nserver fe80::1%eth0\nserver 192.0.2.0/24\nserver *.example.org\nserver a!b\nserver ::1\nserver ::ffff:127.0.0.1\nserver localhost\n'
  t.same(servers(t, { '/etc/ntp.conf': text }), ['192.0.2.6', 'fe80::1'])
})

t.test('each time server has the line that names it', async (t) => {
  const root = rootOf(t, { [TIMESYNCD]: STOCK, '/etc/ntp.conf': '\nserver ntp.example.org nts\n' })
  const { timeServers, timeTlsServers } = placedInfrastructure(root)
  for (const { origin } of [...timeServers, ...timeTlsServers])
    t.same(origin, { file: join(root, 'etc/ntp.conf'), line: 2 })
  const stock = placedInfrastructure(rootOf(t, { [TIMESYNCD]: STOCK })).timeServers
  t.same(
    stock.map(({ origin }) => origin.line),
    [5, 5],
  )
})

t.test('files that include each other, folders, FIFOs and unreadable files do no harm', async (t) => {
  const loop = 'include /etc/chrony/*.conf\nconfdir /etc/chrony\nserver a.example.org\n'
  const files = { [CHRONY]: loop, '/etc/chrony/b.conf': loop, '/etc/ntp.conf': 'includefile /etc/ntp.conf\n' }
  t.same(servers(t, files), ['a.example.org', 'a.example.org'])
  const root = rootOf(t, { ...files, '/etc/chrony/c.conf': loop })
  mkdirSync(join(root, 'etc/systemd/timesyncd.conf'), { recursive: true })
  execFileSync('mkfifo', [join(root, 'etc/chrony/d.conf'), join(root, 'etc/openntpd')])
  chmodSync(join(root, 'etc/chrony/c.conf'), 0)
  t.ok(readInfrastructure(root).timeServers.length >= 2)
  const deep = Object.fromEntries(
    Array.from({ length: 3000 }, (_, i) => [`/etc/n/${i}`, `includefile /etc/n/${i + 1}\n`]),
  )
  t.same(servers(t, { '/etc/ntp.conf': 'includefile /etc/n/0\n', ...deep }), [], 'a long chain ends')
})

t.test('a file of a time service that appears or changes is noticed', async (t) => {
  const paths = [
    '/run/systemd/timesyncd.conf.d/a.conf',
    '/usr/lib/systemd/timesyncd.conf',
    '/run/systemd/netif/links/3',
    '/etc/systemd/network/a.network',
    '/run/chrony-dhcp/eth0.sources',
    '/etc/chrony/conf.d/a.conf',
    '/etc/openntpd/ntpd.conf',
    '/etc/conf.d/ntpd',
    '/etc/ntpsec/ntp.d/a.conf',
  ]
  const base = { [CHRONY]: 'confdir /etc/chrony/conf.d\nsourcedir /run/chrony-dhcp\n' }
  for (const path of paths) {
    const root = rootOf(t, base)
    const before = infrastructureFingerprint(root)
    const whole = join(root, path)
    mkdirSync(join(whole, '..'), { recursive: true })
    execFileSync('touch', [whole])
    t.not(infrastructureFingerprint(root), before, path)
  }
})
