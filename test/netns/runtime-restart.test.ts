import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createTopology } from '../lab/topology.js'
import { serveHttp } from '../lab/traffic.js'
import { ENFORCE, guarded, isOpen, ONE, OTHER, request, runCommand, statusOf, THIRD } from './runtime.js'
import { eventually, inTime, pause, Service } from './service.js'

t.jobs = 3

t.test('runtime entries survive a restart and a reload, and expire at the same time as before', async (t) => {
  const [lab, service, expires] = await inTime(async (ms) => {
    const [lab, service] = await guarded(t)
    await runCommand(service, 'allow', 'add', 'for good', '--to', ONE, '--user', 'root')
    await request(service, 'POST', '/v1/allow', { name: 'short', to: [OTHER], ttl: `${2 * ms}ms` })
    await request(service, 'POST', '/v1/allow', { name: 'shorter', to: [THIRD], ttl: '1s' })
    const { expires } = (await statusOf(service)).allow[1]!
    const file = join(service.folder, 'state', 'allow.json')
    t.equal(statSync(file).mode & 0o777, 0o640)
    await service.kill()
    await pause(1000)
    await service.launch()
    t.ok(await isOpen(lab.web, ONE), 'an entry is in force after a crash')
    const isOtherOpen = await isOpen(lab.web, OTHER)
    t.notOk(await isOpen(lab.web, THIRD), 'an entry that expired meanwhile is not')
    const { allow } = await statusOf(service)
    if (Date.now() >= Date.parse(expires!)) return undefined
    t.ok(isOtherOpen)
    t.match(allow, [
      { name: 'for good', to: [ONE], protocol: 'tcp', users: ['root'] },
      { name: 'short', expires },
    ])
    return [lab, service, expires!] as const
  })
  await service.reload(ENFORCE)
  t.ok(await isOpen(lab.web, ONE), 'an entry is in force after a reload')
  await service.reload(`${ENFORCE}mod: observe\n`)
  t.ok(await isOpen(lab.web, ONE), 'an entry is in force after a reload of a bad file')
  await eventually('the entry has expired', async () => !(await isOpen(lab.web, OTHER)))
  t.ok(Date.now() >= Date.parse(expires), 'it has not expired before its time')
  await service.stop()
  service.configure(ENFORCE)
  await service.launch()
  t.match(
    await runCommand(service, 'allow', 'list'),
    /^for good {4}tcp to 203\.0\.113\.1, for root; stays until it is removed$/m,
  )
})

t.test('a damaged file of runtime entries is set aside, and its valid entries are in force', async (t) => {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  await serveHttp(lab.victims, 80)
  const service = Service.prepare(lab.web, ENFORCE)
  t.teardown(() => service.remove())
  const state = join(service.folder, 'state')
  await lab.web.run(['mkdir', state])
  for (const [text, complaint] of [
    ['{"entries": [', /not in force: runtime entry in \S+allow\.json: is no JSON/],
    ['{"entries": {}}', /allow\.json: entries: must be a list/],
    [
      JSON.stringify({
        entries: [
          { name: 'a', to: [ONE] },
          { name: 'b', to: ['not a host'] },
          { name: 'a', to: [OTHER] },
        ],
      }),
      /allow\.json: entries\[1\]\.to\[0\]: \\"not a host\\" has a space in it/,
    ],
  ] as const) {
    writeFileSync(join(state, 'allow.json'), text)
    await service.launch()
    t.match(service.program.stderr, complaint)
    t.equal(readFileSync(join(state, 'allow.json.bad'), 'utf8'), text)
    t.equal(await isOpen(lab.web, ONE), text.includes('"a"'))
    t.notOk(await isOpen(lab.web, OTHER))
    await service.kill()
  }
  t.notMatch(
    readFileSync(join(state, 'allow.json'), 'utf8'),
    'not a host',
    'the file now has valid entries only',
  )
  await service.launch()
  t.ok(await isOpen(lab.web, ONE))
  t.notMatch(service.program.stderr, 'not in force')
})

t.test(
  'a runtime entry that cannot be written is in force all the same, and the command warns of it',
  async (t) => {
    const [lab, service] = await guarded(t)
    const state = join(service.folder, 'state')
    await lab.web.run(['mkdir', join(state, 'allow.json.new')])
    await lab.web.run(['touch', join(state, 'allow.json.new', 'full')])
    const { status, stderr } = await service.command('allow', 'add', 'debug', '--to', ONE)
    t.equal(status, 0)
    t.match(stderr, /^note: the change is in force, but a restart would undo it until it can be written: /)
    t.ok(await isOpen(lab.web, ONE))
    await lab.web.run(['rm', '-r', join(state, 'allow.json.new')])
    await eventually('the service has written the file', async () => existsSync(join(state, 'allow.json')))
    await service.kill()
    await service.launch()
    t.ok(await isOpen(lab.web, ONE))
    t.notOk(readdirSync(state).includes('allow.json.bad'))
  },
)
