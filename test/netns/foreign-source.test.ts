/** Packets with a source that is no address of this host do not leave, and are not answered: by what arrives. */
import t, { type Test } from 'tap'
import { countArrivals } from '../lab/arrivals.js'
import { createTopology, MIRROR, type Topology, VICTIM } from '../lab/topology.js'
import { httpGet, serveHttp } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { compile } from './programs.js'
import { eventually, kernelCount, Service } from './service.js'

const FOREIGN = '2001:db8:77::5'
const SETTINGS = `mode: enforce
infrastructure: { dns: ["${MIRROR.v6}"], ntp: ["${MIRROR.v6}"] }
mirrors: { hosts: ["${MIRROR.v6}"], ports: [80] }
`

interface Guarded extends Topology {
  readonly service: Service
}

/** @param before prepares the lab before the service starts */
async function guarded(t: Test, settings = '', before = async (_: Topology) => {}): Promise<Guarded> {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  await before(lab)
  const service = await Service.start(lab.web, SETTINGS + settings)
  t.teardown(() => service.remove())
  return { ...lab, service }
}

/** Sends 50 datagrams from a foreign address, as the user of the web server where users exist. */
const send = ({ web }: Topology, to: string, port: number) =>
  web.run([compile('foreign'), FOREIGN, to, String(port), '50'], canSwitchUsers() ? { user: 'www-data' } : {})

t.jobs = 2

t.test('a datagram with a foreign source is dropped, not refused, and logged with its source', async (t) => {
  const lab = await guarded(t)
  const [victims, mirror] = await Promise.all([
    countArrivals(lab.victims, 'to-web'),
    countArrivals(lab.mirror, 'to-web'),
  ])
  const blocked = () => lab.service.metric('packets_total', 'verdict="block"', 'reason="foreign-source"')
  await send(lab, VICTIM.v6, 9)
  await eventually('all are judged', async () => (await blocked()) >= 50)
  // Allowed destinations for every user.
  for (const port of [53, 123]) await send(lab, MIRROR.v6, port)
  await eventually('all are judged', async () => (await blocked()) >= 150)
  t.equal((await victims()).total, 0, 'neither the datagrams nor refusals arrive')
  t.equal((await mirror()).total, 0, 'nor those to allowed destinations')
  await eventually('it is logged', () => lab.service.log().length > 0)
  t.match(lab.service.log()[0], { 'source.ip': FOREIGN, 'event.reason': 'foreign-source' })
})

t.test('while the service is dead, a datagram with a foreign source is dropped as well', async (t) => {
  const lab = await guarded(t)
  const mirror = await countArrivals(lab.mirror, 'to-web')
  const victims = await countArrivals(lab.victims, 'to-web')
  await lab.service.kill()
  for (const port of [53, 123]) await send(lab, MIRROR.v6, port)
  await send(lab, VICTIM.v6, 9)
  t.equal(await kernelCount(lab.web, 'forged'), 150)
  t.equal((await mirror()).total, 0)
  t.equal((await victims()).total, 0)
})

t.test('what the kernel sends for an address that has just moved away still leaves', async (t) => {
  const VIP = '2001:db8:18::80'
  const lab = await guarded(t, '', ({ web }) => web.address('to-client', `${VIP}/128`))
  await serveHttp(lab.web, 80)
  const download = httpGet(lab.client, `http://[${VIP}]/large?bytes=3000000000`, { timeout: 10_000 })
  const arrivals = await countArrivals(lab.client, 'to-web')
  await eventually('the download has begun', async () => (await arrivals()).tcp > 100)
  await lab.web.ip(`address del ${VIP}/128 dev to-client`)
  const isNoted = async () =>
    (await lab.web.run(['nft', 'list', 'set', 'inet', 'checkvalve', 'former6'])).stdout.includes(VIP)
  await eventually('the service has noticed', isNoted)
  // The client's acknowledgements are not received any more: the server's kernel sends again.
  const before = (await arrivals()).tcp
  await eventually('it is sent again', async () => (await arrivals()).tcp > before)
  await download
})

t.test('a transparent proxy sends from the addresses of others when its user is named', async (t) => {
  const user = canSwitchUsers() ? 'www-data' : 'root'
  const lab = await guarded(
    t,
    `transparentUsers: [${user}]\nallow: [{ name: echo, to: ["${VICTIM.v6}"], ports: [9], protocol: udp }]\n`,
  )
  const victims = await countArrivals(lab.victims, 'to-web')
  await send(lab, VICTIM.v6, 9)
  await eventually('all arrive', async () => (await victims()).udp === 50)
  t.equal((await victims()).udp, 50)
  await send(lab, VICTIM.v6, 10)
  await eventually('what no rule allows is blocked', async () => (await lab.service.blocks()) >= 50)
  const { udp, total } = await victims()
  t.same({ udp, total }, { udp: 50, total: 50 }, 'and not refused: the refusal would go to that address')
})
