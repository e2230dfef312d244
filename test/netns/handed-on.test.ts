/** Sockets that root has made and another user holds: the kernel names root as the sender of their packets. */
import { encode } from 'dns-packet'
import t, { type Test } from 'tap'
import { serveDnsmasq } from '../lab/dnsmasq.js'
import type { Namespace } from '../lab/namespace.js'
import { MIRROR, WEB } from '../lab/topology.js'
import { connect, serveHttp } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { compile } from './programs.js'
import { createLab, datagrams, ELSEWHERE, guard, NAME, query, TAKEN_FOR_ALIVE_MS } from './resolving.js'
import { eventually, NODE, pause } from './service.js'

/** In a namespace with one user the worker stays root: whose socket it is makes no difference to the kernel. */
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

t.test('a worker that turns the listening socket of root around reaches no mirror', async (t) => {
  const { web, service } = await guarded(t, '')
  const program = compile('handed-on')
  const turnAround = async (port: number) =>
    (await web.run([program, String(port), MIRROR.v4, '80', WORKER], { allowFailure: true })).status
  t.equal(await turnAround(443), 1, 'while the service judges')
  t.equal((await connect(web, MIRROR.v4, 80)).outcome, 'ok', 'where root itself does')
  t.match(service.log()[0], { 'source.port': 443, 'destination.ip': MIRROR.v4, 'user.id': '0' })
  await service.kill()
  t.equal(await turnAround(444), 1, 'and while the kernel does')
  t.equal((await connect(web, MIRROR.v4, 80)).outcome, 'ok')
})

/** ASK PORT RESOLVER QUERY UID: asks from a port that root has bound, as another user; and keeps the port. */
const ASK = `const [port, resolver, query, uid] = process.argv.slice(1)
const socket = require('dgram').createSocket('udp4')
socket.bind(+port, () => {
  process.setuid(+uid)
  socket.send(Buffer.from(query, 'hex'), 53, resolver, () => console.log('asked'))
})`

const ID = 99
const question = (name: string) => query(name, ID).toString('hex')

async function asks(web: Namespace, port: string, name: string, uid: string): Promise<void> {
  const asking = web.spawn([...NODE, '-e', ASK, port, MIRROR.v4, question(name), uid])
  await asking.until(() => asking.stdout || undefined)
}

t.test('whoever asks by the socket of a service teaches nothing by itself', async (t) => {
  const { web, mirror, dns, service } = await guarded(t, 'dns: { resolve: false }\n')
  await dns.stop()
  // Its host keeps silent, too.
  await mirror.run(['nft', '-f', '-'], {
    input: 'table inet own { chain in { type filter hook input priority filter; udp dport 53 drop; }; }',
  })
  await asks(web, '443', NAME, WORKER)
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
  await eventually('the answer is read', async () => (await learned()) === 1)
  t.equal(await learned(), 1, 'the answer was read')
  t.not((await connect(web, ELSEWHERE, 80, { timeout: 500 })).outcome, 'ok')
})

t.test('and asks nothing while the service is silent', async (t) => {
  const { web, service, dns } = await guarded(t, 'dns: { enforceNames: true, resolve: false }\n')
  await service.kill()
  await pause(TAKEN_FOR_ALIVE_MS)
  await asks(web, '443', 'secret.example.net', WORKER)
  t.same(dns.queries(), [])
  await asks(web, '0', 'root.example.net', '0')
  await eventually('a question arrives', () => dns.queries().length > 0)
  t.same(dns.queries(), ['root.example.net'], 'as root may')
})
