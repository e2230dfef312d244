import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import type { Program } from '../lab/program.js'
import { createTopology, type Topology, VICTIM, WEB } from '../lab/topology.js'
import { connect, serveHttp } from '../lab/traffic.js'
import { NODE, Service } from './service.js'
import { forget } from './tracking.js'

const program = (name: string) => fileURLToPath(new URL(`./programs/${name}.js`, import.meta.url))
const SETTINGS = `mode: enforce
infrastructure: { dns: [192.0.2.53], ntp: [192.0.2.123] }
`
const SECONDS = 5
const CLIENTS = 200

interface Busy extends Topology {
  readonly service: Service
  /** The programs with the transfers over IPv4, and over IPv6. */
  readonly transfers: readonly Program[]
}

/**
 * Starts a guarded server, with a large download, a slow upload and 100 keep-alive clients over each family.
 */
async function busy(t: Test): Promise<Busy> {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  await Promise.all([serveHttp(lab.web, 80), serveHttp(lab.victims, 80)])
  // The kernel must not track a forgotten connection again, so that each of its packets is judged.
  await lab.web.sysctl('net.netfilter.nf_conntrack_tcp_loose', 0)
  const service = await Service.start(lab.web, SETTINGS)
  t.teardown(() => service.remove())
  const transfers = [WEB.client.v4, WEB.client.v6].map((host) =>
    lab.client.spawn([...NODE, program('transfers'), host, '80', `${SECONDS}`, `${CLIENTS / 2}`]),
  )
  await Promise.all(transfers.map((each) => each.result('under way')))
  return { ...lab, service, transfers }
}

async function assertNothingBroke(t: Test, { transfers, web }: Busy): Promise<void> {
  for (const [index, each] of transfers.entries()) {
    const { downloaded, uploaded, pages } = await each.result('pages')
    const over = index === 0 ? 'over IPv4' : 'over IPv6'
    t.same({ downloaded, uploaded }, { downloaded: 'whole', uploaded: 'whole' }, over)
    t.match(pages, { failed: [], connections: CLIENTS / 2 }, `each client ${over} keeps its connection`)
  }
  t.not((await connect(web, VICTIM.v4, 80, { timeout: 500 })).outcome, 'ok', 'nothing else gets out')
}

t.jobs = 2

t.test('no transfer breaks when the kernel forgets all connections twice', async (t) => {
  const lab = await busy(t)
  await forget(lab.web)
  await sleep(1000)
  await forget(lab.web)
  await assertNothingBroke(t, lab)
  t.ok(
    (await lab.service.metric('packets_total', 'reason="session"', 'family="ipv4"')) > 0,
    'packets of IPv4 are judged',
  )
  t.ok(
    (await lab.service.metric('packets_total', 'reason="session"', 'family="ipv6"')) > 0,
    'packets of IPv6 are judged',
  )
})

t.test('no transfer breaks when the service is killed and started again', async (t) => {
  const lab = await busy(t)
  await lab.service.kill()
  await sleep(500)
  await lab.service.launch()
  await forget(lab.web)
  await assertNothingBroke(t, lab)
})

t.test('no transfer breaks when the service is stopped and started again', async (t) => {
  const lab = await busy(t)
  await lab.service.stop()
  await lab.service.launch()
  await assertNothingBroke(t, lab)
})

t.test('no transfer breaks when the kernel forgets all connections while the service is dead', async (t) => {
  const lab = await busy(t)
  await lab.service.kill()
  await forget(lab.web)
  await sleep(1000)
  await forget(lab.web)
  await assertNothingBroke(t, lab)
})
