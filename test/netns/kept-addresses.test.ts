/** Tests programs that keep an address for longer than DNS says. */
import t from 'tap'
import { createTopology, MIRROR, type Topology, VICTIM } from '../lab/topology.js'
import { connect, serveDns, serveHttp, type Zone } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { eventually, Service } from './service.js'

const NAME = 'api.example.net'
const KEPT = ['203.0.113.101', '2001:db8:113::101']
const LATER = ['203.0.113.102', '2001:db8:113::102']
const UNUSED = '203.0.113.103'
const zone = (...addresses: string[]): Zone => ({
  [NAME]: {
    ttl: 1,
    A: addresses.filter((each) => !each.includes(':')),
    AAAA: addresses.filter((each) => each.includes(':')),
  },
})
const SETTINGS = `mode: enforce
dns: { grace: 0s }
allow: [{ name: pay, to: [${NAME}], ports: [80] }]
`

/** Makes a service whose allowed name has moved away from the kept addresses and the unused one. */
async function moved(lab: Topology) {
  await lab.web.file('/etc/resolv.conf', `nameserver ${MIRROR.v4}\noptions timeout:1 attempts:5\n`)
  await serveHttp(lab.victims, 80)
  const before = await serveDns(lab.mirror, zone(...KEPT, UNUSED))
  const service = await Service.start(lab.web, SETTINGS)
  for (const host of KEPT) t.equal((await connect(lab.web, host, 80)).outcome, 'ok')
  await before.stop()
  await serveDns(lab.mirror, zone(...LATER))
  await eventually(
    'the new addresses are allowed',
    async () => (await connect(lab.web, LATER[0]!, 80)).outcome === 'ok',
  )
  // A try would be a use.
  const sets = async () => (await lab.web.run(['nft', 'list', 'ruleset'])).stdout
  await eventually('the unused address is over', async () => !(await sets()).includes(UNUSED))
  t.equal((await connect(lab.web, UNUSED, 80)).outcome, 'ECONNREFUSED')
  return service
}

t.test(
  'an address stays allowed to the user who used it, also after a restart and while the service is dead',
  async (t) => {
    await using lab = await createTopology()
    const service = await moved(lab)
    t.teardown(() => service.remove())
    const reached = async () =>
      Promise.all(KEPT.map(async (host) => (await connect(lab.web, host, 80)).outcome))
    t.same(await reached(), ['ok', 'ok'])
    if (canSwitchUsers())
      t.equal(
        (await connect(lab.web, KEPT[0]!, 80, { user: 'www-data' })).outcome,
        'ECONNREFUSED',
        'another user',
      )
    t.equal((await connect(lab.web, VICTIM.v4, 80)).outcome, 'ECONNREFUSED')
    const blocks = service.log().filter((event) => event['destination.ip'] === UNUSED)
    t.match(blocks[0], { 'event.reason': 'address-expired', message: /address-expired: see dns\.keepUsed/ })
    const explained = (await service.ask('explain', 'tcp', `${UNUSED}:80`)).stdout
    t.match(explained, /dns\.keepUsed/)
    await service.kill()
    t.same(await reached(), ['ok', 'ok'], 'while the service is dead')
    await service.launch()
    t.equal(await service.stop(), 0)
    await service.launch()
    t.same(await reached(), ['ok', 'ok'], 'after a restart')
    await service.reload(SETTINGS.replace('grace: 0s', 'grace: 0s, keepUsed: 0s'))
    t.same(await reached(), ['ECONNREFUSED', 'ECONNREFUSED'], 'as the setting says')
  },
)
