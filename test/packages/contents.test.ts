/** What is in the packages, and that the same source gives the same bytes. */
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import t from 'tap'
import { run } from '../lab/command.js'
import {
  ARCHITECTURES,
  buildInto,
  builtPackages,
  debOf,
  EPOCH,
  nodeDebOf,
  OWN,
  rpmOf,
  temporaryFolder,
  VERSION,
} from './packages.js'

const folder = await builtPackages()
const LIB = '/usr/lib/checkvalve'
/** The oldest C library of the distributions for which Node.js is built. */
const OLDEST_LIBC = [2, 28] as const

/** Returns mode, owner and path of everything in a .deb. */
async function entriesOf(deb: string) {
  const { stdout } = await run('deb', ['dpkg-deb', '--contents', deb])
  return stdout
    .trim()
    .split('\n')
    .map((line) => {
      const [mode, owner, , , , path] = line.split(/\s+/)
      return { mode, owner, path: path!.slice(1) }
    })
}

const isIn = (path: string, place: string) => path.startsWith(`${place}/`)

t.test('a package has the production tree, and nothing that builds or tests', async (t) => {
  for (const arch of ARCHITECTURES) {
    const files = (await entriesOf(debOf(folder, arch))).filter(({ path }) => !path.endsWith('/'))
    const paths = files.map(({ path }) => path)
    for (const wanted of [
      '/usr/bin/checkvalve',
      `${LIB}/dist/bin/checkvalve.js`,
      `${LIB}/dist/bin/worker.js`,
      `${LIB}/node_modules/node-netfilter-queue/build/binding.node`,
      '/usr/lib/systemd/system/checkvalve.service',
      '/usr/lib/systemd/system/checkvalve-rules.service',
      '/usr/lib/sysusers.d/checkvalve.conf',
      '/usr/lib/tmpfiles.d/checkvalve.conf',
      '/etc/checkvalve/checkvalve.yaml',
      '/etc/logrotate.d/checkvalve',
      '/usr/share/bash-completion/completions/checkvalve',
      '/usr/share/man/man8/checkvalve.8.gz',
      '/usr/share/man/man5/checkvalve.yaml.5.gz',
      '/usr/share/man/man5/checkvalve-log.5.gz',
      '/usr/share/checkvalve/ansible/site.yml',
      '/usr/share/checkvalve/ansible/roles/checkvalve/tasks/main.yml',
      '/usr/share/doc/checkvalve/copyright',
      '/usr/share/doc/checkvalve/install.md',
      '/usr/share/doc/checkvalve/examples/process-names.conf',
      '/usr/share/doc/checkvalve/examples/alerts.yml',
      '/usr/share/doc/checkvalve/examples/shipping/rsyslog.conf',
    ])
      t.ok(paths.includes(wanted), `${arch}: ${wanted}`)
    const program = paths.filter((path) => isIn(path, LIB))
    t.same(
      program.filter((path) => !/\.(js|json|node)$|\/(service|remove-rules)$/.test(path)),
      [],
      'only what Node.js loads, and two scripts of the package',
    )
    t.notMatch(program.join('\n'), /test|\.d\.ts|\.map|Makefile|\.c$/)
    for (const { owner, mode, path } of files) {
      t.equal(owner, 'root/root', path)
      const isProgram = path.startsWith('/usr/bin/') || /\/(service|remove-rules)$/.test(path)
      t.equal(mode, isProgram ? '-rwxr-xr-x' : '-rw-r--r--', path)
    }
  }
})

t.test("checkvalve-node has Node.js and its licence, and is in nobody's path", async (t) => {
  const files = (await entriesOf(nodeDebOf(folder))).filter(({ path }) => !path.endsWith('/'))
  t.same(
    files.map(({ path }) => path).filter((path) => !/changelog|lintian/.test(path)),
    [`${LIB}/node/bin/node`, '/usr/share/doc/checkvalve-node/copyright'],
  )
})

t.test('the licences of all npm packages in the program are there', async (t) => {
  const { stdout } = await run('deb', [
    'sh',
    '-c',
    'dpkg-deb --fsys-tarfile "$1" | tar -xO ./usr/share/doc/checkvalve/copyright',
    'sh',
    debOf(folder),
  ])
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, { dev?: boolean; link?: boolean; version: string }>
  }
  const bundled = Object.entries(packages).filter(
    ([path, { dev, link }]) => path.startsWith('node_modules/') && !dev && !link,
  )
  t.ok(bundled.length > 10)
  for (const [path, { version }] of bundled)
    t.match(stdout, `${path.replace('node_modules/', '')} ${version} (`)
})

t.test('the native part is for its machine, and loads wherever Node.js does', async (t) => {
  const machines = { amd64: 'X86-64', arm64: 'AArch64' } as const
  for (const arch of ARCHITECTURES) {
    const path = `${temporaryFolder()}/${arch}`
    await run('deb', ['dpkg-deb', '--extract', debOf(folder, arch), path])
    const addon = `${path}${LIB}/node_modules/node-netfilter-queue/build/binding.node`
    const { stdout } = await run('elf', [
      'readelf',
      '--wide',
      '--file-header',
      '--dyn-syms',
      '--dynamic',
      addon,
    ])
    t.match(stdout, new RegExp(`Machine: .*${machines[arch]}`), arch)
    t.match(stdout, 'BIND_NOW', arch)
    const versions = [...stdout.matchAll(/GLIBC_(\d+)\.(\d+)/g)]
    t.ok(versions.length > 0, arch)
    for (const [name, major, minor] of versions)
      t.ok(Number(major) * 1000 + Number(minor) <= OLDEST_LIBC[0] * 1000 + OLDEST_LIBC[1], `${arch}: ${name}`)
  }
})

t.test("a package says what it needs, and which files are the operator's", async (t) => {
  const fields = async (deb: string, ...names: string[]) =>
    (await run('deb', ['dpkg-deb', '--field', deb, ...names])).stdout
  for (const arch of ARCHITECTURES) {
    const deb = debOf(folder, arch)
    t.equal(await fields(deb, 'Architecture'), `${arch}\n`)
    t.equal(await fields(deb, 'Version'), `${VERSION}-1\n`)
    t.match(await fields(deb, 'Depends'), /^nodejs \(>= 20\.10\) \| checkvalve-node, .*nftables, iptables/)
    const { stdout } = await run('deb', ['dpkg-deb', '--info', deb, 'conffiles'])
    t.equal(stdout, '/etc/checkvalve/checkvalve.yaml\n/etc/logrotate.d/checkvalve\n')
    const rpm = rpmOf(folder, arch)
    const asked = await run('rpm', ['rpm', '--query', '--package', '--requires', rpm])
    t.match(asked.stdout, '(nodejs(engine) >= 20.10 or checkvalve-node)')
    t.match(asked.stdout, /^nftables$/m)
    const config = await run('rpm', ['rpm', '--query', '--package', '--configfiles', rpm])
    t.equal(config.stdout, stdout)
  }
})

t.test('.deb and .rpm have the same files', async (t) => {
  const deb = (await entriesOf(debOf(folder))).map(({ path }) => path).filter((path) => !path.endsWith('/'))
  const rpm = await run('rpm', [
    'rpm',
    '--query',
    '--package',
    '--queryformat',
    '[%{FILEMODES:perms} %{FILENAMES}\n]',
    rpmOf(folder),
  ])
  const files = rpm.stdout
    .trim()
    .split('\n')
    .filter((line) => line.startsWith('-'))
    .map((line) => line.split(' ')[1]!)
  t.same(
    files.filter((path) => !deb.includes(path)),
    ['/usr/lib/systemd/system-preset/50-checkvalve.preset'],
  )
  t.same(
    deb.filter((path) => !files.includes(path)),
    ['/usr/share/doc/checkvalve/changelog.Debian.gz'],
  )
})

/** Runs lintian as on a Debian. */
const LINTIAN = `mount -t tmpfs etc /etc
mkdir -p /etc/dpkg/origins
echo 'Vendor: Debian' | tee /etc/dpkg/origins/default >/etc/dpkg/origins/debian
exec lintian --fail-on error --allow-root "$@"`

t.test('lintian and rpmlint find no errors', async (t) => {
  const debs = ARCHITECTURES.map((arch) => debOf(folder, arch))
  const lintian = await run('lintian', ['unshare', '--mount', 'sh', '-euc', LINTIAN, 'sh', ...debs], {
    allowFailure: true,
  })
  t.equal(lintian.status, 0, lintian.stdout + lintian.stderr)
  const rpms = ARCHITECTURES.map((arch) => rpmOf(folder, arch))
  const rpmlint = await run('rpmlint', ['rpmlint', '--config', 'packaging/rpm/rpmlint.toml', ...rpms], {
    allowFailure: true,
  })
  t.match(rpmlint.stdout, 'packages: 2')
  t.match(rpmlint.stdout, / 0 errors/, rpmlint.stdout + rpmlint.stderr)
})

t.test('the same source gives the same bytes, on another day and with another umask', async (t) => {
  const again = temporaryFolder()
  for (const arch of ARCHITECTURES) {
    await buildInto(again, arch, '077')
    for (const path of [debOf(folder, arch), rpmOf(folder, arch)]) {
      const made = readFileSync(`${again}/${basename(path)}`)
      t.ok(readFileSync(path).equals(made), basename(path))
    }
  }
  const { stdout } = await run('deb', [
    'sh',
    '-c',
    'dpkg-deb --fsys-tarfile "$1" | TZ=UTC tar -tv --full-time',
    'sh',
    debOf(again, OWN),
  ])
  const times = new Set(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split(/\s+/).slice(3, 5).join('T')),
  )
  t.same([...times], [new Date(EPOCH * 1000).toISOString().slice(0, 19)])
})
