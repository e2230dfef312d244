/**
 * Tests segments of no connection, which anybody may send to a web server: the kernel answers them by itself, as on a host
 * without checkvalve, and no answer counts as a block.
 */
import t, { type Test } from 'tap'
import type { Namespace } from '../lab/namespace.js'
import { CLIENT, createTopology, WEB } from '../lab/topology.js'
import { serveHttp } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { compile } from './programs.js'
import { begin } from './scripts.js'
import { eventually, kernelCount, NODE, Service } from './service.js'
import { forget, track, untrack } from './tracking.js'

t.jobs = 3

/** Flags of segments of no connection: SYN-ACK (backscatter), FIN-ACK, ACK, none, Xmas; to an open and a closed port. */
const STRAYS = ['12', '11', '10', '00', '29'].flatMap((flags) => [`${flags}-8000`, `${flags}-4444`])
/** The kernel answers each by a reset, but drops those without ACK to an open port (RFC 9293, 3.10.7.2). */
const ANSWERED = STRAYS.filter((stray) => stray !== '00-8000' && stray !== '29-8000')

async function guarded(t: Test, loose: string, isTracked: boolean) {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  await serveHttp(lab.web, 8000, canSwitchUsers() ? 'www-data' : undefined)
  await (isTracked ? track : untrack)(lab.web)
  await lab.web.sysctl('net.netfilter.nf_conntrack_tcp_loose', loose)
  const service = await Service.start(lab.web, 'mode: enforce\nmirrors: { discover: false }\n')
  t.teardown(() => service.remove())
  /** Sends all strays to an address. @returns the answers, in order */
  const answers = async (address: string) => {
    const sender = lab.client.spawn([compile('stray'), '20000', address, ...STRAYS], { stdin: true })
    const lines = () => sender.stdout.trim().split('\n')
    await eventually('the kernel has answered', () => lines().length >= ANSWERED.length)
    sender.write('')
    await sender.exited
    return lines().sort()
  }
  return { ...lab, service, answers }
}

const RST = 0x04
const isReset = (line: string) => (Number.parseInt(line.split(' ')[1]!, 16) & RST) !== 0

for (const { loose, isTracked } of [
  { loose: '0', isTracked: true },
  { loose: '1', isTracked: true },
  { loose: '1', isTracked: false },
])
  t.test(
    `strays are answered by resets (${isTracked ? `tracked, tcp_loose ${loose}` : 'not tracked'}), alive and dead`,
    async (t) => {
      const { web, service, answers } = await guarded(t, loose, isTracked)
      const before = await service.blocks()
      for (const address of [WEB.client.v4, WEB.client.v6]) {
        const found = await answers(address)
        t.same(
          found.map((line) => line.split(' ')[0]),
          [...ANSWERED].sort(),
        )
        t.ok(found.every(isReset))
      }
      t.equal(await service.blocks(), before, 'no answer is a block')
      t.same(service.log(), [])
      t.ok((await service.metric('kernel_packets_total', 'path="reset"')) > 0)
      await service.kill()
      const dropped = await kernelCount(web, 'fallback_drop')
      for (const address of [WEB.client.v4, WEB.client.v6])
        t.equal((await answers(address)).length, ANSWERED.length, 'the same while the service is dead')
      t.equal(await kernelCount(web, 'fallback_drop'), dropped)
    },
  )

t.test(
  'strays from the port of a resolver are answered as others are, where names are enforced',
  async (t) => {
    const lab = await createTopology()
    t.teardown(() => lab.close())
    const { web, client } = lab
    const names = `infrastructure: { dns: [${CLIENT.v4}, "${CLIENT.v6}"] }\ndns: { enforceNames: true }\n`
    const service = await Service.start(web, `mode: enforce\nmirrors: { discover: false }\n${names}`)
    t.teardown(() => service.remove())
    for (const address of [WEB.client.v4, WEB.client.v6]) {
      const sender = client.spawn([compile('stray'), '53', address, '12-4444'], { stdin: true })
      await sender.until(() => sender.stdout || undefined)
      t.ok(isReset(sender.stdout.trim()))
      sender.write('')
      await sender.exited
    }
    t.equal(await service.metric('kernel_packets_total', 'path="reset"'), 2)
    t.same(service.log(), [])
  },
)

/** ABORT PORT: prints `data` when it receives some, and resets the last connection at SIGUSR2. */
const ABORT = `let last
require('net').createServer((socket) => {
  last = socket.on('data', () => console.log('data')).on('error', () => {})
}).listen(+process.argv[1], () => console.log('listening'))
process.on('SIGUSR2', () => last.resetAndDestroy())`
/** SLEEP HOST PORT: connects, sends data after a line of input, and prints the error. */
const SLEEP = `const socket = require('net').connect({ host: process.argv[1], port: +process.argv[2] }, () => console.log('connected'))
process.stdin.once('data', () => socket.write('x'))
socket.on('error', ({ code }) => { console.log(code); process.exit() })`

const asleep = (client: Namespace, host: string, port: number) =>
  client.spawn([...NODE, '-e', SLEEP, host, String(port)], { stdin: true })

t.test('a server aborts a connection that connection tracking has forgotten', async (t) => {
  const { web, client, service } = await guarded(t, '0', true)
  const server = begin(web, ABORT, 8080)
  await server.until(() => server.stdout || undefined)
  for (const host of [WEB.client.v4, WEB.client.v6]) {
    const sleeper = asleep(client, host, 8080)
    await sleeper.until(() => sleeper.stdout || undefined)
    await forget(web)
    const judged = () => service.metric('packets_total', 'reason="session"')
    const [received, before] = [server.stdout.length, await judged()]
    sleeper.write('')
    await eventually('the server has the data', () => server.stdout.length > received)
    // A packet that waits for its verdict while its socket closes would be one of nobody.
    await eventually('its acknowledgement is judged', async () => (await judged()) > before)
    server.kill('SIGUSR2')
    await sleeper.exited
    t.match(sleeper.stdout, 'ECONNRESET')
  }
  t.same(service.log(), [])
})

t.test('clients that slept while the server was started again get a reset when they go on', async (t) => {
  const { web, client, service } = await guarded(t, '0', true)
  for (const host of [WEB.client.v4, WEB.client.v6]) {
    const server = begin(web, ABORT, 8081)
    await server.until(() => server.stdout || undefined)
    const sleeper = asleep(client, host, 8081)
    await sleeper.until(() => sleeper.stdout || undefined)
    await client.run(['nft', '-f', '-'], {
      input: 'table inet asleep { chain in { type filter hook input priority 0; drop; }; }',
    })
    server.kill('SIGKILL')
    await server.exited
    await web.run(['ss', '-K', 'sport', '=', ':8081'], { allowFailure: true })
    await forget(web)
    const again = begin(web, ABORT, 8081)
    await again.until(() => again.stdout || undefined)
    await client.run(['nft', 'delete', 'table', 'inet', 'asleep'])
    sleeper.write('')
    await sleeper.exited
    t.match(sleeper.stdout, 'ECONNRESET')
    await again.stop()
  }
  t.same(service.log(), [])
})
