import t, { type Test } from 'tap'
import { createTopology, type Topology, WEB } from '../lab/topology.js'
import { begin, HEAR_UDP, LATE_UDP, last, start } from './scripts.js'
import { eventually, inTime, Service } from './service.js'

const SETTINGS = `mode: enforce
infrastructure: { dns: [192.0.2.53], ntp: [192.0.2.123] }
`
/** How long a service takes to answer. Connection tracking forgets the client after one second. */
const LATE_MS = 4000
const HOSTS = [WEB.client.v4, WEB.client.v6]

async function guarded(t: Test, settings = ''): Promise<[Topology, Service]> {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  for (const name of ['udp_timeout', 'udp_timeout_stream'])
    await lab.web.sysctl(`net.netfilter.nf_conntrack_${name}`, 1)
  const service = await Service.start(lab.web, SETTINGS + settings)
  t.teardown(() => service.remove())
  return [lab, service]
}

/** Sends to a late service over IPv4 and IPv6. @returns for each client whether the answer arrived */
async function getAnswers({ web, client }: Topology, service: Service, port: number): Promise<boolean[]> {
  const server = await start(web, LATE_UDP, port, LATE_MS)
  const clients = HOSTS.map((host) => begin(client, HEAR_UDP, host, port))
  await server.until(() => server.stdout.split('answered').length > HOSTS.length || undefined)
  const heard = () => clients.filter((each) => last(each) === 1).length
  await eventually(
    'each answer has arrived or is blocked',
    async () => heard() + (await blocks(service)) >= HOSTS.length,
  )
  return clients.map((each) => last(each) === 1)
}

const blocks = (service: Service) =>
  service.metric('packets_total', 'verdict="block"', 'not-allowlisted', 'udp')

const judged = (service: Service, verdict: string, reason: string, family: string) =>
  service.metric('packets_total', `verdict="${verdict}"`, `reason="${reason}"`, 'udp', `family="${family}"`)

t.jobs = 4

t.test(
  'a late answer from a privileged port arrives, although the kernel has forgotten the client',
  async (t) => {
    const [lab, service] = await guarded(t)
    t.same(await getAnswers(lab, service, 443), [true, true])
    for (const family of ['ipv4', 'ipv6'])
      t.equal(await judged(service, 'accept', 'session', family), 1, family)
  },
)

t.test(
  'a late answer from an unprivileged port that is not configured as a service is blocked',
  async (t) => {
    const [lab, service] = await guarded(t)
    // With a second service on a privileged port, sessions are recorded.
    await start(lab.web, LATE_UDP, 443, 0)
    t.same(await getAnswers(lab, service, 5000), [false, false])
    for (const family of ['ipv4', 'ipv6'])
      t.equal(await judged(service, 'block', 'not-allowlisted', family), 1, family)
  },
)

t.test('a late answer from an unprivileged port that is configured as a service arrives', async (t) => {
  const [lab, service] = await guarded(t, 'sessions: { services: [udp/5000] }\n')
  t.same(await getAnswers(lab, service, 5000), [true, true])
})

t.test('an answer after the session timeout of its client is blocked', async (t) => {
  const [lab, service] = await guarded(t, 'sessions: { udpTimeout: 1s }\n')
  t.same(await getAnswers(lab, service, 443), [false, false])
})

t.test(
  'a client that sends again after a late answer keeps its session, though the answer looked like a new flow',
  async (t) => {
    const areHeard = await inTime(async (ms) => {
      const [{ web, client }, service] = await guarded(t, `sessions: { udpTimeout: ${3 * ms}ms }\n`)
      await start(web, LATE_UDP, 443, 1.6 * ms)
      // The client sends again as soon as it has the late answer. The second answer comes when the first
      // datagram is older than the session timeout.
      const ASK_TWICE = `const [host] = process.argv.slice(1)
const socket = require('dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4')
let heard = 0
socket.on('message', () => { console.log(++heard); if (heard === 1) socket.send('again', 443, host) })
socket.send('hello', 443, host)`
      const clients = HOSTS.map((host) => begin(client, ASK_TWICE, host))
      const heard = () => clients.filter((each) => last(each) === 2).length
      await eventually(
        'each answer has arrived or is blocked',
        async () => heard() + (await blocks(service)) >= HOSTS.length,
      )
      // A block may also mean that the kernel reported the second datagram too late.
      return heard() === HOSTS.length || undefined
    })
    t.ok(areHeard)
  },
)

t.test('a datagram from a service port to a host that was never a client is blocked', async (t) => {
  const [{ web, client }, service] = await guarded(t)
  const LISTEN = `require('dgram').createSocket('udp6').on('message', () => console.log('heard'))
  .bind(9000, () => console.log('listening'))`
  const heard = await start(client, LISTEN)
  // The program binds the port of a service, and sends without having received.
  const SEND = `const [host] = process.argv.slice(1)
const socket = require('dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4')
socket.bind(443, () => socket.send('unasked', 9000, host, () => console.log('sent')))`
  for (const host of ['198.18.0.2', '2001:db8:18::2']) await (await start(web, SEND, host)).stop()
  await eventually('both datagrams are blocked', async () => {
    const counts = await Promise.all(
      ['ipv4', 'ipv6'].map((family) => judged(service, 'block', 'not-allowlisted', family)),
    )
    return counts.every((count) => count === 1)
  })
  t.equal(heard.stdout, 'listening\n')
})
