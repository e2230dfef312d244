/** These tests protect the time between the boot of a host and the start of the service. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createTopology, MIRROR, type Topology, VICTIM, WEB } from '../lab/topology.js'
import { connect, httpGet, serveHttp } from '../lab/traffic.js'
import { eventually, rulesOf, Service } from './service.js'

t.jobs = 2

const SETTINGS = `infrastructure: { dns: [192.0.2.53], ntp: [] }
mirrors: { discover: false }
allow:
  - { name: updates, to: [${MIRROR.v4}], ports: [80], users: [root] }
  - { name: for a while, to: [${MIRROR.v6}], expires: 2100-01-01T00:00:00Z }
`

async function hosts(t: Test): Promise<Topology> {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  await serveHttp(lab.mirror, 80)
  await serveHttp(lab.victims, 80)
  return lab
}

const bootFile = (service: Service) => join(service.folder, 'state', 'boot.nft')

/** Does what checkvalve-rules.service does. */
const boot = (lab: Topology, service: Service) => lab.web.run(['nft', '-f', bootFile(service)])

const writtenFor = (service: Service, words: string) =>
  eventually(`boot.nft has ${words}`, () => {
    try {
      return readFileSync(bootFile(service), 'utf8').includes(words)
    } catch {
      return false
    }
  })

t.test(
  'after a boot the rules of the last run guard the host, and the service goes on from them',
  async (t) => {
    const lab = await hosts(t)
    await serveHttp(lab.web, 80)
    const service = await Service.start(lab.web, `mode: enforce\n${SETTINGS}`)
    t.teardown(() => service.remove())
    await writtenFor(service, 'updates')
    await service.kill()
    await lab.web.run(['nft', 'flush', 'ruleset'])
    t.equal((await connect(lab.web, VICTIM.v4, 80)).outcome, 'ok', 'nothing guards the host')
    await boot(lab, service)
    const isGuarded = async () => {
      t.not((await connect(lab.web, VICTIM.v4, 80)).outcome, 'ok')
      t.not((await connect(lab.web, VICTIM.v6, 80)).outcome, 'ok')
      t.equal((await connect(lab.web, MIRROR.v4, 80)).outcome, 'ok', 'updates go on')
      t.equal((await httpGet(lab.client, `http://${WEB.client.v4}/`)).status, 200, 'clients come in')
    }
    await isGuarded()
    t.not(
      (await connect(lab.web, MIRROR.v6, 80)).outcome,
      'ok',
      'a rule that expires is for the service only',
    )
    await t.rejects(boot(lab, service), 'rules that are loaded are not loaded twice')
    await service.launch()
    await isGuarded()
    t.equal((await connect(lab.web, MIRROR.v6, 80)).outcome, 'ok')
    await eventually(
      'blocking is proven',
      async () => (await service.metric('enforcement_proven', 'family="ipv4"')) === 1,
    )
    const booted = await rulesOf(lab.web)
    await service.stop()
    await service.launch()
    t.same(linesOf(await rulesOf(lab.web)), linesOf(booted), 'the same rules as after a stop')
  },
)

t.test('in mode observe nothing is loaded at boot', async (t) => {
  const lab = await hosts(t)
  const service = await Service.start(lab.web, `mode: enforce\n${SETTINGS}`)
  t.teardown(() => service.remove())
  await writtenFor(service, 'updates')
  await service.reload(`mode: observe\n${SETTINGS}`)
  await writtenFor(service, 'Mode observe')
  await service.stop()
  await boot(lab, service)
  t.notMatch(await rulesOf(lab.web), /checkvalve/)
})

/**
 * The lines of all rules, without elements, which change by the second, and marks, which have the generation of the policy.
 * Tables are listed in the order in which they were made.
 */
const linesOf = (rules: string) =>
  rules
    .replace(/^\t\telements = \{[^}]*\}\n/gm, '')
    .replace(/0x[\da-f]{8}/g, '(mark)')
    .split('\n')
    .sort()
