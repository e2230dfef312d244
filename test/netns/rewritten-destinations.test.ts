/** Rules of other programs that change where a packet goes (DNAT, REDIRECT): its destination after that is judged. */
import t, { type Test } from 'tap'
import { countArrivals } from '../lab/arrivals.js'
import { createTopology, MIRROR, type Topology, VICTIM, WEB } from '../lab/topology.js'
import { connect, httpGet, serveHttp } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { eventually, Service } from './service.js'

const SETTINGS = `mode: enforce
infrastructure: { dns: [], ntp: [] }
mirrors: { hosts: ["${MIRROR.v4}", "${MIRROR.v6}"], ports: [80], users: [root] }
`
const WORKER = canSwitchUsers() ? { user: 'www-data' } : {}

/** @param rules rules of the chain that changes destinations in the output hook */
async function guarded(
  t: Test,
  settings: string,
  ...rules: string[]
): Promise<Topology & { service: Service }> {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  // As dockerd and kube-proxy set it for ports that are published on 127.0.0.1.
  await lab.web.sysctl('net.ipv4.conf.all.route_localnet', 1)
  const table = `table inet other {
  chain output { type nat hook output priority -100; ${rules.join('; ')}; }
  chain post { type nat hook postrouting priority 100; oif != "lo" ct status dnat masquerade; }
}`
  await lab.web.run(['nft', '-f', '-'], { input: table })
  await Promise.all([serveHttp(lab.victims, 80), serveHttp(lab.mirror, 80), serveHttp(lab.web, 3128)])
  const service = await Service.start(lab.web, SETTINGS + settings)
  t.teardown(() => service.remove())
  return { ...lab, service }
}

t.jobs = 3

t.test(
  'a connection to this host that DNAT sends to another host is judged as one to that host',
  async (t) => {
    const lab = await guarded(
      t,
      '',
      `meta nfproto ipv4 tcp dport 8080 dnat ip to ${VICTIM.v4}:80`,
      `meta nfproto ipv6 tcp dport 8080 dnat ip6 to [${VICTIM.v6}]:80`,
    )
    const arrivals = await countArrivals(lab.victims, 'to-web')
    for (const host of ['127.0.0.1', WEB.client.v4, WEB.client.v6])
      t.not((await connect(lab.web, host, 8080, { ...WORKER, timeout: 2000 })).outcome, 'ok', host)
    const blocked = () => lab.service.blocks()
    await eventually('all are judged', async () => (await blocked()) >= 3)
    t.equal((await arrivals()).total, 0, 'nothing arrives')
    await lab.service.kill()
    for (const host of ['127.0.0.1', WEB.client.v4, WEB.client.v6])
      t.not((await connect(lab.web, host, 8080, { ...WORKER, timeout: 1000 })).outcome, 'ok', `dead: ${host}`)
    t.equal((await arrivals()).total, 0, 'nor while the service is dead')
  },
)

t.test(
  'a published port reaches its container when a rule allows the container, as Docker does it',
  async (t) => {
    const lab = await guarded(
      t,
      '',
      `meta nfproto ipv4 fib daddr type local tcp dport 8081 dnat ip to ${MIRROR.v4}:80`,
    )
    for (const host of ['127.0.0.1', WEB.client.v4])
      t.equal((await connect(lab.web, host, 8081)).outcome, 'ok', `root: ${host}`)
  },
)

t.test(
  'a connection that REDIRECT keeps on this host is not judged, whatever it was meant for',
  async (t) => {
    const lab = await guarded(t, '', 'tcp dport 80 redirect to :3128')
    const arrivals = await countArrivals(lab.victims, 'to-web')
    const urls = [`http://${VICTIM.v4}/`, `http://[${VICTIM.v6}]/`]
    const fetchAll = async (when: string) => {
      for (const url of urls)
        t.equal((await httpGet(lab.web, url, { ...WORKER, timeout: 20_000 })).status, 200, `${url} ${when}`)
    }
    await fetchAll('is answered by the local proxy')
    t.equal((await arrivals()).total, 0)
    await lab.service.kill()
    await fetchAll('is answered while the service is dead')
    t.equal((await arrivals()).total, 0)
  },
)
