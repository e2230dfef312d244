/** What the .rpm does on a host: installation, upgrade, removal. */
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { run } from '../lab/command.js'
import { canInstall, InstalledHost, LEFT_OUT } from './installed-host.js'
import { builtPackages, nodeRpmOf, rpmOf, VERSION } from './packages.js'

t.test('an .rpm on a host', async (t) => {
  if (!canInstall()) return void t.comment(LEFT_OUT)
  const packages = await builtPackages()
  const host = await InstalledHost.create(t, { systemd: true })
  // The programs of this host are of no .rpm, so dependencies are not asked for.
  const rpm = async (action: string, ...words: readonly string[]) => {
    const done = await run('rpm', ['rpm', `--root=${host.root}`, action, '--nodeps', ...words], {
      allowFailure: true,
    })
    t.equal(done.status, 0, `${action}: ${done.stdout}${done.stderr}`)
    return done
  }
  const unit = '/etc/systemd/system/multi-user.target.wants/checkvalve.service'

  t.test('an installation starts the service, in mode observe, and says so', async (t) => {
    const { stdout } = await rpm('--install', rpmOf(packages))
    t.match(stdout, 'checkvalve: installed in mode observe')
    t.same(host.takeCalls(), ['daemon-reload', 'start checkvalve.service'])
    t.equal(
      (await host.run('checkvalve', 'version')).stdout,
      `checkvalve ${VERSION} (node ${process.version})\n`,
    )
    t.equal(
      await host.ownersOf('/var/lib/checkvalve', '/var/log/checkvalve'),
      'checkvalve:checkvalve 750\ncheckvalve:adm 2750\n',
    )
    t.match((await host.run('readlink', unit)).stdout, 'checkvalve.service')
  })

  t.test('an upgrade restarts the service, and never stops it before', async (t) => {
    writeFileSync(host.path('/etc/checkvalve/checkvalve.yaml'), 'mode: enforce\n')
    writeFileSync(host.path('/var/lib/checkvalve/allow.json'), 'state')
    writeFileSync(host.path('/var/log/checkvalve/blocks.json'), 'log')
    await rpm('--upgrade', '--replacepkgs', '--force', rpmOf(packages))
    t.same(new Set(host.takeCalls()), new Set(['daemon-reload', 'try-restart checkvalve.service']))
    t.equal(host.read('/etc/checkvalve/checkvalve.yaml'), 'mode: enforce\n')
    t.equal(host.read('/var/lib/checkvalve/allow.json'), 'state')
  })

  t.test('the service changes to checkvalve-node when it comes', async (t) => {
    await rpm('--install', nodeRpmOf(packages))
    t.same(host.takeCalls(), ['daemon-reload', 'try-restart checkvalve.service'])
    t.equal((await host.run('checkvalve', 'version')).stderr, 'own node\n')
  })

  t.test('a removal stops the service and keeps what the operator changed, state and log', async (t) => {
    await rpm('--erase', 'checkvalve')
    t.same(host.takeCalls(), ['stop checkvalve.service checkvalve-rules.service', 'daemon-reload'])
    t.notOk(host.has('/usr/bin/checkvalve') || host.has(unit))
    t.equal(host.read('/etc/checkvalve/checkvalve.yaml.rpmsave'), 'mode: enforce\n')
    t.equal(host.read('/var/lib/checkvalve/allow.json'), 'state')
    t.equal(host.read('/var/log/checkvalve/blocks.json'), 'log')
  })
})
