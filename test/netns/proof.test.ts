/** Tests that the service proves that it blocks, on hosts with all routes, few or none. */
import t from 'tap'
import type { Proofs } from '../../src/packet-path/canary.js'
import type { Status } from '../../src/telemetry/status.js'
import { countArrivals } from '../lab/arrivals.js'
import { createTopology, VICTIM } from '../lab/topology.js'
import { eventually, Service } from './service.js'

const SETTINGS = `mode: enforce
infrastructure: { dns: [], ntp: [] }
mirrors: { discover: false }
canary: { interval: 1s }
`

t.test('each family with a route is proved, and one without has nothing to prove', async (t) => {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  const service = await Service.start(lab.web, SETTINGS)
  t.teardown(() => service.remove())
  const statusOf = async () => JSON.parse((await service.command('status', '--json')).stdout) as Status
  const becomes = (what: string, ipv4: Proofs['ipv4'], ipv6: Proofs['ipv6']) =>
    eventually(what, async () => {
      const { proofs } = await statusOf()
      return proofs?.ipv4 === ipv4 && proofs.ipv6 === ipv6
    })
  const counted = (family: string) => service.metric('packets_total', 'reason="canary"', `family="${family}"`)
  /** Waits until further canaries of a family were judged. */
  const goesOn = async (family: string) => {
    const before = await counted(family)
    await eventually(`canaries over ${family} go on`, async () => (await counted(family)) > before + 1)
  }

  await becomes('both families are proved', 'yes', 'yes')
  t.equal(await service.metric('enforcement_proven', 'family="ipv6"'), 1)

  const arrivals = await countArrivals(lab.client, 'to-web')
  await lab.web.ip(`route del default via ${VICTIM.v4}`, `route del default via ${VICTIM.v6}`)
  for (const family of ['ipv4', 'ipv6']) await goesOn(family)
  await becomes('both families are proved by an address on a link', 'yes', 'yes')
  t.equal((await statusOf()).proven, true)
  t.same((await arrivals()).total, 0, 'nothing of it leaves')

  await lab.web.run(['sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6'])
  await becomes('nothing is to be proved over IPv6', 'yes', 'no-route')
  t.equal(await service.metric('enforcement_provable', 'family="ipv6"'), 0)
  t.match((await service.command('status')).stdout, /^proven {6}yes; nothing to prove over IPv6: no route/m)
  t.match((await service.command('doctor')).stdout, /^note {2}service: nothing to prove over IPv6: no route/m)
})
