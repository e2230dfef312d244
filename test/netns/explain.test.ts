import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Explained } from '../../src/analysis/explain/explanation.js'
import { serveDnsmasq } from '../lab/dnsmasq.js'
import { CLIENT, createTopology, MIRROR, type Topology, VICTIM, WEB } from '../lab/topology.js'
import { connect, serveHttp } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { createLab, NAME } from './resolving.js'
import { HEAR_TCP, PUSH_TCP, start } from './scripts.js'
import { eventually, Service } from './service.js'

const CALLBACK = 'sessions: { callbacks: [{ service: 21, protocol: tcp, ports: 5000, perSession: 1 }] }\n'

async function guarded(t: Test, lab: Topology, settings: string): Promise<Service> {
  const service = await Service.start(lab.web, `mode: enforce\n${settings}`)
  t.teardown(() => service.remove())
  return service
}

async function topology(t: Test): Promise<Topology> {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  return lab
}

/** Runs the command explain against the running service. */
async function explained(service: Service, ...words: string[]): Promise<Explained> {
  const { stdout, stderr } = await service.ask('explain', ...words, '--json')
  if (stdout === '') throw new Error(stderr)
  return JSON.parse(stdout) as Explained
}

/** Returns how many verdicts were counted, without those of the canary. */
const judged = async (service: Service) =>
  (await service.metric('packets_total', 'reason="rule"')) +
  (await service.metric('packets_total', 'reason="not-allowlisted"'))

t.jobs = 3

t.test('explain predicts what happens to a connection, and counts and logs nothing', async (t) => {
  const lab = await topology(t)
  const service = await guarded(
    t,
    lab,
    `allow:
  - { name: everyone, to: [${VICTIM.v4}, "${VICTIM.v6}"], ports: [80] }
  - { name: admin, to: [${VICTIM.v4}], ports: [443], users: [root] }
  - { name: old, to: [${VICTIM.v4}], ports: [8080], expires: 2020-01-01 }
`,
  )
  await Promise.all([80, 443, 8080].map((port) => serveHttp(lab.victims, port)))
  const targets = [VICTIM.v4, VICTIM.v6].flatMap((host) =>
    [80, 443, 8080].map((port) => [host, port] as const),
  )
  const users = canSwitchUsers() ? ['root', 'www-data'] : [undefined]
  for (const user of users)
    for (const [host, port] of targets) {
      const to = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
      const before = await judged(service)
      const { status, stdout } = await service.ask('explain', 'tcp', to, '--user', user ?? '0')
      t.equal(await judged(service), before, 'explain judges no packet')
      const { outcome } = await connect(lab.web, host, port, {
        ...(user !== undefined && { user }),
      })
      t.equal(status === 0, outcome === 'ok', `${user} to ${to}: ${stdout}`)
    }
  const log = () => service.log().filter(({ message }) => String(message).includes('9999')).length
  await service.ask('explain', 'tcp', `${VICTIM.v4}:9999`)
  t.equal(log(), 0)
})

t.test(
  'explain of a name shows the addresses that the service knows, and the line that allows them',
  async (t) => {
    const lab = await createLab(t)
    await serveDnsmasq(lab.mirror, { records: { [NAME]: [MIRROR.v4, MIRROR.v6] }, ttl: 60 })
    const service = await guarded(
      t,
      lab,
      `allow:\n  - { name: api, to: [${NAME}], ports: [80], users: [root] }\n`,
    )
    await eventually(
      'the name is known',
      async () => (await explained(service, 'tcp', `${NAME}:80`)).judged.length === 2,
    )
    await lab.web.run(['getent', 'ahostsv4', NAME])
    const answer = await explained(service, 'tcp', `${NAME}:80`, '--user', 'root')
    t.match(answer, { verdict: 'accept', source: 'service', mode: 'enforce' })
    t.same(answer.judged.map(({ address }) => address).sort(), [MIRROR.v4, MIRROR.v6].sort())
    for (const { until, rule } of answer.judged) {
      t.ok(Date.parse(until!) > Date.now())
      t.equal(rule?.found, `${service.config}:3`)
    }
    const byAddress = await explained(service, 'tcp', `${MIRROR.v4}:443`, '--user', 'root')
    t.match(byAddress.near[0], { rule: { name: 'api' }, misses: ['port'] })
    t.match(byAddress.notes, [/in an answer for mirror\.example\.org/])

    await service.stop()
    const stopped = await service.ask('explain', 'tcp', `${NAME}:80`, '--user', 'root')
    t.equal(stopped.status, 1)
    t.match(stopped.stderr, /the service does not run here .*--offline/)
    const offline = await service.ask('explain', 'tcp', `${NAME}:80`, '--user', 'root', '--offline')
    t.equal(offline.status, 0)
    t.match(
      offline.stdout,
      new RegExp(`${MIRROR.v4} +for .*without the\\s+service`, 's'),
      'the address is that of the state file',
    )
  },
)

t.test(
  'explain names the file of a resolver, and judges the name of a query where names are enforced',
  async (t) => {
    const lab = await createLab(t)
    await serveDnsmasq(lab.mirror, {
      records: { [NAME]: [MIRROR.v4], 'evil.example.net': [MIRROR.v4] },
      ttl: 60,
    })
    const service = await guarded(
      t,
      lab,
      `dns: { enforceNames: true }\nallow: [{ name: api, to: [${NAME}] }]\n`,
    )
    const ask = (name: string) => explained(service, 'udp', `${MIRROR.v4}:53`, '--question', name)
    t.match(await ask(NAME), {
      verdict: 'accept',
      judged: [{ reason: 'resolver', rule: { found: '/etc/resolv.conf:1' } }],
    })
    t.match(await ask('evil.example.net'), { verdict: 'block', judged: [{ reason: 'name-not-allowed' }] })
    const isFound = async (name: string) =>
      (await lab.web.run(['getent', 'ahostsv4', name], { allowFailure: true })).status === 0
    t.same([await isFound(NAME), await isFound('evil.example.net')], [true, false])
    const none = await service.ask('explain', 'udp', `${MIRROR.v4}:53`)
    t.equal(none.status, 2)
    t.match(none.stderr, /^checkvalve: names are enforced.*--question NAME/)
  },
)

t.test('explain of a packet from a service port shows whether the client has a session', async (t) => {
  const lab = await topology(t)
  await start(lab.web, PUSH_TCP, 443)
  const service = await guarded(t, lab, '')
  const client = await start(lab.client, HEAR_TCP, WEB.client.v4, 443)
  const ends = (await lab.web.run(['ss', '-Htn', 'sport = :443'])).stdout
  const port = new RegExp(`${CLIENT.v4.replaceAll('.', '\\.')}\\]?:(\\d+)`).exec(ends)![1]
  const ask = async () =>
    (await explained(service, 'tcp', `${CLIENT.v4}:${port}`, '--from-port', '443')).notes.join()
  t.match(
    await ask(),
    new RegExp(`tcp/443 is a service, and has a session with ${CLIENT.v4} now: answers pass`),
  )
  await client.stop()
  await eventually('the session is over', async () => (await ask()).includes('no session of'))
})

t.test('explain of a callback does not use it up', async (t) => {
  const lab = await topology(t)
  await Promise.all([start(lab.web, PUSH_TCP, 21), serveHttp(lab.client, 5000)])
  const service = await guarded(t, lab, CALLBACK)
  await start(lab.client, HEAR_TCP, WEB.client.v4, 21)
  const reason = async () => (await explained(service, 'tcp', `${CLIENT.v4}:5000`)).judged[0]!.reason
  await eventually('the session is known', async () => (await reason()) === 'callback')
  for (let i = 0; i < 3; i++) t.equal(await reason(), 'callback')
  t.equal((await connect(lab.web, CLIENT.v4, 5000)).outcome, 'ok')
  t.equal(await reason(), 'not-allowlisted', 'a connection has used the callback up')
})

t.test(
  'in mode observe, explain prints that a packet would be blocked, and ends with status 1',
  async (t) => {
    const lab = await topology(t)
    const service = await guarded(t, lab, '')
    await service.reload('mode: observe\n')
    const { status, stdout } = await service.ask('explain', 'tcp', `${VICTIM.v4}:80`)
    t.equal(status, 1)
    t.match(stdout, /^WOULD BLOCK: .*\nMode is observe: today it passes\.\n/)
  },
)

t.test('explain reads another configuration file while the service runs', async (t) => {
  const lab = await topology(t)
  const service = await guarded(t, lab, '')
  const other = join(service.folder, 'candidate.yaml')
  const yaml = `mode: enforce\nallow: [{ name: candidate, to: [${VICTIM.v4}] }]\n`
  await lab.web.run(['sh', '-c', 'cat > "$1"', 'write', other], { input: yaml })
  t.equal((await service.ask('explain', 'tcp', `${VICTIM.v4}:80`)).status, 1)
  const asked = await service.ask('explain', 'tcp', `${VICTIM.v4}:80`, '--config', other)
  t.equal(asked.status, 0)
  t.match(asked.stdout, `accept  rule "candidate" (${other}:2)`)
  t.match(asked.stdout, `source  ${other}, without the`)
})

t.test('explain and ruleset show a runtime entry as a rule, and explain --offline does too', async (t) => {
  const lab = await topology(t)
  const service = await guarded(t, lab, '')
  await service.command('allow', 'add', 'debug', '--to', VICTIM.v4, '--ports', '80', '--ttl', '1h')
  const [judged] = (await explained(service, 'tcp', `${VICTIM.v4}:80`)).judged
  t.match(judged, { verdict: 'accept', rule: { name: 'debug', found: /^runtime entry in .*allow\.json$/ } })
  const offline = await service.ask('explain', 'tcp', `${VICTIM.v4}:80`, '--offline')
  t.equal(offline.status, 0)
  t.match(offline.stdout, /rule "debug" \(runtime entry in/)
  t.match((await service.command('ruleset')).stdout, /comment "debug"/)
  t.match((await explained(service, 'tcp', `${VICTIM.v4}:443`)).entry, { name: VICTIM.v4 })
})

t.test('the command that explain suggests for a blocked packet makes it pass', async (t) => {
  const lab = await topology(t)
  const service = await guarded(t, lab, '')
  const to = [`${VICTIM.v4}:80`, `[${VICTIM.v6}]:80`]
  for (const each of to) {
    const { stdout } = await service.ask('explain', 'tcp', each, '--user', 'root', '--unit', 'a.service')
    const [, shown = ''] = /checkvalve (allow add .*)/.exec(stdout.replaceAll('\\\n', ' ')) ?? []
    const words = shown.trim().split(/\s+/)
    t.equal((await service.command(...words)).status, 0, words.join(' '))
    t.equal(
      (await service.ask('explain', 'tcp', each, '--user', 'root', '--unit', 'a.service')).status,
      0,
      each,
    )
  }
})
