import { join } from 'node:path'
import t, { type Test } from 'tap'
import { formatPrefix } from '../../src/core/packet/address-text.js'
import { placedInfrastructure, readInfrastructure } from '../../src/host/infrastructure.js'
import { parseStamp } from '../../src/host/resolvers/dnscrypt-proxy.js'
import { parseNdots } from '../../src/host/resolvers/resolv-conf.js'
import { readHost, rootOf, serverText } from './hosts.js'

type FileTexts = Readonly<Record<string, string>>
const HERE = { '/etc/resolv.conf': 'nameserver 127.0.0.1\n' }
const STUB = { '/etc/resolv.conf': 'nameserver 127.0.0.53\n' }

/** Returns the resolvers of a host with these files, its upstreams as `address port tls`, and its notes. */
function resolving(t: Test, files: FileTexts) {
  const { resolvers, upstreams, resolverNotes } = readHost(t, files)
  return {
    resolvers: resolvers.map(formatPrefix),
    upstreams: upstreams.map(
      ({ place, port, isTls }) => `${serverText({ ...place, port })}${isTls ? ' tls' : ''}`,
    ),
    notes: resolverNotes.map((note) => note.replace(/^.*?(?=\/etc)/, '')),
  }
}

/** Returns the same of a host whose resolv.conf leads to itself. */
const local = (t: Test, files: FileTexts) => resolving(t, { ...HERE, ...files })
const nothing = { resolvers: [], upstreams: [] }

t.test('addresses of IPv4 in IPv6 form are resolvers, and 0.0.0.0 is this host', async (t) => {
  const text =
    'nameserver ::ffff:192.0.2.53\nnameserver ::FFFF:c000:236\nnameserver ::ffff:127.0.0.53\nnameserver 0.0.0.0\nnameserver ::\n'
  t.same(resolving(t, { '/etc/resolv.conf': text }).resolvers, ['192.0.2.53', '192.0.2.54'])
})

t.test('dnsmasq: its servers, of all its files', async (t) => {
  const files = {
    '/etc/dnsmasq.conf':
      'no-resolv # ours\nserver=192.0.2.53\nserver=/corp.example.org/192.0.2.54#5353@eth0\nserver=/local.example.org/\n#server=192.0.2.99\nserver=127.0.0.1#5335\nrev-server=192.0.2.0/24,192.0.2.55\nconf-dir=/etc/more.d,*.conf\nconf-file=/etc/one\nservers-file=/etc/two\n',
    '/etc/dnsmasq.d/a': 'server=2001:db8::53\n',
    '/etc/dnsmasq.d/b.dpkg-old': 'server=192.0.2.99\n',
    '/etc/dnsmasq.d/c~': 'server=192.0.2.99\n',
    '/etc/more.d/d.conf': 'server=192.0.2.56\n',
    '/etc/more.d/d.other': 'server=192.0.2.99\n',
    '/etc/one': 'server=192.0.2.57\nconf-file=/etc/one\n',
    '/etc/two': 'server=192.0.2.58\n',
    '/run/dnsmasq/resolv.conf': 'nameserver 192.0.2.99\n',
  }
  t.same(local(t, files), {
    resolvers: ['192.0.2.53', '192.0.2.55', '192.0.2.56', '192.0.2.57', '192.0.2.58', '2001:db8::53'],
    upstreams: ['192.0.2.54 5353'],
    notes: [],
  })
})

t.test('dnsmasq: the files of leases, unless it reads none', async (t) => {
  const files = {
    '/etc/dnsmasq.conf': 'resolv-file=/etc/upstream.conf\n',
    '/etc/upstream.conf': 'nameserver 192.0.2.53\nnameserver 127.0.0.1\n',
    '/run/dnsmasq/resolv.conf': 'nameserver 192.0.2.54\n',
    '/run/NetworkManager/no-stub-resolv.conf': 'nameserver 192.0.2.55\n',
  }
  t.same(local(t, files).resolvers, ['192.0.2.53', '192.0.2.54', '192.0.2.55'])
  t.same(local(t, { '/etc/dnsmasq.conf': 'domain-needed\n' }), {
    ...nothing,
    notes: [
      '/etc/dnsmasq.conf: dnsmasq on this host has no server in its files: name the resolvers that it asks in infrastructure.dns',
    ],
  })
})

t.test('unbound: its forward and stub zones, with TLS and ports', async (t) => {
  const files = {
    '/etc/unbound/unbound.conf':
      'include: "/etc/unbound/unbound.conf.d/*.conf"\nserver:\n  interface: 127.0.0.1 # us\n',
    '/etc/unbound/unbound.conf.d/a.conf':
      'forward-zone:\n  name: "."\n  forward-tls-upstream: yes\n  forward-addr: 192.0.2.53@853#dns.example.org\n  forward-addr: fd00::53\n  forward-host: "dns.example.net"\n  # forward-addr: 192.0.2.99\n',
    '/etc/unbound/unbound.conf.d/b.conf':
      'stub-zone: name: "corp.example.org"\n stub-addr:192.0.2.54@5353\nstub-zone:\n name: b.example.org\n stub-addr: 192.0.2.55\n',
  }
  t.same(local(t, files), {
    resolvers: ['192.0.2.55'],
    upstreams: ['192.0.2.53 853 tls', 'fd00::53 853 tls', 'dns.example.net 853 tls', '192.0.2.54 5353'],
    notes: [],
  })
  const all = 'server:\n tls-upstream: yes\nforward-zone:\n name: .\n forward-addr: 192.0.2.53\n'
  t.same(local(t, { '/etc/unbound/unbound.conf': all }).upstreams, ['192.0.2.53 853 tls'])
})

t.test('a resolver that asks the servers of each zone itself is named, with what to do', async (t) => {
  const unbound = { '/etc/unbound/unbound.conf': 'server:\n  verbosity: 1\n' }
  const note =
    'asks the name servers of each zone itself: forward its queries to a resolver, or name the servers that it may ask in infrastructure.dns'
  t.same(local(t, unbound), {
    ...nothing,
    notes: [`/etc/unbound/unbound.conf: unbound on this host ${note}`],
  })
  const bind = {
    '/etc/bind/named.conf':
      'options { recursion yes; };\nzone "b.example.org" { type forward; forwarders { 192.0.2.54; }; };\n',
  }
  t.same(local(t, bind), {
    resolvers: ['192.0.2.54'],
    upstreams: [],
    notes: [`/etc/bind/named.conf: bind on this host ${note}`],
  })
  t.match(local(t, { '/etc/powerdns/recursor.conf': 'local-address=127.0.0.1\n' }).notes, [
    /pdns-recursor .* each zone/,
  ])
  t.match(local(t, { '/etc/knot-resolver/kresd.conf': "net.listen('127.0.0.1', 53)\n" }).notes, [
    /knot-resolver .* each zone/,
  ])
  const dnsmasq = { '/etc/dnsmasq.conf': 'server=127.0.0.1#5335\n' }
  t.same(local(t, { ...dnsmasq, ...unbound }).notes.length, 2, 'dnsmasq before unbound')
  const both = { ...unbound, '/etc/dnsmasq.conf': 'server=192.0.2.53\n' }
  t.same(local(t, both).notes, [], 'one whose servers are known is enough')
  t.same(
    resolving(t, { '/etc/resolv.conf': 'nameserver 192.0.2.53\n', ...unbound }).notes,
    [],
    'it is not asked',
  )
})

t.test('BIND: its forwarders, through includes, comments and blocks', async (t) => {
  const files = {
    '/etc/bind/named.conf': '// main\ninclude "/etc/bind/named.conf.options";\n',
    '/etc/bind/named.conf.options':
      'options {\n  directory "/var/cache/bind"; # here\n  /* forwarders { 192.0.2.99; }; */\n  forwarders port 5353 {\n    192.0.2.53 port 53;\n    192.0.2.54;\n    2001:db8::53 port 853 tls ephemeral;\n  };\n};\nacl own { 192.0.2.98; };\n',
  }
  t.same(local(t, files), {
    resolvers: ['192.0.2.53'],
    upstreams: ['192.0.2.54 5353', '2001:db8::53 853 tls'],
    notes: [],
  })
  const view = 'view "own" { match-clients { 192.0.2.98; }; forwarders tls name { 192.0.2.53; }; };'
  t.same(local(t, { '/etc/named.conf': view }).upstreams, ['192.0.2.53 853 tls'])
})

t.test('PowerDNS Recursor: settings of both forms, folders and files of zones', async (t) => {
  const files = {
    '/etc/powerdns/recursor.conf':
      'include-dir=/etc/powerdns/recursor.d\nforward-zones=corp.example.org=192.0.2.53;192.0.2.54:5353, b.example.org=[2001:db8::53]:853\nforward-zones-file=/etc/powerdns/zones\n',
    '/etc/powerdns/recursor.d/a.conf': 'forward-zones-recurse+=.=192.0.2.55\n',
    '/etc/powerdns/zones': '# ours\n+c.example.org=192.0.2.56, 192.0.2.57\n',
  }
  t.same(local(t, files), {
    resolvers: ['192.0.2.55', '192.0.2.53', '192.0.2.56', '192.0.2.57'],
    upstreams: ['192.0.2.54 5353', '2001:db8::53 853 tls'],
    notes: [],
  })
  const yaml = {
    '/etc/powerdns/recursor.yml':
      'recursor:\n  forward_zones:\n    - zone: corp.example.org\n      forwarders: [192.0.2.53]\n  forward_zones_recurse:\n    - zone: .\n      forwarders:\n        - 192.0.2.54:5353\n',
  }
  t.same(local(t, yaml), { resolvers: ['192.0.2.53'], upstreams: ['192.0.2.54 5353'], notes: [] })
})

t.test('Knot Resolver: the rules of its program, and of its YAML', async (t) => {
  const lua = `-- policy.add(policy.all(policy.FORWARD('192.0.2.99')))
--[[ policy.add(policy.all(policy.FORWARD('192.0.2.98')))
]]
policy.add(policy.suffix(policy.STUB('192.0.2.54@5353'), {todname('corp.example.org')}))
policy.add(policy.all(policy.TLS_FORWARD({
  {'192.0.2.53', hostname='dns.example.org'},
  {'2001:db8::53@8853', hostname='dns.example.org', ca_file='/etc/ca.pem'},
})))
policy.add(policy.all(policy.FORWARD '192.0.2.55'))
`
  t.same(local(t, { '/etc/knot-resolver/kresd.conf': lua }), {
    resolvers: ['192.0.2.55'],
    upstreams: ['192.0.2.54 5353', '192.0.2.53 853 tls', '2001:db8::53 8853 tls'],
    notes: [],
  })
  const yaml = `forward:
  - subtree: corp.example.org
    servers: [192.0.2.54]
  - subtree: [.]
    servers:
      - address: [192.0.2.53, "2001:db8::53@8853"]
        transport: tls
        hostname: dns.example.org
`
  t.same(local(t, { '/etc/knot-resolver/config.yaml': yaml }), {
    resolvers: ['192.0.2.54'],
    upstreams: ['192.0.2.53 853 tls', '2001:db8::53 8853 tls'],
    notes: [],
  })
})

t.test('stubby: its servers over TLS, and plain ones where it falls back to them', async (t) => {
  const yaml = (transports: string) => `resolution_type: GETDNS_RESOLUTION_STUB
dns_transport_list:
${transports}
upstream_recursive_servers:
  - address_data: 192.0.2.53
    tls_auth_name: "dns.example.org"
  - address_data: 2001:db8::53
    tls_port: 8853
`
  const files = (transports: string) => ({ '/etc/stubby/stubby.yml': yaml(transports) })
  t.same(local(t, files('  - GETDNS_TRANSPORT_TLS')), {
    resolvers: [],
    upstreams: ['192.0.2.53 853 tls', '2001:db8::53 8853 tls'],
    notes: [],
  })
  t.same(local(t, files('  - GETDNS_TRANSPORT_TLS\n  - GETDNS_TRANSPORT_UDP')).resolvers, [
    '192.0.2.53',
    '2001:db8::53',
  ])
})

/** Makes a stamp of DNSCrypt (1), DNS over HTTPS (2) or TLS (3). */
function stamp(protocol: number, address: string, name = 'dns.example.org'): string {
  const text = (value: string) => [value.length, ...Buffer.from(value)]
  const rest =
    protocol === 1
      ? [...text('k'.repeat(32)), ...text('2.dnscrypt-cert.example.org')]
      : [0x80 | 32, ...Buffer.alloc(32), 0, ...text(name), ...text('/dns-query')]
  return `sdns://${Buffer.from([protocol, ...Buffer.alloc(8), ...text(address), ...rest]).toString('base64url')}`
}

t.test('the stamps of dnscrypt-proxy have an address, or a name', async (t) => {
  t.same(parseStamp(stamp(1, '192.0.2.53')), { host: '192.0.2.53', port: 443, isTls: false })
  t.same(parseStamp(stamp(1, '[2001:db8::53]:8443')), { host: '2001:db8::53', port: 8443, isTls: false })
  t.same(parseStamp(stamp(2, '')), { host: 'dns.example.org', port: 443, isTls: true })
  t.same(parseStamp(stamp(2, ':8443')), { host: 'dns.example.org', port: 8443, isTls: true })
  t.same(parseStamp(stamp(2, '', 'dns.example.org:444')), { host: 'dns.example.org', port: 444, isTls: true })
  t.same(parseStamp(stamp(3, '192.0.2.53')), { host: '192.0.2.53', port: 853, isTls: true })
  for (const text of ['', 'sdns://', 'sdns://AQ', 'sdns://AAAA', 'https://x', stamp(2, '').slice(0, 30)])
    t.equal(parseStamp(text), undefined, text)
})

t.test('dnscrypt-proxy: the servers of its choice, of its own and of fetched lists', async (t) => {
  const main = '/etc/dnscrypt-proxy/dnscrypt-proxy.toml'
  const list = `# public\n\n## one\n\nA server.\n\n${stamp(2, '192.0.2.54')}\n\n## two\n${stamp(1, '192.0.2.99')}\n`
  const toml = `server_names = ['one', # first
  "mine"]
bootstrap_resolvers = ['192.0.2.53:53', '192.0.2.55:5353']
[sources]
  [sources.'public']
  urls = ['https://download.example.org/list.md']
  cache_file = 'list.md'
[static]
  [static.'mine']
  stamp = '${stamp(3, '192.0.2.56')}'
`
  const files = { [main]: toml, '/var/cache/dnscrypt-proxy/list.md': list }
  t.same(local(t, files), {
    resolvers: ['192.0.2.53'],
    upstreams: ['192.0.2.54 443 tls', '192.0.2.56 853 tls', '192.0.2.55 5353'],
    notes: [],
  })
  t.match(local(t, { [main]: toml }).notes, [
    /dnscrypt-proxy on this host has servers whose addresses are not known/,
  ])
  t.match(local(t, { [main]: 'max_clients = 250\n' }).notes, [/chooses servers of a public list itself/])
})

t.test('systemd-resolved: TLS to its servers where it is configured so', async (t) => {
  const leases = { '/run/systemd/resolve/resolv.conf': 'nameserver 192.0.2.53\n' }
  t.same(resolving(t, { ...STUB, ...leases }), { resolvers: ['192.0.2.53'], upstreams: [], notes: [] })
  const conf = (text: string) => ({ '/etc/systemd/resolved.conf': `[Resolve]\n${text}` })
  for (const value of ['yes', 'opportunistic'])
    t.same(resolving(t, { ...STUB, ...leases, ...conf(`DNSOverTLS=${value}\n`) }).upstreams, [
      '192.0.2.53 853 tls',
    ])
  t.same(resolving(t, { ...STUB, ...leases, ...conf('#DNSOverTLS=yes\nDNSOverTLS=no\n') }).upstreams, [])
  const dropIn = { '/run/systemd/resolved.conf.d/a.conf': '[Resolve]\nDNSOverTLS=yes\n' }
  t.same(resolving(t, { ...STUB, ...leases, ...dropIn }).upstreams, ['192.0.2.53 853 tls'])
  const link = { '/etc/systemd/network/a.network': '[Network]\nDNSOverTLS=yes\n' }
  t.same(resolving(t, { ...STUB, ...leases, ...link }).upstreams, ['192.0.2.53 853 tls'])
  const state = { '/run/systemd/netif/links/2': 'DNS_OVER_TLS=yes\n' }
  t.same(resolving(t, { ...STUB, ...leases, ...state }).upstreams, ['192.0.2.53 853 tls'])
  const own = conf('DNS=192.0.2.54:5353#dns.example.org 192.0.2.55#dns.example.org\nDNSOverTLS=yes\n')
  t.same(resolving(t, { ...STUB, ...own }), {
    resolvers: ['192.0.2.55'],
    upstreams: ['192.0.2.54 5353', '192.0.2.54 5353 tls', '192.0.2.55 853 tls'],
    notes: [],
  })
  const plain = { '/etc/resolv.conf': 'nameserver 192.0.2.1\n' }
  t.same(resolving(t, { ...plain, ...conf('DNSOverTLS=yes\n') }).upstreams, [], 'it does not run')
})

t.test('where no file says whom this host asks, a note does', async (t) => {
  const note =
    'it leads to this host itself, and no file says whom that asks: name the resolvers that it asks in infrastructure.dns'
  t.same(local(t, {}).notes, [`/etc/resolv.conf:1: ${note}`])
  t.same(resolving(t, STUB).notes, [`/etc/resolv.conf:1: ${note}`])
  const behind = { ...STUB, '/run/systemd/resolve/resolv.conf': 'nameserver 127.0.0.1\n' }
  t.same(resolving(t, behind).notes, [`/etc/resolv.conf:1: ${note}`], 'a stub behind the stub')
  t.same(resolving(t, {}).notes, [])
})

t.test('each upstream has the line that names it', async (t) => {
  const root = rootOf(t, { ...HERE, '/etc/dnsmasq.conf': '\nserver=192.0.2.53\nserver=192.0.2.54#5353\n' })
  const { resolvers, upstreams } = placedInfrastructure(root)
  t.same(
    [...resolvers, ...upstreams].map(({ origin }) => origin),
    [2, 3].map((line) => ({ file: join(root, 'etc/dnsmasq.conf'), line })),
  )
})

t.test('a resolver that listens on an address of this host is asked for its upstreams, too', async (t) => {
  const root = rootOf(t, {
    '/etc/resolv.conf': 'nameserver 192.0.2.1\n',
    '/etc/dnsmasq.conf': 'server=192.0.2.53\n',
  })
  const found = (own: boolean) =>
    readInfrastructure(
      root,
      () => undefined,
      () => own,
    ).resolvers.map(formatPrefix)
  t.same(found(true), ['192.0.2.1', '192.0.2.53'])
  t.same(found(false), ['192.0.2.1'])
})

t.test('ndots of resolv.conf is the last one, within its limit', async (t) => {
  t.same(
    [
      '',
      'options ndots:2 timeout:1\n',
      'options ndots:5\noptions attempts:1 ndots:3\n',
      'options ndots:99\n',
      '#options ndots:4\n',
      'options ndots:x\n',
    ].map(parseNdots),
    [1, 2, 3, 15, 1, 1],
  )
})
