/** Packets with a source route do not leave, whatever else would accept them: by what arrives at the first stop. */
import t, { type Test } from 'tap'
import { countArrivals } from '../lab/arrivals.js'
import { CLIENT, createTopology, VICTIM, WEB } from '../lab/topology.js'
import { compile } from './programs.js'
import { begin } from './scripts.js'
import { eventually, kernelCount, Service } from './service.js'

const ENDS = [
  { host: WEB.client.v4, client: CLIENT.v4, via: VICTIM.v4 },
  { host: WEB.client.v6, client: CLIENT.v6, via: VICTIM.v6 },
]
const COUNT_OPTIONS = `table inet options {
  counter routed { }
  chain arrive { type filter hook prerouting priority raw; ip option lsrr exists counter name "routed"; }
}`
/** CONNECT HOST PORT: stays connected until it is stopped. */
const CONNECT = `require('net').connect(+process.argv[2], process.argv[1]).on('error', () => {})`

/** Makes servers with a client each, over IPv4 and IPv6, that are ready to send. */
async function servers(t: Test, mode: 'enforce' | 'observe') {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  const service = await Service.start(lab.web, `mode: ${mode}\ninfrastructure: { dns: [], ntp: [] }\n`)
  t.teardown(() => service.remove())
  const all = await Promise.all(
    ENDS.map(async ({ host, client, via }, index) => {
      const port = 8000 + index
      const server = lab.web.spawn([compile('routed'), String(port), client, via])
      await server.until(() => server.stdout.includes('listening') || undefined)
      begin(lab.client, CONNECT, host, port)
      await server.until(() => server.stdout.includes('connected') || undefined)
      return server
    }),
  )
  // The kernel's rules accept what comes from a port of a service, while nobody judges it.
  const services = async () =>
    (await lab.web.run(['nft', 'list', 'set', 'inet', 'checkvalve', 'tcp_services'])).stdout
  await eventually('the kernel knows both services', async () => /8000.*8001/s.test(await services()))
  const victims = await countArrivals(lab.victims, 'to-web')
  // A connection over IPv4 keeps the route that it had before its option: its segments come to the client's cable.
  await lab.client.run(['nft', '-f', '-'], { input: COUNT_OPTIONS })
  /** Counts the segments with a source route that have left: over IPv4, over IPv6. */
  const arrivals = async () => {
    const { stdout } = await lab.client.run(['nft', 'list', 'counter', 'inet', 'options', 'routed'])
    return [Number(/packets (\d+)/.exec(stdout)![1]), (await victims()).total]
  }
  const send = async () => {
    for (const server of all) {
      server.kill('SIGUSR1')
      await server.until(() => server.stdout.includes('sent') || undefined)
    }
  }
  return { lab, service, arrivals, send }
}

t.jobs = 3

t.test(
  'in mode observe, segments with a source route arrive at its first stop: the test sends them',
  async (t) => {
    const { arrivals, send } = await servers(t, 'observe')
    await send()
    await eventually('they arrive', async () => (await arrivals()).every((packets) => packets > 0))
    t.ok((await arrivals()).every((packets) => packets > 0))
  },
)

t.test('answers to a client with a source route are dropped and counted', async (t) => {
  const { lab, arrivals, send } = await servers(t, 'enforce')
  await send()
  t.ok((await kernelCount(lab.web, 'source_routed')) >= 2)
  t.same(await arrivals(), [0, 0])
})

t.test('while the service is dead, answers with a source route are dropped as well', async (t) => {
  const { lab, service, arrivals, send } = await servers(t, 'enforce')
  await service.kill()
  await send()
  t.ok((await kernelCount(lab.web, 'source_routed')) >= 2)
  t.same(await arrivals(), [0, 0])
})
