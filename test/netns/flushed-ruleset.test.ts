/** Tests that a large policy comes back as a whole after another program has flushed the ruleset. */
import t from 'tap'
import { createTopology, MIRROR, VICTIM } from '../lab/topology.js'
import { connect, serveHttp } from '../lab/traffic.js'
import { eventually, kernelCount, rulesOf, Service } from './service.js'

/** More prefixes than are loaded at once after a flush. */
const MANY = Array.from({ length: 600 }, (_, i) => `198.18.${100 + (i >> 7)}.${(i & 127) * 2}`)
const SETTINGS = `mode: enforce
infrastructure: { dns: [192.0.2.53], ntp: [192.0.2.123] }
mirrors: { discover: false }
allow: [{ name: many, to: [${MIRROR.v4}, ${MANY.join(', ')}], ports: [80] }]
`

t.test(
  'the rules that take long to load follow after a flush, in the service and in the fallback',
  async (t) => {
    const lab = await createTopology()
    t.teardown(() => lab.close())
    await serveHttp(lab.mirror, 80)
    await serveHttp(lab.victims, 80)
    const service = await Service.start(lab.web, SETTINGS)
    t.teardown(() => service.remove())
    const before = await rulesOf(lab.web)
    for (const round of [1, 2]) {
      await lab.web.run(['nft', 'flush', 'ruleset'])
      const restored = async () => (await service.metric('ruleset_restored_total')) === round
      await eventually('the rules are put back', restored)
      t.equal((await connect(lab.web, MIRROR.v4, 80)).outcome, 'ok')
      t.not((await connect(lab.web, VICTIM.v4, 80)).outcome, 'ok')
    }
    const hasAll = async () => (await rulesOf(lab.web)).includes('comment "many"')
    await eventually('the kernel has the large rule', hasAll)
    t.equal(await service.metric('ruleset_restored_total'), 2, 'a flush counts once')
    const tables = (rules: string) => [...rules.matchAll(/^table .*$/gm)].map(([line]) => line).sort()
    t.same(tables(await rulesOf(lab.web)), tables(before))
    service.program.kill('SIGKILL')
    await service.program.exited.catch(() => {})
    t.equal((await connect(lab.web, MIRROR.v4, 80)).outcome, 'ok', 'the fallback has the large rule again')
    t.ok((await kernelCount(lab.web, 'fallback_accept')) >= 1)
  },
)
