/** Who may read the block log on a host with the package: members of group adm, and nobody else. */
import { writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { lineOf } from '../records/block-log/events.js'
import { canInstall, InstalledHost, LEFT_OUT } from './installed-host.js'
import { builtPackages, debOf } from './packages.js'

const DEBIAN_13 = '20.19.2+dfsg-1'
const FOLDER = '/var/log/checkvalve'
const LOG = `${FOLDER}/blocks.json`

/** Words in front of a command of an ordinary user, in group adm or not. */
const ordinary = (isReader: boolean) => [
  'setpriv',
  '--reuid=1000',
  '--regid=1000',
  isReader ? '--groups=adm' : '--clear-groups',
]

/** Makes a host where the service has written a line. */
async function hostWithLog(t: Test, deb: string): Promise<InstalledHost> {
  const host = await InstalledHost.create(t, { nodejs: DEBIAN_13, systemd: true })
  const { status, stderr } = await host.dpkg('--install', deb)
  t.equal(status, 0, stderr)
  await writeLine(host)
  return host
}

/** Writes a line as the service does: as its user, with the mode of block-log/outlet.ts. */
async function writeLine(host: InstalledHost): Promise<void> {
  const ids = ['--reuid=checkvalve', '--regid=checkvalve', '--clear-groups']
  const script = 'umask 0137; cat >>"$1" <<END\n$2\nEND'
  await host.run('setpriv', ...ids, 'sh', '-c', script, 'write', LOG, lineOf())
}

/** Rotates the log as logrotate's timer does. @returns what it says */
const rotate = (host: InstalledHost) =>
  host.run('logrotate', '--force', '--state', '/tmp/logrotate.state', '/etc/logrotate.d/checkvalve')

t.test('the block log on a host', async (t) => {
  if (!canInstall()) return void t.comment(LEFT_OUT)
  const deb = debOf(await builtPackages())

  t.test('a member of group adm reads it with all commands, and others do not', async (t) => {
    const host = await hostWithLog(t, deb)
    const read = async (isReader: boolean, ...words: string[]) =>
      host.run(...ordinary(isReader), 'checkvalve', ...words)
    for (const words of [['tail', '--no-follow'], ['suggest']]) {
      const allowed = await read(true, ...words)
      t.equal(allowed.status, 0, allowed.stderr)
      t.match(allowed.stdout, '203.0.113.7')
      const refused = await read(false, ...words)
      t.not(refused.status, 0)
      t.match(refused.stderr, /may not be read/)
      t.notMatch(refused.stdout, '203.0.113.7')
    }
  })

  t.test('it stays so across rotations, also when the rotated file is compressed', async (t) => {
    const host = await hostWithLog(t, deb)
    host.takeCalls()
    for (let turn = 0; turn < 2; turn++) {
      const { status, stdout, stderr } = await rotate(host)
      t.equal(status, 0, stdout + stderr)
      t.equal(stderr, '')
      t.same(host.takeCalls(), ['kill --kill-whom=main --signal=SIGUSR2 checkvalve.service'])
      t.notOk(host.has(LOG), 'the service itself makes the new file')
      await writeLine(host)
    }
    const files = [LOG, `${LOG}.1`, `${LOG}.2.gz`]
    t.equal(await host.ownersOf(...files), 'checkvalve:adm 640\n'.repeat(3))
    const { stdout, stderr } = await host.run(...ordinary(true), 'checkvalve', 'tail', '--no-follow')
    t.equal(stdout.match(/203\.0\.113\.7/g)?.length, 3, stderr)
  })

  t.test('an upgrade gives the log of an older version to its readers', async (t) => {
    const host = await hostWithLog(t, deb)
    await host.run('chown', '-R', 'checkvalve:checkvalve', FOLDER)
    await host.run('chmod', '0750', FOLDER)
    const { status, stderr } = await host.dpkg('--install', deb)
    t.equal(status, 0, stderr)
    t.equal(await host.ownersOf(FOLDER, LOG), 'checkvalve:adm 2750\ncheckvalve:adm 640\n')
  })

  t.test('what a start of the service does leads root into no file of others', async (t) => {
    const host = await hostWithLog(t, deb)
    writeFileSync(host.path('/etc/secret'), 'secret', { mode: 0o600 })
    await host.run('ln', '-s', '/etc/secret', `${LOG}.1`)
    await host.run('ln', '/etc/secret', `${LOG}.2`)
    await host.run('systemd-tmpfiles', '--create', 'checkvalve.conf')
    t.equal(await host.ownersOf('/etc/secret'), 'root:root 600\n')
  })
})
