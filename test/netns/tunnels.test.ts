/** Tests what holds for a tunnel of the kernel: its packets have no user. */
import t from 'tap'
import { countArrivals } from '../lab/arrivals.js'
import type { Namespace } from '../lab/namespace.js'
import { createTopology, MIRROR, WEB } from '../lab/topology.js'
import { connect, httpGet, serveHttp } from '../lab/traffic.js'
import { eventually, Service } from './service.js'

const SETTINGS = `mode: enforce
infrastructure: { dns: [192.0.2.53], ntp: [192.0.2.123] }
mirrors: { discover: false }
`
const INSIDE = { web: '10.9.0.1', mirror: '10.9.0.2' } as const

/** Makes one end of a VXLAN tunnel. @returns false where the kernel has none */
async function tunnel(place: Namespace, own: string, peer: string, inside: string): Promise<boolean> {
  const make = `ip link add vx0 type vxlan id 42 local ${own} remote ${peer} dstport 4789 &&
    ip addr add ${inside}/24 dev vx0 && ip link set vx0 up`
  return (await place.run(['sh', '-c', make], { allowFailure: true })).status === 0
}

t.test(
  'replies through a tunnel pass with the entry that is suggested, and nothing else through it',
  async (t) => {
    const lab = await createTopology()
    t.teardown(() => lab.close())
    const isMade =
      (await tunnel(lab.web, WEB.mirror.v4, MIRROR.v4, INSIDE.web)) &&
      (await tunnel(lab.mirror, MIRROR.v4, WEB.mirror.v4, INSIDE.mirror))
    if (!isMade) return void t.comment('left out: this kernel has no VXLAN')
    const service = await Service.start(lab.web, SETTINGS)
    t.teardown(() => service.remove())
    await serveHttp(lab.web, 80)
    await serveHttp(lab.mirror, 80)

    const fetch = () => httpGet(lab.mirror, `http://${INSIDE.web}/large?bytes=100000`, { timeout: 5000 })
    t.not((await fetch()).outcome, 'ok', 'without an entry the replies are blocked')
    await eventually('the block is logged', () => service.log().length > 0)
    const { stdout } = await service.command('suggest')
    t.match(
      stdout,
      /name: kernel-198\.51\.100\.2\n {4}to: \[198\.51\.100\.2\]\n {4}ports: \[4789\]\n {4}protocol: udp\n/,
    )

    await service.reload(SETTINGS + stdout.slice(stdout.indexOf('\nallow:')))
    t.match(await fetch(), { outcome: 'ok', bytes: 100_000 })
    const arrivals = await countArrivals(lab.mirror, 'vx0')
    t.not((await connect(lab.web, INSIDE.mirror, 80)).outcome, 'ok', 'the host itself calls nobody inside')
    t.equal((await arrivals()).tcp, 0)
  },
)
