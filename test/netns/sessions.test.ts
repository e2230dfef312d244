import t, { type Test } from 'tap'
import type { Program } from '../lab/program.js'
import { CLIENT, createTopology, type Topology, VICTIM, WEB } from '../lab/topology.js'
import { connect, serveHttp } from '../lab/traffic.js'
import { HEAR_TCP, HEAR_UDP, last, PUSH_TCP, PUSH_UDP, start, ticks } from './scripts.js'
import { eventually, pause, Service } from './service.js'
import { forget, track } from './tracking.js'

const SETTINGS = `mode: enforce
infrastructure: { dns: [192.0.2.53], ntp: [192.0.2.123] }
`

/** Waits until a client has received five more numbers. */
function continues(program: Program): Promise<void> {
  const before = last(program)
  return eventually('more arrives', async () => last(program) >= before + 5)
}

async function guarded(t: Test, settings = ''): Promise<[Topology, Service]> {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  const service = await Service.start(lab.web, SETTINGS + settings)
  t.teardown(() => service.remove())
  return [lab, service]
}

const sessions = (service: Service, ...labels: string[]) =>
  service.metric('packets_total', 'verdict="accept"', 'reason="session"', ...labels)

t.jobs = 2

t.test('a client keeps its TCP connection when the kernel has forgotten it', async (t) => {
  const [{ web, client }, service] = await guarded(t)
  // The kernel must not track the connection again, so that each of its packets is judged.
  await web.sysctl('net.netfilter.nf_conntrack_tcp_loose', 0)
  await start(web, PUSH_TCP, 443)
  const clients = await Promise.all(
    [WEB.client.v4, WEB.client.v6].map((host) => start(client, HEAR_TCP, host, 443)),
  )
  t.equal(await sessions(service), 0, 'no packet is judged while the kernel knows the connection')
  await forget(web)
  await Promise.all(clients.map(continues))
  for (const family of ['ipv4', 'ipv6'])
    t.ok(
      (await sessions(service, 'protocol="tcp"', `family="${family}"`)) >= 5,
      `packets of ${family} are judged`,
    )
  t.equal(await service.metric('packets_total', 'verdict="block"', 'not-allowlisted'), 0)
})

t.test(
  'a client that connected before the start keeps its connection when the kernel has forgotten it',
  async (t) => {
    const lab = await createTopology()
    t.teardown(() => lab.close())
    await track(lab.web)
    await start(lab.web, PUSH_TCP, 443)
    const client = await start(lab.client, HEAR_TCP, WEB.client.v4, 443)
    const service = await Service.start(lab.web, SETTINGS)
    t.teardown(() => service.remove())
    await lab.web.sysctl('net.netfilter.nf_conntrack_tcp_loose', 0)
    await forget(lab.web)
    await continues(client)
    t.ok((await sessions(service)) >= 5)
  },
)

t.test('the first start cuts off no client on a host that tracked no connections until then', async (t) => {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  await start(lab.web, PUSH_TCP, 443)
  const hosts = [WEB.client.v4, WEB.client.v6]
  const clients = await Promise.all(hosts.map((host) => start(lab.client, HEAR_TCP, host, 443)))
  const service = await Service.start(lab.web, SETTINGS)
  t.teardown(() => service.remove())
  await Promise.all(clients.map(continues))
  t.equal(await service.metric('packets_total', 'verdict="block"', 'not-allowlisted'), 0)
  t.ok((await sessions(service)) >= 1)
})

t.test('a client of a privileged UDP port is answered when the kernel has forgotten it', async (t) => {
  const [{ web, client }, service] = await guarded(t)
  await start(web, PUSH_UDP, 443)
  // Services are read once a second.
  await pause(1500)
  const heard = await start(client, HEAR_UDP, WEB.client.v4, 443)
  await forget(web)
  await continues(heard)
  t.ok((await sessions(service, 'protocol="udp"')) >= 1)
})

t.test(
  'a client of an unprivileged UDP port gets no more answers when the kernel has forgotten it',
  async (t) => {
    const [{ web, client }, service] = await guarded(t)
    await start(web, PUSH_UDP, 5000)
    const heard = await start(client, HEAR_UDP, WEB.client.v4, 5000)
    await forget(web)
    await eventually('the answers are blocked', async () => {
      return (
        (await service.metric('packets_total', 'verdict="block"', 'not-allowlisted', 'protocol="udp"')) >= 5
      )
    })
    const before = last(heard)
    await eventually('the answers are blocked', async () => {
      return (
        (await service.metric('packets_total', 'verdict="block"', 'not-allowlisted', 'protocol="udp"')) >= 10
      )
    })
    t.equal(last(heard), before)
    t.equal(await sessions(service), 0)
  },
)

t.test('a connection to a client is blocked, although the client has a session', async (t) => {
  const [{ web, client }] = await guarded(t)
  await start(web, PUSH_TCP, 443)
  await serveHttp(client, 80)
  await start(client, HEAR_TCP, WEB.client.v4, 443)
  t.not((await connect(web, CLIENT.v4, 80)).outcome, 'ok')
})

t.test('a connection to the outside that was open before the service started is cut off', async (t) => {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  await track(lab.web)
  const sender = await start(lab.victims, PUSH_TCP, 80)
  const shell = await start(lab.web, HEAR_TCP, VICTIM.v4, 80)
  await continues(shell)
  const service = await Service.start(lab.web, SETTINGS)
  t.teardown(() => service.remove())
  await eventually(
    'its packets are blocked',
    async () => (await service.metric('packets_total', 'not-allowlisted')) > 0,
  )
  // No segment is acknowledged any more: the other end repeats its last one ever more slowly.
  let before = 0
  await eventually('nothing more arrives from the other end', async () => {
    before = last(shell)
    await ticks(sender, 12)
    return last(shell) <= before + 1
  })
  t.ok(last(shell) <= before + 1, 'nothing more arrives from the other end')
})
