import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createTopology } from '../lab/topology.js'
import { serveHttp } from '../lab/traffic.js'
import { ENFORCE, guarded, isOpen, ONE, OTHER, request, statusOf, THIRD, told } from './runtime.js'
import { eventually, inTime, pause, Service } from './service.js'

t.jobs = 3

t.test('entries outlast a restart and a reload, with the time that they have left', async (t) => {
  const [lab, service, expires] = await inTime(async (ms) => {
    const [lab, service] = await guarded(t)
    await told(service, 'allow', 'add', 'for good', '--to', ONE, '--user', 'root')
    await request(service, 'POST', '/v1/allow', { name: 'short', to: [OTHER], ttl: `${2 * ms}ms` })
    await request(service, 'POST', '/v1/allow', { name: 'shorter', to: [THIRD], ttl: '1s' })
    const { expires } = (await statusOf(service)).allow[1]!
    const file = join(service.folder, 'state', 'allow.json')
    t.equal(statSync(file).mode & 0o777, 0o640)
    await service.kill()
    await pause(1000)
    await service.launch()
    t.ok(await isOpen(lab.web, ONE), 'after a crash')
    const isOtherOpen = await isOpen(lab.web, OTHER)
    t.notOk(await isOpen(lab.web, THIRD), 'but for what is over by now')
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
  t.ok(await isOpen(lab.web, ONE), 'after a reload')
  await service.reload(`${ENFORCE}mod: observe\n`)
  t.ok(await isOpen(lab.web, ONE), 'after a bad one')
  await eventually('the time is over', async () => !(await isOpen(lab.web, OTHER)))
  t.ok(Date.now() >= Date.parse(expires), 'and not before')
  await service.stop()
  service.configure(ENFORCE)
  await service.launch()
  t.match(
    await told(service, 'allow', 'list'),
    /^for good {4}tcp to 203\.0\.113\.1, for root; stays until it is removed$/m,
  )
})

t.test('a file that was spoiled is set aside, and what is right of it counts', async (t) => {
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
    'the next start finds what is right',
  )
  await service.launch()
  t.ok(await isOpen(lab.web, ONE))
  t.notMatch(service.program.stderr, 'not in force')
})

t.test('where entries cannot be written they are in force all the same, and one is told', async (t) => {
  const [lab, service] = await guarded(t)
  const state = join(service.folder, 'state')
  await lab.web.run(['mkdir', join(state, 'allow.json.new')])
  await lab.web.run(['touch', join(state, 'allow.json.new', 'full')])
  const { status, stderr } = await service.command('allow', 'add', 'debug', '--to', ONE)
  t.equal(status, 0)
  t.match(stderr, /^note: the change is in force, but a restart would undo it until it can be written: /)
  t.ok(await isOpen(lab.web, ONE))
  await lab.web.run(['rm', '-r', join(state, 'allow.json.new')])
  await eventually('it is tried again', async () => existsSync(join(state, 'allow.json')))
  await service.kill()
  await service.launch()
  t.ok(await isOpen(lab.web, ONE))
  t.notOk(readdirSync(state).includes('allow.json.bad'))
})
