/** A user who may read the block log reads it while it is rotated, and has no say over the service. */
import { chmodSync, chownSync, mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createTopology, VICTIM } from '../lab/topology.js'
import { connect } from '../lab/traffic.js'
import { canSwitchUsers, idsOf } from '../lab/users.js'
import { eventually, Service } from './service.js'
import { runAs } from './unit-privileges.js'

const SETTINGS = `mode: enforce
infrastructure: { dns: [], ntp: [] }
mirrors: { discover: false }
canary: { interval: 1h }
`
/** The group that reads the log: systemd/checkvalve.tmpfiles. */
const READERS = 'adm'

/** Makes the folder of a log as systemd-tmpfiles does. */
function makeLogFolder(path: string, user: string, group: number): void {
  mkdirSync(path)
  chownSync(path, Number(idsOf(user).uid), group)
  chmodSync(path, 0o2750)
}

t.test('a reader of the log follows it across rotations, and the service obeys him in nothing', async (t) => {
  if (!canSwitchUsers()) return void t.comment('left out: other users (only one exists in this namespace)')
  await using lab = await createTopology()
  const { stdout: line } = await lab.web.run(['getent', 'group', READERS])
  const service = Service.prepare(lab.web, SETTINGS)
  t.teardown(() => service.remove())
  runAs(service, 'nobody')
  chmodSync(service.folder, 0o755)
  const path = join(service.folder, 'log', 'blocks.json')
  makeLogFolder(join(service.folder, 'log'), 'nobody', Number(line.split(':')[2]))
  await service.launch(`log.destination=${path}`)

  const { uid, gid } = idsOf('www-data')
  const ordinary = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--no-new-privs']
  const reader = [...ordinary, `--groups=${READERS}`]
  const tail = lab.web.spawn([...reader, ...service.argv('tail', '--json', path)])
  for (const [turn, port] of [1000, 1001, 1002].entries()) {
    await connect(lab.web, VICTIM.v4, port)
    await tail.until(() => tail.results.find((event) => event['destination.port'] === port))
    renameSync(path, `${path}.${turn + 1}`)
    service.program.kill('SIGUSR2')
  }
  t.equal(tail.results.length, 3)

  const others = [...ordinary, '--clear-groups', ...service.argv('tail', '--no-follow', path)]
  t.match((await lab.web.run(others, { allowFailure: true })).stderr, /may not be read/)
  for (const words of [['mode', 'observe'], ['allow', 'add', 'mine', '--to', VICTIM.v4], ['status']]) {
    const { status, stderr } = await lab.web.run([...reader, ...service.argv(...words)], {
      allowFailure: true,
    })
    t.not(status, 0, words.join(' '))
    t.match(stderr, /control\.sock may not be opened/, words.join(' '))
  }
  await eventually('nothing has changed', async () => (await service.metric('enforcing')) === 1)
})
