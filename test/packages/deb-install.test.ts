/** What the .deb does on a host: installation, upgrade, downgrade, removal, purge. */
import { writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { canInstall, InstalledHost, LEFT_OUT } from './installed-host.js'
import { builtPackages, debOf, nodeDebOf, VERSION, withVersion } from './packages.js'

const DEBIAN_13 = '20.19.2+dfsg-1'
const ENFORCING = 'mode: enforce\n'
const WANTS = '/etc/systemd/system/multi-user.target.wants/checkvalve.service'

/** Runs dpkg for each pair of an action and a package. */
async function succeed(t: Test, host: InstalledHost, steps: readonly string[]): Promise<void> {
  for (let at = 0; at < steps.length; at += 2) {
    const step = steps.slice(at, at + 2)
    const { stderr, status } = await host.dpkg(...step)
    t.equal(status, 0, `${step.join(' ')}: ${stderr}`)
  }
}

t.test('packages on a host', async (t) => {
  if (!canInstall()) return void t.comment(LEFT_OUT)
  const folder = await builtPackages()
  const deb = debOf(folder)
  const next = await withVersion(deb, '99.0.0-1')

  t.test('an installation starts the service, in mode observe, and says so', async (t) => {
    const host = await InstalledHost.create(t, { nodejs: DEBIAN_13, systemd: true })
    const { stdout, stderr, status } = await host.dpkg('--install', deb)
    t.equal(status, 0, stderr)
    t.match(stdout, 'checkvalve: installed in mode observe')
    t.same(host.takeCalls(), ['daemon-reload', 'start checkvalve.service'])
    t.match(host.read('/etc/passwd'), /^checkvalve:.*:\/var\/lib\/checkvalve:/m)
    t.ok(
      host.has('/var/lib/checkvalve') &&
        host.has('/var/log/checkvalve') &&
        host.has('/etc/checkvalve/conf.d'),
    )
    t.equal(
      await host.ownersOf('/var/lib/checkvalve', '/var/log/checkvalve'),
      'checkvalve:checkvalve 750\ncheckvalve:adm 2750\n',
    )
    const link = await host.run('readlink', WANTS)
    t.match(link.stdout, '/systemd/system/checkvalve.service', 'and at the next boot')
    const version = await host.run('checkvalve', 'version')
    t.equal(version.stdout, `checkvalve ${VERSION} (node ${process.version})\n`)
    const check = await host.run('checkvalve', 'check')
    t.equal(check.stdout, 'configuration OK\n', check.stderr)
  })

  t.test('an upgrade and a downgrade restart the service, and never stop it before', async (t) => {
    const host = await InstalledHost.create(t, { nodejs: DEBIAN_13, systemd: true })
    await host.dpkg('--install', deb)
    writeFileSync(host.path('/etc/checkvalve/checkvalve.yaml'), ENFORCING)
    writeFileSync(host.path('/etc/checkvalve/conf.d/own.yaml'), 'block: drop\n')
    writeFileSync(host.path('/var/lib/checkvalve/allow.json'), 'state')
    writeFileSync(host.path('/var/log/checkvalve/blocks.json'), 'log')
    host.takeCalls()
    for (const package_ of [next, deb]) {
      const { stdout, stderr, status } = await host.dpkg('--install', package_)
      t.equal(status, 0, stderr)
      t.same(host.takeCalls(), ['daemon-reload', 'restart checkvalve.service'], package_)
      t.notMatch(stdout, 'mode observe')
      t.equal(host.read('/etc/checkvalve/checkvalve.yaml'), ENFORCING, "the operator's configuration stays")
      t.equal(host.read('/etc/checkvalve/conf.d/own.yaml'), 'block: drop\n')
      t.equal(host.read('/var/lib/checkvalve/allow.json'), 'state')
      t.equal(host.read('/var/log/checkvalve/blocks.json'), 'log')
    }
  })

  t.test('a configuration that the new version refuses leaves the old service running', async (t) => {
    const host = await InstalledHost.create(t, { nodejs: DEBIAN_13, systemd: true })
    await host.dpkg('--install', deb)
    writeFileSync(host.path('/etc/checkvalve/checkvalve.yaml'), 'mode: enforced\n')
    host.takeCalls()
    const { stderr, status } = await host.dpkg('--install', next)
    t.equal(status, 0)
    t.same(host.takeCalls(), ['daemon-reload'])
    t.match(stderr, /checkvalve\.yaml:1.*mode[\s\S]*systemctl restart checkvalve/)
  })

  t.test('a service that the administrator disabled, or forbade to start, stays so', async (t) => {
    const host = await InstalledHost.create(t, { nodejs: DEBIAN_13, systemd: true })
    await host.dpkg('--install', deb)
    await host.run('rm', WANTS)
    await host.dpkg('--install', next)
    t.notOk(host.has(WANTS))
    const other = await InstalledHost.create(t, { nodejs: DEBIAN_13, systemd: true })
    other.writeProgram('/usr/sbin/policy-rc.d', '#!/bin/sh\nexit 101\n')
    t.equal((await other.dpkg('--install', deb)).status, 0)
    t.same(other.takeCalls(), ['daemon-reload'])
  })

  t.test(
    'a removal stops the service and keeps configuration, state and log; a purge leaves nothing',
    async (t) => {
      const host = await InstalledHost.create(t, { nodejs: DEBIAN_13, systemd: true })
      const before = await host.files()
      const users = host.read('/etc/passwd') + host.read('/etc/group')
      await host.dpkg('--install', deb)
      writeFileSync(host.path('/var/lib/checkvalve/allow.json'), 'state')
      writeFileSync(host.path('/var/log/checkvalve/blocks.json.1.gz'), 'log')
      writeFileSync(host.path('/etc/checkvalve/conf.d/own.yaml'), 'block: drop\n')
      host.takeCalls()
      const removal = await host.dpkg('--remove', 'checkvalve')
      t.equal(removal.status, 0, removal.stderr)
      t.same(host.takeCalls(), ['stop checkvalve.service checkvalve-rules.service', 'daemon-reload'])
      t.notOk(host.has('/usr/lib/checkvalve') || host.has('/usr/bin/checkvalve'))
      for (const kept of ['/etc/checkvalve/checkvalve.yaml', '/var/lib/checkvalve/allow.json'])
        t.ok(host.has(kept), kept)
      const purge = await host.dpkg('--purge', 'checkvalve')
      t.equal(purge.status, 0, purge.stderr)
      // The users' files have copies and a lock beside them.
      const left = [...(await host.files())].filter(
        (path) => !before.has(path) && !/(-|\.pwd\.lock)$/.test(path),
      )
      t.same(left, [])
      t.equal(host.read('/etc/passwd') + host.read('/etc/group'), users, 'nor a user or group')
    },
  )

  t.test('an installation again after a removal starts the service, with what was kept', async (t) => {
    const host = await InstalledHost.create(t, { nodejs: DEBIAN_13, systemd: true })
    await host.dpkg('--install', deb)
    writeFileSync(host.path('/etc/checkvalve/checkvalve.yaml'), ENFORCING)
    await host.dpkg('--remove', 'checkvalve')
    host.takeCalls()
    const { stderr, status } = await host.dpkg('--install', deb)
    t.equal(status, 0, stderr)
    t.same(host.takeCalls(), ['daemon-reload', 'restart checkvalve.service'])
    t.equal(host.read('/etc/checkvalve/checkvalve.yaml'), ENFORCING)
  })

  t.test('without a running systemd, as in a chroot or the build of an image, all of it works', async (t) => {
    const host = await InstalledHost.create(t, { nodejs: DEBIAN_13 })
    const steps = ['--install', deb, '--install', next, '--remove', 'checkvalve', '--purge', 'checkvalve']
    await succeed(t, host, steps)
  })

  t.test(
    'on the smallest systems, without tools of users and /proc, it is installed and purged',
    async (t) => {
      const host = await InstalledHost.create(t, { nodejs: DEBIAN_13 })
      host.writeProgram('/usr/bin/systemd-tmpfiles', '#!/bin/sh\necho "/proc/ is not mounted" >&2\nexit 1\n')
      await host.run('rm', '/usr/sbin/userdel', '/usr/sbin/groupdel')
      await succeed(t, host, ['--install', deb, '--purge', 'checkvalve'])
    },
  )

  t.test(
    'dpkg asks for a Node.js that is new enough, or for checkvalve-node, which the service changes to',
    async (t) => {
      const host = await InstalledHost.create(t, { nodejs: '18.20.4+dfsg-1~deb12u1', systemd: true })
      const refused = await host.dpkg('--install', deb)
      t.equal(refused.status, 1)
      t.match(refused.stderr, /depends on nodejs \(>= 20\.10\) \| checkvalve-node/)
      const both = await host.dpkg('--install', nodeDebOf(folder), deb)
      t.equal(both.status, 0, both.stderr)
      t.equal((await host.run('checkvalve', 'version')).stderr, 'own node\n')
      host.takeCalls()
      await host.dpkg('--install', nodeDebOf(folder))
      t.same(
        host.takeCalls(),
        ['daemon-reload', 'try-restart checkvalve.service'],
        'a newer Node.js is used at once',
      )
    },
  )
})
