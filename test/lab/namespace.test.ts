import { mkdtemp, readFile, readlink, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { link, Namespace } from './namespace.js'
import { canSwitchUsers, mappedIds } from './users.js'

interface Device {
  readonly ifname: string
  readonly flags: readonly string[]
}

const devices = async (namespace: Namespace) =>
  JSON.parse((await namespace.run(['ip', '-json', 'link'])).stdout) as Device[]

const read = async (namespace: Namespace, path: string) => (await namespace.run(['cat', path])).stdout

t.test('a new namespace is not that of the host, and its only device is lo, which is up', async (t) => {
  await using namespace = await Namespace.create('lonely')
  t.not(namespace.identity, await readlink('/proc/self/ns/net'))
  t.match(await devices(namespace), [{ ifname: 'lo', flags: ['LOOPBACK', 'UP'] }])
  t.equal((await devices(namespace)).length, 1)
})

t.test('a cable connects two namespaces, and the host does not see it', async (t) => {
  await using a = await Namespace.create('a')
  await using b = await Namespace.create('b')
  await link(a, 'eth0', b, 'eth7')
  t.match(await devices(a), [{ ifname: 'lo' }, { ifname: 'eth0' }])
  t.match(await devices(b), [{ ifname: 'lo' }, { ifname: 'eth7' }])
  t.notMatch(await readFile('/proc/net/dev', 'utf8'), 'eth7')
})

t.test('addresses of both families can be used at once, and added routes are in force', async (t) => {
  await using namespace = await Namespace.create('routes')
  await using other = await Namespace.create('other')
  await link(namespace, 'eth0', other, 'eth0')
  await namespace.address('eth0', '198.51.100.1/24', '2001:db8:51::1/64')
  await namespace.route('192.0.2.0/24 via 198.51.100.9', '2001:db8:2::/64 via 2001:db8:51::9')
  const { stdout } = await namespace.run(['ip', '-6', 'address', 'show', 'dev', 'eth0'])
  t.match(stdout, '2001:db8:51::1/64')
  t.notMatch(stdout, 'tentative')
  t.match((await namespace.run(['ip', 'route', 'get', '192.0.2.7'])).stdout, 'via 198.51.100.9')
  t.match((await namespace.run(['ip', 'route', 'get', '2001:db8:2::7'])).stdout, 'via 2001:db8:51::9')
})

t.test('a kernel variable is set for the namespace alone', async (t) => {
  const path = '/proc/sys/net/ipv4/ip_default_ttl'
  const before = await readFile(path, 'utf8')
  await using namespace = await Namespace.create('sysctl')
  await namespace.sysctl('net.ipv4.ip_default_ttl', 42)
  t.equal(await read(namespace, path), '42\n')
  t.equal(await readFile(path, 'utf8'), before)
})

t.test(
  "a namespace has the kernel's default settings of IPv4 devices and not those of the host",
  async (t) => {
    await using namespace = await Namespace.create('defaults')
    const { stdout } = await namespace.run(['sh', '-c', 'cd /proc/sys/net/ipv4/conf && grep "" */*'])
    for (const device of ['all', 'default', 'lo']) {
      const set = stdout.matchAll(new RegExp(`^${device}/(\\w+):1$`, 'gm'))
      const names = [...set].map(([, name]) => name).filter((name) => name !== 'arp_evict_nocarrier') // from Linux 5.16 on
      t.same(names, ['accept_redirects', 'secure_redirects', 'send_redirects', 'shared_media'])
    }
  },
)

t.test('a file can be replaced several times, for the namespace alone', async (t) => {
  const before = await readFile('/etc/hosts', 'utf8')
  await using namespace = await Namespace.create('files')
  for (const text of ['198.51.100.2 mirror.example.org\n', '198.51.100.3 mirror.example.org\n', '']) {
    await namespace.file('/etc/hosts', text)
    t.equal(await read(namespace, '/etc/hosts'), text)
  }
  t.equal(await readFile('/etc/hosts', 'utf8'), before)
})

t.test('a file can be put at a path that does not exist, and the files beside it stay', async (t) => {
  const before = await readFile('/etc/hosts', 'utf8')
  await using namespace = await Namespace.create('missing')
  await namespace.file('/etc/checkvalve-lab/missing/file', 'here\n')
  t.equal(await read(namespace, '/etc/checkvalve-lab/missing/file'), 'here\n')
  t.equal(await read(namespace, '/etc/hosts'), before)
  await t.rejects(readFile('/etc/checkvalve-lab/missing/file'), { code: 'ENOENT' })

  await namespace.file('/etc/hosts', 'replaced\n')
  t.equal(await read(namespace, '/etc/hosts'), 'replaced\n')
  t.equal(
    await readFile('/etc/hosts', 'utf8'),
    before,
    'the host keeps its file when the namespace reaches it by a symlink',
  )
})

t.test('a file can be put behind a dangling symlink, which /etc/resolv.conf often is', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'checkvalve-lab-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const [inRun, elsewhere] = [join(directory, 'run'), join(directory, 'elsewhere')]
  await symlink('/run/checkvalve-lab/stub.conf', inRun)
  await symlink('missing/stub.conf', elsewhere)
  await using namespace = await Namespace.create('symlinks')
  for (const path of [inRun, elsewhere]) {
    await namespace.file(path, 'nameserver 198.51.100.2\n')
    t.equal(await read(namespace, path), 'nameserver 198.51.100.2\n')
    await t.rejects(readFile(path), { code: 'ENOENT' })
  }
})

t.test(
  'the error of a failed command has the namespace, the command, its status and its output',
  async (t) => {
    await using namespace = await Namespace.create('unlucky')
    const wrong = ['ip', 'link', 'show', 'dev', 'nothing']
    await t.rejects(namespace.run(wrong), {
      message: /^unlucky: .*ip link show dev nothing: status 1\n.*exist/s,
    })
    t.match(await namespace.run(wrong, { allowFailure: true }), { status: 1, stderr: /exist/ })
    await t.rejects(namespace.run(['sh', '-c', 'kill -KILL $$']), { message: /status 137/ })
  },
)

t.test('a command that hangs is killed after its timeout', async (t) => {
  await using namespace = await Namespace.create('patient')
  await t.rejects(namespace.run(['sleep', '1000'], { timeout: 50 }), { message: /status 137/ })
})

t.test(
  'waiting for the output of a program fails when the program has ended, with its output in the error',
  async (t) => {
    await using namespace = await Namespace.create('brief')
    const program = namespace.spawn(['sh', '-c', 'echo \'{"a": 1}\'; echo why >&2; exit 3'])
    t.same(await program.result('a'), { a: 1 })
    await t.rejects(program.result('b'), { message: /it ended\n{"a": 1}\nwhy/ })
    t.equal(await program.exited, 3)
  },
)

t.test('closing a namespace ends its programs, by SIGTERM first, and may be repeated', async (t) => {
  const namespace = await Namespace.create('closing')
  const polite = namespace.spawn([
    'sh',
    '-c',
    'trap "exit 7" TERM; echo "{\\"up\\": 1}"; while :; do sleep 0.01; done',
  ])
  await polite.result('up')
  await Promise.all([namespace.close(), namespace.close()])
  await namespace.close()
  t.equal(await polite.exited, 7)
  await t.rejects(readlink(`/proc/${namespace.pid}/ns/net`), { code: 'ENOENT' })
})

t.test('several files in new folders of one folder hide nothing else in it', async (t) => {
  await using namespace = await Namespace.create('folders')
  const before = (await namespace.run(['cat', '/etc/hosts'])).stdout
  for (const name of ['one', 'two', 'three']) await namespace.file(`/etc/lab-${name}/file`, `${name}\n`)
  for (const name of ['one', 'two', 'three'])
    t.equal((await namespace.run(['cat', `/etc/lab-${name}/file`])).stdout, `${name}\n`)
  t.equal((await namespace.run(['cat', '/etc/hosts'])).stdout, before)
})

t.test('a command runs in the working directory of the test', async (t) => {
  await using namespace = await Namespace.create('here')
  t.equal((await namespace.run(['pwd'])).stdout, `${process.cwd()}\n`)
})

t.test('mappedIds counts the ids in all lines of a uid_map', async (t) => {
  t.equal(mappedIds('         0          0 4294967295\n'), 4294967295)
  t.equal(mappedIds('0 65534 1\n'), 1)
  t.equal(mappedIds('0 1000 1\n1 100000 65536\n'), 65537)
})

t.test(
  'a program can run as another user where one exists, and is refused with the reason where none does',
  async (t) => {
    await using namespace = await Namespace.create('users')
    if (canSwitchUsers()) {
      t.equal((await namespace.run(['id', '-un'], { user: 'nobody' })).stdout, 'nobody\n')
    } else {
      t.throws(() => namespace.spawn(['true'], { user: 'nobody' }), { message: /only one user exists/ })
    }
  },
)
