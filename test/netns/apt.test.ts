import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { aptGet, serveFiles } from '../lab/apt.js'
import type { Result } from '../lab/command.js'
import { serveDnsmasq } from '../lab/dnsmasq.js'
import type { Namespace } from '../lab/namespace.js'
import { MIRROR, type Topology } from '../lab/topology.js'
import { connect, httpGet } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { createLab, guard, NAME, PROBE, repository, sourcesOf } from './resolving.js'
import { eventually, type Service } from './service.js'

const PORT = 8080
const SOURCES = sourcesOf(`${NAME}:${PORT}`)

t.jobs = 2

/** Makes a guarded host whose only mirror is a source of apt. */
async function aptLab(t: Test, settings: string, resolver: Partial<Parameters<typeof serveDnsmasq>[1]> = {}) {
  const lab = await createLab(t)
  const dns = await serveDnsmasq(lab.mirror, {
    records: { [NAME]: [MIRROR.v4, MIRROR.v6] },
    ttl: 1,
    ...resolver,
  })
  await serveFiles(lab.mirror, await repository(t), { port: PORT })
  const service = await guard(t, lab, settings)
  mkdirSync(join(service.root, 'etc/apt'), { recursive: true })
  writeFileSync(join(service.root, 'etc/apt/sources.list'), SOURCES)
  await service.launch()
  return { lab, dns, service }
}

async function assertPatches(t: Test, { web }: Topology, service: Service, what: string): Promise<void> {
  for (const words of [['update'], ['install', '--reinstall', PROBE.name]]) {
    const { status, stdout, stderr } = await patch(web, service, words)
    t.equal(status, 0, `${what}: apt-get ${words[0]}`, { output: stdout + stderr })
  }
}

/**
 * Runs apt-get. It runs again when an answer was released before its address was allowed, since the machine is too
 * slow for the longest hold time.
 */
async function patch(web: Namespace, service: Service, words: string[]): Promise<Result> {
  const missed = async () =>
    service.program.running ? await service.metric('answers_total', 'outcome="missed"') : 0
  for (;;) {
    const before = await missed()
    const result = await aptGet(web, words, { sources: SOURCES, root: service.root })
    if (result.status === 0 || (await missed()) === before) return result
  }
}

for (const [what, settings] of [
  ['with held answers alone', 'dns: { resolve: false, holdTime: 5s }\n'],
  ['with look-ups of the service alone', 'dns: { holdAnswers: false }\n'],
  ['with names enforced', 'dns: { enforceNames: true }\n'],
] as const)
  t.test(`apt works the first time after the start ${what}`, async (t) => {
    const { lab, service } = await aptLab(t, settings)
    await assertPatches(t, lab, service, what)
    t.ok((await service.metric('packets_total', 'reason="mirror"')) > 0)
    const curl = ['curl', '--silent', '--show-error', '--fail', `http://${NAME}:${PORT}/dists/stable/Release`]
    t.match((await lab.web.run(curl)).stdout, 'Suite: stable', 'curl as root')
    t.equal(
      (await connect(lab.web, MIRROR.v4, 80)).outcome,
      'ECONNREFUSED',
      'another port of the mirror is blocked',
    )
    if (!canSwitchUsers()) return void t.comment('left out: a second user at the mirror')
    const other = await connect(lab.web, MIRROR.v4, PORT, { user: 'www-data' })
    t.equal(other.outcome, 'ECONNREFUSED', 'another user is blocked')
  })

t.test('apt works while the resolver is down, the service is dead, and after its restart', async (t) => {
  const { lab, dns, service } = await aptLab(t, '')
  await assertPatches(t, lab, service, 'at first')
  const kept = join(service.folder, 'state/addresses.json')
  await eventually(
    'the addresses are in the state file',
    async () => existsSync(kept) && readFileSync(kept, 'utf8').includes(MIRROR.v6),
  )
  await service.kill()
  await assertPatches(t, lab, service, 'while the service is dead')
  await dns.stop()
  await service.launch()
  t.equal((await httpGet(lab.web, `http://${MIRROR.v4}:${PORT}/dists/stable/Release`)).status, 200)
  t.equal((await httpGet(lab.web, `http://[${MIRROR.v6}]:${PORT}/dists/stable/Release`)).status, 200)
  await serveDnsmasq(lab.mirror, { records: { [NAME]: [MIRROR.v4] }, ttl: 1 })
  await assertPatches(t, lab, service, 'after the restart')
})

t.test('apt follows the SRV record of a mirror to another host and port', async (t) => {
  for (const settings of ['dns: { resolve: false, holdTime: 5s }\n', 'dns: { holdAnswers: false }\n']) {
    const one = 'one.example.net'
    const { lab, service } = await aptLab(t, settings, {
      records: { [one]: [MIRROR.v4] },
      srv: { [`_http._tcp.${NAME}`]: { target: one, port: PORT } },
    })
    await assertPatches(t, lab, service, settings.trim())
  }
})

t.test('a mirror in a source that is added while the service runs is reached', async (t) => {
  const { lab, service } = await aptLab(t, '', {
    records: { [NAME]: [MIRROR.v4], 'new.example.org': [MIRROR.v6] },
  })
  t.not((await connect(lab.web, MIRROR.v6, 8081)).outcome, 'ok')
  await serveFiles(lab.mirror, service.root, { port: 8081 })
  mkdirSync(join(service.root, 'etc/apt/sources.list.d'))
  const text = 'Types: deb\nURIs: http://new.example.org:8081/\nSuites: stable\nComponents: main\n'
  writeFileSync(join(service.root, 'etc/apt/sources.list.d/new.sources'), text)
  await eventually(
    'the new mirror is reached',
    async () => (await connect(lab.web, MIRROR.v6, 8081)).outcome === 'ok',
  )
})
