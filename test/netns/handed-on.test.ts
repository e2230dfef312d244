/**
 * Tests inherited sockets: root made them, another user uses them, and the kernel names root as their sender.
 */
import { encode } from 'dns-packet'
import t, { type Test } from 'tap'
import { serveDnsmasq } from '../lab/dnsmasq.js'
import type { Namespace } from '../lab/namespace.js'
import type { Program } from '../lab/program.js'
import { MIRROR, WEB } from '../lab/topology.js'
import { connect, serveHttp } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { compile } from './programs.js'
import { createLab, datagrams, ELSEWHERE, guard, NAME, query, TAKEN_FOR_ALIVE_MS } from './resolving.js'
import { eventually, NODE, pause } from './service.js'

/**
 * The user of the worker. In a namespace with one user it stays root; the kernel names root in either case.
 */
const WORKER = canSwitchUsers() ? '33' : '0'
const NAMES = { records: { [NAME]: [MIRROR.v4] }, ttl: 60 }

async function guarded(t: Test, settings: string) {
  const lab = await createLab(t)
  await serveHttp(lab.mirror, 80)
  const dns = await serveDnsmasq(lab.mirror, NAMES)
  const service = await guard(t, lab, `mirrors: { hosts: [${NAME}], ports: [80] }\n${settings}`)
  await service.launch()
  return { ...lab, dns, service }
}

t.jobs = 3

/** The service looks at open sockets once a second. */
const LOOK_MS = 2500
/** A port that the kernel chooses from (ip_local_port_range). */
const CHOSEN = 50_000

/** Starts a worker that listens on that port until it gets a line. */
async function listening(web: Namespace, port = CHOSEN): Promise<Program> {
  const argv = [compile('handed-on'), String(port), MIRROR.v4, '80', WORKER]
  const worker = web.spawn(argv, { stdin: true })
  await worker.until(() => worker.stdout || undefined)
  return worker
}

t.test('a worker that connects with the listening socket of root reaches no mirror', async (t) => {
  const { web, service } = await guarded(t, '')
  const program = compile('handed-on')
  const turnAround = async (port: number) =>
    (await web.run([program, String(port), MIRROR.v4, '80', WORKER], { allowFailure: true })).status
  const refused = await turnAround(443)
  // A newer kernel connects no socket that has listened (EINVAL): then nothing is left to judge.
  const isJudged = refused !== 3
  t.ok([1, 3].includes(refused), 'the worker does not connect while the service judges')
  const worker = await listening(web)
  const known = () => web.run(['nft', 'list', 'set', 'inet', 'checkvalve', 'root_services'])
  await eventually('the port is known', async () => (await known()).stdout.includes(`tcp . ${CHOSEN}`))
  worker.write('')
  t.equal(await worker.exited, refused, 'nor from a port that the kernel might have chosen')
  t.equal((await connect(web, MIRROR.v4, 80)).outcome, 'ok', 'root itself reaches the mirror')
  if (isJudged) t.match(service.log()[0], { 'source.port': 443, 'destination.ip': MIRROR.v4, 'user.id': '0' })
  else t.same(service.log(), [])
  // The kernel has chosen its port, and chooses another one when it is turned around.
  const anywhere = await listening(web, 0)
  await pause(LOOK_MS)
  anywhere.write('')
  t.equal(await anywhere.exited, refused, 'nor from a socket without a port of its own')
  const second = await listening(web)
  await service.kill()
  second.write('')
  t.equal(await second.exited, refused, 'the same while the kernel judges alone')
  t.equal(await turnAround(444), refused, 'the worker does not connect while the kernel judges alone')
  t.equal((await connect(web, MIRROR.v4, 80)).outcome, 'ok')
})

t.test(
  "a worker that connects with a client's socket, which root has accepted, reaches no mirror",
  async (t) => {
    const { web, client, service } = await guarded(t, 'canary: { interval: 1s }\n')
    // The first proof shows the kernel's clock.
    const isProven = async () => (await service.metric('enforcement_proven', 'family="ipv4"')) === 1
    await eventually('blocking is proven', isProven)
    const worker = web.spawn([compile('accepted'), '873', MIRROR.v4, '80', WORKER])
    await worker.until(() => worker.stdout || undefined)
    await connect(client, WEB.client.v4, 873)
    t.equal(await worker.exited, 1)
    await eventually('the block is logged', () => service.log().length > 0)
    t.match(service.log()[0], { 'destination.ip': MIRROR.v4, 'user.id': '0' })
    for (let i = 0; i < 20; i++)
      t.equal((await connect(web, MIRROR.v4, 80)).outcome, 'ok', 'root itself does')
  },
)

/**
 * ASK PORT RESOLVER QUERY UID: binds a port as root, sends a query from it as another user, and keeps the
 * port.
 */
const ASK = `const [port, resolver, query, uid] = process.argv.slice(1)
const socket = require('dgram').createSocket('udp4')
socket.bind(+port, () => {
  process.setuid(+uid)
  socket.send(Buffer.from(query, 'hex'), 53, resolver, () => console.log('asked'))
})`

const ID = 99
const question = (name: string) => query(name, ID).toString('hex')

async function sendQuery(web: Namespace, port: string, name: string, uid: string): Promise<void> {
  const asking = web.spawn([...NODE, '-e', ASK, port, MIRROR.v4, question(name), uid])
  await asking.until(() => asking.stdout || undefined)
}

t.test('an answer to a query from an inherited socket makes no address allowed', async (t) => {
  const { web, mirror, dns, service } = await guarded(t, 'dns: { resolve: false }\n')
  await dns.stop()
  // The host of the resolver sends no ICMP error either.
  await mirror.run(['nft', '-f', '-'], {
    input: 'table inet own { chain in { type filter hook input priority filter; udp dport 53 drop; }; }',
  })
  await sendQuery(web, '443', NAME, WORKER)
  const answer = encode({
    ...{ type: 'response', id: ID, flags: 0x180, questions: [{ type: 'A', name: NAME }] },
    answers: [{ type: 'A', name: NAME, ttl: 600, data: ELSEWHERE }],
  })
  await datagrams(mirror, {
    ...{
      from: MIRROR.v4,
      port: 53,
      to: WEB.mirror.v4,
      toPort: 443,
      messages: [answer.toString('hex')],
      wait: 0,
    },
  }).exited
  const learned = () => service.metric('answers_total', 'learned')
  await eventually('the answer was read', async () => (await learned()) === 1)
  t.equal(await learned(), 1, 'the answer was read')
  t.not((await connect(web, ELSEWHERE, 80, { timeout: 500 })).outcome, 'ok')
})

t.test(
  'while the service is dead, a query from an inherited socket does not arrive at the resolver',
  async (t) => {
    const { web, service, dns } = await guarded(t, 'dns: { enforceNames: true, resolve: false }\n')
    await service.kill()
    await pause(TAKEN_FOR_ALIVE_MS)
    await sendQuery(web, '443', 'secret.example.net', WORKER)
    t.same(dns.queries(), [])
    await sendQuery(web, '0', 'root.example.net', '0')
    await eventually('a query arrives', () => dns.queries().length > 0)
    t.same(dns.queries(), ['root.example.net'], 'a query of root itself arrives')
  },
)
