/** /usr/bin/checkvalve chooses the Node.js. scripts/test-package runs this with each supported version. */
import { mkdirSync } from 'node:fs'
import t from 'tap'
import { canInstall, InstalledHost, LEFT_OUT } from './installed-host.js'
import { builtPackages, debOf, STAND_IN, VERSION } from './packages.js'

/** Says that it is another version of Node.js than it is. */
const nodeOf = (version: string) =>
  `#!/bin/sh\nif [ "$1" = --version ]; then echo ${version}; else exec /mnt/node/bin/node "$@"; fi\n`

t.test('the launcher of an installed package', async (t) => {
  if (!canInstall()) return void t.comment(LEFT_OUT)
  const host = await InstalledHost.create(t, { nodejs: '20.19.2' })
  const installed = await host.dpkg('--install', debOf(await builtPackages()))
  t.equal(installed.status, 0, installed.stderr)

  t.test('this version of Node.js runs the program and its native part', async (t) => {
    const version = await host.run('checkvalve', 'version')
    t.same(version, { stdout: `checkvalve ${VERSION} (node ${process.version})\n`, stderr: '', status: 0 })
    const check = await host.run('checkvalve', 'check')
    t.equal(check.stdout, 'configuration OK\n', check.stderr)
    t.equal(check.status, 0)
    const native = await host.run(
      ...['node', '--input-type=module', '-e'],
      "await import('/usr/lib/checkvalve/node_modules/node-netfilter-queue/dist/src/index.js')",
    )
    t.same(native, { stdout: '', stderr: '', status: 0 })
  })

  t.test('words and status go through as they are', async (t) => {
    t.equal((await host.run('checkvalve', 'check', '--config', '/no such')).status, 1)
    const { stderr, status } = await host.run('checkvalve', 'no "such" $(command)')
    t.equal(status, 2)
    t.match(stderr, 'no "such" $(command)')
  })

  t.test('a Node.js older than 20.10 is not used, and the message says what to install', async (t) => {
    for (const version of ['v18.20.4', 'v20.9.0', 'v9.11.2', 'unknown']) {
      host.writeProgram('/usr/bin/node', nodeOf(version))
      const { stdout, stderr, status } = await host.run('checkvalve', 'version')
      t.equal(status, 1, version)
      t.equal(stdout, '', version)
      t.match(
        stderr,
        /^checkvalve: needs Node.js 20.10 or newer: install the package checkvalve-node/,
        version,
      )
    }
    for (const version of ['v20.10.0', 'v20.19.2', 'v22.0.0', 'v100.1.0']) {
      host.writeProgram('/usr/bin/node', nodeOf(version))
      t.equal((await host.run('checkvalve', 'version')).status, 0, version)
    }
  })

  t.test('one in the path is used where that of the distribution is too old, or missing', async (t) => {
    host.writeProgram('/usr/bin/node', nodeOf('v18.20.4'))
    host.writeProgram('/usr/local/bin/node', nodeOf('v22.1.0'))
    const run = () => host.run('env', 'PATH=/usr/local/bin:/usr/bin:/bin', 'checkvalve', 'version')
    t.equal((await run()).status, 0)
    await host.run('rm', '/usr/bin/node')
    t.equal((await run()).status, 0)
    await host.run('rm', '/usr/local/bin/node')
    t.equal((await run()).status, 1)
  })

  t.test('the one of checkvalve-node goes before all others', async (t) => {
    mkdirSync(host.path('/usr/lib/checkvalve/node/bin'), { recursive: true })
    host.writeProgram('/usr/lib/checkvalve/node/bin/node', STAND_IN)
    for (const version of ['v18.20.4', 'v24.0.0']) {
      host.writeProgram('/usr/bin/node', nodeOf(version))
      const { stderr, status } = await host.run('checkvalve', 'version')
      t.equal(status, 0)
      t.equal(stderr, 'own node\n', `beside ${version}`)
    }
  })
})
