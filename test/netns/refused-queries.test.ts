/** A refused query must not leave in another form: the kernel's ICMP errors quote what they answer. */
import t from 'tap'
import { countArrivals } from '../lab/arrivals.js'
import { serveDnsmasq } from '../lab/dnsmasq.js'
import { MIRROR } from '../lab/topology.js'
import { RECORDS, SETTINGS, TUNNEL } from './enforced-names.js'
import { compile } from './programs.js'
import { createLab, guard, query } from './resolving.js'
import { eventually } from './service.js'

const COUNT = 50
t.test('the answer to a refused query, which nobody takes, is not quoted to the resolver', async (t) => {
  const lab = await createLab(t)
  await serveDnsmasq(lab.mirror, RECORDS)
  const service = await guard(
    t,
    lab,
    `${SETTINGS}infrastructure: { dns: [${MIRROR.v4}, "${MIRROR.v6}"], ntp: [] }\n`,
  )
  await service.launch()
  const arrivals = await countArrivals(lab.mirror, 'to-web')
  const notQuery = Buffer.from('000080000000000000000000736563726574', 'hex')
  for (const host of [MIRROR.v4, MIRROR.v6])
    for (const message of [query(`secret.${TUNNEL}`), notQuery]) {
      const before = await service.blocks('reason="name-not-allowed"')
      await lab.web.run([compile('ask-and-leave'), host, message.toString('hex'), String(COUNT)])
      await eventually(
        'all are blocked',
        async () => (await service.blocks('reason="name-not-allowed"')) >= before + COUNT,
      )
      t.equal((await arrivals()).icmp, 0)
    }
})
