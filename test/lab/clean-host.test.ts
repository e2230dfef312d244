import { readlink } from 'node:fs/promises'
import t from 'tap'
import { Namespace } from './namespace.js'
import { command } from './traffic.js'

/**
 * Files of a host with a time server, resolvers behind a stub, a mirror, snapd and the user of a resolver.
 */
const FILES = {
  '/etc/chrony/chrony.conf': 'pool 198.51.100.123 iburst\n',
  '/etc/resolv.conf': 'nameserver 127.0.0.53\nsearch example.org\n',
  '/run/systemd/resolve/resolv.conf': 'nameserver 198.51.100.53\n',
  '/etc/apt/sources.list': 'deb http://mirror.example.org/debian stable main\n',
  '/var/lib/snapd/state.json': '{}\n',
  '/etc/passwd': 'root:x:0:0::/:\nunbound:x:53:53::/:\n',
} as const

/** Environment variables of users. Each changes how some program runs, or its output. */
const ENVIRONMENT = {
  LC_ALL: 'de_DE.UTF-8',
  TZ: 'Asia/Kathmandu',
  FORCE_COLOR: '3',
  DEBUG: '*',
  http_proxy: 'http://198.51.100.80:3128',
  NODE_OPTIONS: '--no-warnings',
  CHECKVALVE_MODE: 'enforce',
  NOTIFY_SOCKET: '/run/notify',
  WATCHDOG_USEC: '1000',
  HOME: '/root',
} as const

async function settledHost(): Promise<Namespace> {
  const host = await Namespace.create('host')
  for (const [path, text] of Object.entries(FILES)) await host.file(path, text)
  return host
}

const FACTS = command('host-facts', [])
const factsOf = async (host: Namespace, ...before: string[]) =>
  JSON.parse((await host.run([...before, ...FACTS], { env: ENVIRONMENT })).stdout)

t.test('on a clean host no file, user or environment variable of the real host is found', async (t) => {
  await using host = await settledHost()
  t.match(await factsOf(host), {
    timeServers: [{}],
    resolvers: [{}],
    searchDomains: ['example.org'],
    mirrors: [{ host: 'mirror.example.org' }],
    notes: [/snapd/],
    resolverUsers: [53],
    environment: { TZ: ENVIRONMENT.TZ, DEBUG: '*' },
  })
  const { environment, ...facts } = await factsOf(host, 'scripts/namespaced')
  t.same(facts, {
    timeServers: [],
    timeTlsServers: [],
    upstreams: [],
    ndots: 1,
    resolverNotes: [],
    resolvers: [],
    searchDomains: [],
    mirrors: [],
    notes: [],
    resolverUsers: [],
    dhcpUsers: [0],
    timeUsers: [0],
  })
  t.same(Object.keys(environment).sort(), ['HOME', 'PATH', 'TERM', 'TMPDIR', 'TZ'])
  t.match(environment, { HOME: '/nonexistent', TZ: 'UTC' })
})

/** MOVE: makes a folder like that of a build server, with the repository $1 and Node.js $2. */
const MOVE = `
mount -t tmpfs own /var/lib
cd /var/lib
mkdir -p ci/checkvalve ci/bin
mount --rbind "$1" ci/checkvalve
: > ci/bin/node
mount --bind "$2" ci/bin/node
`

t.test('on a clean host the repository and Node are found in any folder', async (t) => {
  await using host = await Namespace.create('host')
  await host.run(['sh', '-ec', MOVE, 'move', process.cwd(), process.execPath])
  const there = ['env', '--chdir=/var/lib/ci/checkvalve', `PATH=/var/lib/ci/bin:${process.env.PATH}`]
  const { stdout } = await host.run([
    ...there,
    'scripts/namespaced',
    'sh',
    '-ec',
    'ls package.json; node -p 1+1',
  ])
  t.equal(stdout, 'package.json\n2\n')
})

t.test('a clean host has a network of its own, with loopback', async (t) => {
  await using host = await Namespace.create('host')
  const { stdout } = await host.run([
    'scripts/namespaced',
    'sh',
    '-c',
    'readlink /proc/self/ns/net; ip -brief link',
  ])
  const [identity, ...devices] = stdout.trim().split('\n')
  t.notHas([host.identity, await readlink('/proc/self/ns/net')], identity)
  t.match(devices, [/^lo +UNKNOWN .*UP/])
})
