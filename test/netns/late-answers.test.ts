import t, { type Test } from 'tap'
import { createTopology, type Topology, WEB } from '../lab/topology.js'
import { begin, HEAR_UDP, LATE_UDP, last, start } from './scripts.js'
import { eventually, inTime, Service } from './service.js'

const SETTINGS = `mode: enforce
infrastructure: { dns: [192.0.2.53], ntp: [192.0.2.123] }
`
/** What a service needs for its answer; connection tracking forgets the question after one second. */
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

/** Asks the service on a port, over IPv4 and IPv6. @returns whether an answer came to each, once all were judged */
async function asked({ web, client }: Topology, service: Service, port: number): Promise<boolean[]> {
  const server = await start(web, LATE_UDP, port, LATE_MS)
  const clients = HOSTS.map((host) => begin(client, HEAR_UDP, host, port))
  await server.until(() => server.stdout.split('answered').length > HOSTS.length || undefined)
  const heard = () => clients.filter((each) => last(each) === 1).length
  await eventually('each is heard or blocked', async () => heard() + (await blocks(service)) >= HOSTS.length)
  return clients.map((each) => last(each) === 1)
}

const blocks = (service: Service) =>
  service.metric('packets_total', 'verdict="block"', 'not-allowlisted', 'udp')

const judged = (service: Service, verdict: string, reason: string, family: string) =>
  service.metric('packets_total', `verdict="${verdict}"`, `reason="${reason}"`, 'udp', `family="${family}"`)

t.jobs = 4

t.test('a service on a privileged port answers after the kernel has forgotten its client', async (t) => {
  const [lab, service] = await guarded(t)
  t.same(await asked(lab, service, 443), [true, true])
  for (const family of ['ipv4', 'ipv6'])
    t.equal(await judged(service, 'accept', 'session', family), 1, family)
})

t.test('from an unprivileged port that nobody has declared the late answer is blocked', async (t) => {
  const [lab, service] = await guarded(t)
  // There is a real service beside it, whose clients are watched.
  await start(lab.web, LATE_UDP, 443, 0)
  t.same(await asked(lab, service, 5000), [false, false])
  for (const family of ['ipv4', 'ipv6'])
    t.equal(await judged(service, 'block', 'not-allowlisted', family), 1, family)
})

t.test('a declared service may have any port', async (t) => {
  const [lab, service] = await guarded(t, 'sessions: { services: [udp/5000] }\n')
  t.same(await asked(lab, service, 5000), [true, true])
})

t.test('a client that is silent for longer than the session timeout is none any more', async (t) => {
  const [lab, service] = await guarded(t, 'sessions: { udpTimeout: 1s }\n')
  t.same(await asked(lab, service, 443), [false, false])
})

t.test(
  'a client that has spoken since the late answer is one still, though that answer looked like a call',
  async (t) => {
    const areHeard = await inTime(async (ms) => {
      const [{ web, client }, service] = await guarded(t, `sessions: { udpTimeout: ${3 * ms}ms }\n`)
      await start(web, LATE_UDP, 443, 1.6 * ms)
      // Asks, hears the late answer, and asks again at once: the second answer comes when the first question is too old.
      const ASK_TWICE = `const [host] = process.argv.slice(1)
const socket = require('dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4')
let heard = 0
socket.on('message', () => { console.log(++heard); if (heard === 1) socket.send('again', 443, host) })
socket.send('hello', 443, host)`
      const clients = HOSTS.map((host) => begin(client, ASK_TWICE, host))
      const heard = () => clients.filter((each) => last(each) === 2).length
      await eventually(
        'each is heard or blocked',
        async () => heard() + (await blocks(service)) >= HOSTS.length,
      )
      // A block may also mean that the kernel has told of the second question too late.
      return heard() === HOSTS.length || undefined
    })
    t.ok(areHeard)
  },
)

t.test('whoever never came in gets nothing from a service port', async (t) => {
  const [{ web, client }, service] = await guarded(t)
  const LISTEN = `require('dgram').createSocket('udp6').on('message', () => console.log('heard'))
  .bind(9000, () => console.log('listening'))`
  const heard = await start(client, LISTEN)
  // Binds the port of a service, and speaks first.
  const SPEAK = `const [host] = process.argv.slice(1)
const socket = require('dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4')
socket.bind(443, () => socket.send('unasked', 9000, host, () => console.log('sent')))`
  for (const host of ['198.18.0.2', '2001:db8:18::2']) await (await start(web, SPEAK, host)).stop()
  await eventually('both are blocked', async () => {
    const counts = await Promise.all(
      ['ipv4', 'ipv6'].map((family) => judged(service, 'block', 'not-allowlisted', family)),
    )
    return counts.every((count) => count === 1)
  })
  t.equal(heard.stdout, 'listening\n')
})
