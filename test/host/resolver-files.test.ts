import { execFileSync } from 'node:child_process'
import fs, { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { infrastructureFingerprint, readInfrastructure } from '../../src/host/infrastructure.js'
import { canSwitchUsers } from '../lab/users.js'
import { readHost, rootOf } from './hosts.js'

const HERE = { '/etc/resolv.conf': 'nameserver 127.0.0.1\n' }
const local = (t: Test, files: Readonly<Record<string, string>>) => readHost(t, { ...HERE, ...files })

const MAINS = [
  '/etc/dnsmasq.conf',
  '/etc/unbound/unbound.conf',
  '/etc/bind/named.conf',
  '/etc/powerdns/recursor.conf',
  '/etc/powerdns/recursor.yml',
  '/etc/knot-resolver/kresd.conf',
  '/etc/knot-resolver/config.yaml',
  '/etc/stubby/stubby.yml',
  '/etc/dnscrypt-proxy/dnscrypt-proxy.toml',
]

t.test('awkward, endless and looping files do no harm', async (t) => {
  const pieces = [
    'a',
    ' ',
    '{',
    '"',
    "'",
    '/*',
    '[',
    '(',
    'forwarders {',
    '- a: ',
    'sdns://',
    '\\',
    '\0',
    '--[[',
    '#',
    ';',
  ]
  for (const piece of pieces)
    for (const path of MAINS)
      t.doesNotThrow(() => local(t, { [path]: `forward-zone:\n${piece.repeat(20_000)}` }), `${path} ${piece}`)
  const loops = {
    '/etc/dnsmasq.conf': 'conf-file=/etc/dnsmasq.conf\nconf-dir=/etc\n',
    '/etc/unbound/unbound.conf': 'include: /etc/unbound/*\n',
    '/etc/bind/named.conf': 'include "/etc/bind/named.conf";',
    '/etc/powerdns/recursor.conf': 'include-dir=/etc/powerdns\n',
  }
  t.doesNotThrow(() => local(t, loops))
})

t.test('FIFOs, folders and links in a circle are passed over, and an unreadable file is named', async (t) => {
  const root = rootOf(t, HERE)
  for (const path of MAINS) mkdirSync(join(root, path, '..'), { recursive: true })
  execFileSync('mkfifo', [join(root, MAINS[0]!), join(root, MAINS[5]!)])
  mkdirSync(join(root, MAINS[1]!))
  symlinkSync('named.conf', join(root, MAINS[2]!))
  t.doesNotThrow(() => readInfrastructure(root))
})

/** Calls a function as a user who is not root: root reads all files. */
function asNobody<T>(read: () => T): T {
  if (process.geteuid!() !== 0) return read()
  process.seteuid!(65534)
  try {
    return read()
  } finally {
    process.seteuid!(0)
  }
}

t.test('an unreadable file is named', async (t) => {
  if (process.geteuid!() === 0 && !canSwitchUsers())
    return void t.comment('left out: a user who is not root (only one exists in this namespace)')
  const root = rootOf(t, { ...HERE, '/etc/bind/named.conf': 'options { forwarders { 192.0.2.53; }; };' })
  chmodSync(join(root, 'etc/bind/named.conf'), 0)
  t.match(asNobody(() => readInfrastructure(root)).resolverNotes, [
    /bind on this host has a file that this user may not read/,
  ])
})

t.test('a file of a resolver that appears or changes is noticed', async (t) => {
  const before = infrastructureFingerprint(rootOf(t, HERE))
  t.equal(typeof before, 'string')
  for (const path of [...MAINS, '/etc/dnsmasq.d/a', '/etc/systemd/resolved.conf']) {
    const root = rootOf(t, { ...HERE, '/run/systemd/resolve/resolv.conf': 'nameserver 192.0.2.53\n' })
    const was = infrastructureFingerprint(root)
    mkdirSync(join(root, path, '..'), { recursive: true })
    execFileSync('touch', [join(root, path)])
    t.not(infrastructureFingerprint(root), was, path)
  }
})

t.test('while no file changes, a fingerprint does not parse them again', async (t) => {
  const list = `server=192.0.2.53\n${'address=/ads.example.org/0.0.0.0\n'.repeat(30_000)}`
  const root = rootOf(t, { ...HERE, '/etc/dnsmasq.conf': list })
  const first = infrastructureFingerprint(root)
  const { readSync } = fs
  let reads = 0
  fs.readSync = ((...args: Parameters<typeof readSync>) => {
    reads++
    return readSync(...args)
  }) as typeof readSync
  syncBuiltinESMExports()
  t.teardown(() => {
    fs.readSync = readSync
    syncBuiltinESMExports()
  })
  t.equal(infrastructureFingerprint(root), first)
  t.equal(reads, 0)
  writeFileSync(join(root, 'etc/dnsmasq.conf'), 'server=192.0.2.54\n')
  t.not(infrastructureFingerprint(root), first)
  t.ok(reads > 0)
})

t.test('users that systemd makes for a service while it runs are found', async (t) => {
  const root = rootOf(t, { '/run/systemd/dynamic-uid/x': '' })
  symlinkSync('61184', join(root, 'run/systemd/dynamic-uid/direct:stubby'))
  t.ok(readInfrastructure(root).resolverUsers.includes(61184))
})
