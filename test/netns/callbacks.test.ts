import t, { type Test } from 'tap'
import type { Program } from '../lab/program.js'
import { CLIENT, createTopology, type Topology, VICTIM, WEB } from '../lab/topology.js'
import { connect, serveHttp } from '../lab/traffic.js'
import { begin, start } from './scripts.js'
import { eventually, PATIENCE_MS, Service } from './service.js'
import { forget, untrack } from './tracking.js'

const settings = (callback: string) => `mode: enforce
infrastructure: { dns: [192.0.2.53], ntp: [192.0.2.123] }
sessions: { callbacks: [${callback}] }
`
const FTP = '{ service: 21, protocol: tcp, ports: 1024-65535, perSession: 3 }'
const HOSTS = [
  [WEB.client.v4, CLIENT.v4],
  [WEB.client.v6, CLIENT.v6],
] as const

/**
 * GREET PORT: greets its clients. The test itself opens the data connections, as a child of an FTP server
 * does.
 */
const GREET = `require('net').createServer((socket) => {
  socket.on('error', () => {}).on('close', () => console.log('closed')).write('220 ready\\n')
}).listen(+process.argv[1], () => console.log('listening'))`
/** CONTROL HOST PORT: stays connected until it is stopped. */
const CONTROL = `require('net').connect(+process.argv[2], process.argv[1]).on('data', (data) => process.stdout.write(data))`

interface Lab extends Topology {
  readonly service: Service
  /** Serves the control connections. */
  readonly server: Program
}

async function guarded(t: Test, callback: string): Promise<Lab> {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  const [server] = await Promise.all([
    start(lab.web, GREET, 21),
    serveHttp(lab.client, 5000),
    serveHttp(lab.client, 80),
    serveHttp(lab.victims, 5000),
  ])
  const service = await Service.start(lab.web, settings(callback))
  t.teardown(() => service.remove())
  return { ...lab, service, server }
}

/** Opens the control connections of a client, over IPv4 and IPv6. */
const controls = ({ client }: Lab): Promise<Program[]> =>
  Promise.all(HOSTS.map(([web]) => start(client, CONTROL, web, 21)))

/** Ends control connections, and waits until the server has closed its sockets. */
async function end({ server }: Lab, sessions: readonly Program[]): Promise<void> {
  const closed = () => server.stdout.split('closed').length - 1
  const before = closed()
  await Promise.all(sessions.map((each) => each.stop()))
  await server.until(() => closed() >= before + sessions.length || undefined)
}

/**
 * Opens data connections to a port of the client, over IPv4 and IPv6. @returns whether each succeeds
 * @param timeout milliseconds: while the service is dead, a blocked connection is not refused but times out
 */
async function callBack(lab: Lab, port = 5000, timeout = PATIENCE_MS): Promise<boolean[]> {
  const results = await Promise.all(HOSTS.map(([, client]) => connect(lab.web, client, port, { timeout })))
  return results.map(({ outcome }) => outcome === 'ok')
}

t.jobs = 3

t.test(
  'active data connections to a client pass during its session, and are blocked before and after it',
  async (t) => {
    const lab = await guarded(t, FTP)
    t.same(await callBack(lab), [false, false], 'before the session')
    const sessions = await controls(lab)
    t.same(await callBack(lab), [true, true], 'during the session')
    t.same(await callBack(lab, 80), [false, false], 'to another port')
    for (const host of [VICTIM.v4, VICTIM.v6])
      t.not((await connect(lab.web, host, 5000, { timeout: 500 })).outcome, 'ok', 'to another host')
    await end(lab, sessions)
    t.same(await callBack(lab), [false, false], 'after the session')
    for (const family of ['ipv4', 'ipv6'])
      t.equal(await lab.service.metric('packets_total', 'reason="callback"', `family="${family}"`), 1)
  },
)

t.test(
  'a session allows as many callbacks as the configuration says, and a new session as many again',
  async (t) => {
    const lab = await guarded(t, FTP)
    const first = await controls(lab)
    const calls = async () => [
      await callBack(lab),
      await callBack(lab),
      await callBack(lab),
      await callBack(lab),
    ]
    const threeOfFour = [
      [true, true],
      [true, true],
      [true, true],
      [false, false],
    ]
    t.same(await calls(), threeOfFour)
    await controls(lab)
    t.same(await calls(), threeOfFour, 'while both sessions live')
    await end(lab, first)
    t.same(await callBack(lab), [false, false])
  },
)

t.test(
  'callbacks pass when the kernel has forgotten the session, and after a restart of the service',
  async (t) => {
    const lab = await guarded(t, FTP)
    await controls(lab)
    await forget(lab.web)
    t.same(await callBack(lab), [true, true], 'when the kernel has forgotten the session')
    await lab.service.kill()
    t.same(await callBack(lab, 5000, 1000), [false, false], 'while the service is dead')
    await lab.service.launch()
    t.same(await callBack(lab), [true, true], 'after the restart')
  },
)

t.test('without tracking, callbacks pass during a session and are blocked before and after it', async (t) => {
  const lab = await guarded(t, FTP)
  await untrack(lab.web)
  t.same(await callBack(lab), [false, false], 'before the session')
  const sessions = await controls(lab)
  t.same(await callBack(lab), [true, true], 'during the session')
  await end(lab, sessions)
  t.same(await callBack(lab), [false, false], 'after the session')
})

t.test('a session on a service without callbacks allows no callback', async (t) => {
  const lab = await guarded(t, FTP)
  await start(lab.web, GREET, 22)
  await Promise.all(HOSTS.map(([web]) => start(lab.client, CONTROL, web, 22)))
  t.same(await callBack(lab), [false, false])
})

t.test('a UDP service may call its client back from another port, as TFTP does', async (t) => {
  const lab = await guarded(t, '{ service: 69, protocol: udp, ports: 1024-65535 }')
  const SERVE = `const { createSocket } = require('dgram')
const socket = createSocket('udp6')
socket.on('message', (_, from) => createSocket('udp6').send('block 1', from.port, from.address))
socket.bind(69, () => console.log('listening'))`
  const ASK = `const [host] = process.argv.slice(1)
const socket = require('dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4')
socket.on('message', (data) => {
  console.log(String(data))
  clearInterval(again)
})
// As TFTP does (RFC 1350): the kernel may tell of the client a moment after the service has answered.
const ask = () => socket.send('read', 69, host)
const again = setInterval(ask, 500)
ask()`
  await start(lab.web, SERVE)
  const answers = HOSTS.map(([web]) => begin(lab.client, ASK, web))
  // A client that sent its request again before the answer came gets two answers.
  await eventually('both are answered', () => answers.every(({ stdout }) => stdout.startsWith('block 1\n')))
  t.ok((await lab.service.metric('packets_total', 'reason="callback"', 'udp')) >= 2)
  const blocked = () => lab.service.metric('packets_total', 'not-allowlisted', 'udp')
  const before = await blocked()
  const SEND = `require('dgram').createSocket('udp4').send('unasked', 9000, '${VICTIM.v4}', () => console.log('sent'))`
  await start(lab.web, SEND)
  await eventually('the datagram is judged', async () => (await blocked()) > before)
  t.equal(await blocked(), before + 1, 'a datagram to another host is blocked')
})
