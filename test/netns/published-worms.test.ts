import t from 'tap'
import { spread, type Worm } from '../../bench/load.js'
import { countSent } from '../../bench/sent.js'
import { compiled } from '../bench/compiled.js'
import { countArrivals } from '../lab/arrivals.js'
import { createTopology } from '../lab/topology.js'
import { canSwitchUsers } from '../lab/users.js'
import { eventually, kernelCount, Service } from './service.js'

/** Each worm at its full rate, and Nimda at the rate that it had. The slow one sends once in so short a time. */
const WORMS: readonly Worm[] = [
  { kind: 'code-red', full: true },
  { kind: 'nimda', full: false },
  { kind: 'slammer', full: true },
  { kind: 'mirai', full: true },
  { kind: 'slow', full: false },
]
const SECONDS = 0.3
const SETTINGS = `mode: enforce
infrastructure: { dns: [], ntp: [], dhcp: false }
mirrors: { discover: false }
`

t.test(
  'nothing arrives of any published worm, IPv4 and IPv6, and each of its packets is counted',
  async (t) => {
    if (!canSwitchUsers()) return t.comment('left out: only one user exists in this namespace')
    compiled('worm')
    const lab = await createTopology()
    t.teardown(() => lab.close())
    const service = await Service.start(lab.web, SETTINGS)
    t.teardown(() => service.remove())
    const [arrivals, sent] = [await countArrivals(lab.victims, 'to-web'), await countSent(lab.web)]
    let packets = 0
    for (const worm of WORMS)
      for (const family of [4, 6] as const) {
        const report = await spread(lab.web, worm, family, SECONDS)
        packets += report.packets
        t.ok(report.packets > 0, `${worm.kind}, IPv${family}: ${report.packets} packets`)
        t.equal(await sent(), packets, 'the worm knows what it sent')
        t.equal((await arrivals()).total, 0, 'nothing arrives')
      }
    const counted = async () => (await service.blocks()) + (await kernelCount(lab.web, 'fallback_drop'))
    await eventually('the service has judged all of them', async () => (await counted()) >= packets)
    t.equal(await counted(), packets, 'each packet is counted once, by the service or by the kernel')
  },
)
