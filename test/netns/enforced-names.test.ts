import t from 'tap'
import { lookUp, serveDnsmasq } from '../lab/dnsmasq.js'
import type { Namespace } from '../lab/namespace.js'
import type { Program } from '../lab/program.js'
import { MIRROR, VICTIM, WEB } from '../lab/topology.js'
import { connect, sendUdp } from '../lab/traffic.js'
import { framed, RECORDS, SETTINGS, TUNNEL } from './enforced-names.js'
import { compile } from './programs.js'
import { createLab, datagrams, guard, NAME, query } from './resolving.js'
import { eventually, NODE, PATIENCE_MS } from './service.js'
import { untrack } from './tracking.js'

/** SPEAK HOST CHUNK...: sends each chunk (hexadecimal) in a segment of its own on one connection to port 53. */
const SPEAK = `const [host, ...chunks] = process.argv.slice(1)
const socket = require('net').connect({ host, port: 53, noDelay: true }, async () => {
  console.log('connected')
  for (const chunk of chunks) {
    await new Promise((resolve) => socket.write(Buffer.from(chunk, 'hex'), resolve))
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  console.log('said')
})
socket.on('error', () => {})
setInterval(() => {}, 1000)`

t.jobs = 3

t.test('no question for a name outside the allowlist arrives at the resolver', async (t) => {
  const lab = await createLab(t)
  const dns = await serveDnsmasq(lab.mirror, RECORDS)
  const service = await guard(t, lab, SETTINGS)
  await service.launch()
  const tunnelled = () => dns.queries().filter((name) => name.endsWith('.example.net'))
  /** Goes on trying until the end of the test. */
  const speak = async (...chunks: Buffer[]) => {
    const words = chunks.map((chunk) => chunk.toString('hex'))
    const speaker = lab.web.spawn([...NODE, '-e', SPEAK, MIRROR.v4, ...words])
    await speaker.until(() => speaker.stdout.includes('said') || undefined)
    return speaker
  }

  const plan = { count: 5, port: 80, way: 'getaddrinfo' } as const
  t.match(await lookUp(lab.web, { ...plan, name: `*.${TUNNEL}` }), { answered: 0 }, 'by the C library')
  t.match(
    await lookUp(lab.web, { ...plan, name: `*.${TUNNEL}`, way: 'resolver' }),
    { answered: 0 },
    'by another',
  )

  const [good, evil] = [query(NAME), query(`secret.${TUNNEL}`)]
  const splits = [1, 2, 3, 20].map((at) => [framed(evil).subarray(0, at), framed(evil).subarray(at)])
  const [{ stdout }] = (await Promise.all([
    speak(framed(evil)),
    speak(framed(good, evil)),
    speak(framed(good), framed(evil)),
    ...splits.map((chunks) => speak(...chunks)),
  ])) as unknown as [Program]
  t.match(stdout, 'connected', 'TCP to the resolver is possible')
  const gso = compile('gso')
  await lab.web.run([gso, MIRROR.v4, '53', swallowing(good, evil).toString('hex'), String(good.length + 11)])
  const blocked = () => service.metric('packets_total', 'reason="name-not-allowed"')
  await eventually('all were judged', async () => (await blocked()) >= 20)
  t.same(tunnelled(), [], 'nothing has arrived')

  const before = dns.queries().length
  await speak(framed(good))
  await lab.web.run([gso, MIRROR.v4, '53', good.toString('hex'), String(good.length)])
  await eventually(
    'the same ways are open to an allowed name',
    async () => dns.queries().length >= before + 2,
  )
  t.match(await lookUp(lab.web, { ...plan, name: NAME }), { connected: 5 }, 'and its addresses are reached')

  t.same(tunnelled(), [], 'nor has it meanwhile')
  t.ok((await blocked()) >= 10)
  t.match(service.log()[0], {
    'event.reason': 'name-not-allowed',
    'destination.port': 53,
    'dns.question.name': /^1\.tunnel\.example\.net$/,
    message: /port 53 \(name-not-allowed: 1\.tunnel\.example\.net\)/,
  })
})

/** REPLY PORT DATA: answers each datagram that comes to a service with this. */
const REPLY = `const socket = require('dgram').createSocket('udp4')
socket.on('message', (_, { address, port }) =>
  socket.send(Buffer.from(process.argv[2], 'hex'), port, address, () => console.log('replied')))
socket.bind(+process.argv[1], () => console.log('listening'))`

t.test('the service asks for what is allowed over TCP, and leaves no connection behind', async (t) => {
  const lab = await createLab(t)
  const dns = await serveDnsmasq(lab.mirror, RECORDS)
  const service = await guard(t, lab, SETTINGS)
  await service.launch()
  await eventually('it has asked again', async () => dns.questions().length >= 4)
  const asked = dns.questions().map(({ name, type, transport }) => `${name} ${type} ${transport}`)
  t.same(new Set(asked), new Set([`${NAME} A tcp`, `${NAME} AAAA tcp`]))
  t.equal(await service.metric('packets_total', 'reason="name-not-allowed"'), 0)
  t.equal(await service.metric('mirror_resolve_failures_total'), 0)
  /** Connections to the resolver at one end, TIME_WAIT among them. */
  const left = async (place: Namespace) => {
    const lines = (await place.run(['ss', '-Htan'])).stdout.split('\n')
    return lines.filter((line) => /:53\s/.test(line) && !line.startsWith('LISTEN'))
  }
  // Another question may be under way.
  await eventually('its end has none', async () => (await left(lab.web)).length === 0)
  await eventually('nor has the resolver', async () => (await left(lab.mirror)).length === 0)
})

t.test('a resolver that seems to be a client of a service here is asked nothing either', async (t) => {
  const lab = await createLab(t)
  const dns = await serveDnsmasq(lab.mirror, RECORDS)
  const service = await guard(t, lab, SETTINGS)
  const reply = lab.web.spawn([...NODE, '-e', REPLY, '443', query(`secret.${TUNNEL}`).toString('hex')])
  await reply.until(() => reply.stdout || undefined)
  await service.launch()
  for (let times = 0; times < 3; times++)
    await datagrams(lab.victims, {
      ...{ from: MIRROR.v4, port: 53, to: WEB.mirror.v4, toPort: 443, messages: ['00'], wait: 0 },
    }).exited
  await reply.until(() => reply.stdout.split('replied').length > 3 || undefined)
  await eventually(
    'all were judged',
    async () => (await service.metric('packets_total', 'verdict="block"')) >= 3,
  )
  t.same(
    dns.queries().filter((name) => name !== NAME),
    [],
  )
})

t.test('on a host that tracks no connections names are enforced, and mirrors are reached', async (t) => {
  const lab = await createLab(t)
  await untrack(lab.web)
  const dns = await serveDnsmasq(lab.mirror, RECORDS)
  const service = await guard(t, lab, SETTINGS.replace('{ ', '{ resolve: false, holdTime: 5s, '))
  await service.launch()
  const plan = { count: 3, port: 80, way: 'getaddrinfo' } as const
  t.match(await lookUp(lab.web, { ...plan, name: `*.${TUNNEL}` }), { answered: 0 })
  t.match(await lookUp(lab.web, { ...plan, name: NAME }), { connected: 3 })
  t.same(new Set(dns.queries()), new Set([NAME]))
})

/** A good query whose OPT record has the rest of the datagram for its data: the kernel may cut it off as a datagram of its own. */
function swallowing(good: Buffer, evil: Buffer): Buffer {
  const whole = Buffer.concat([good, Buffer.from([0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 0]), evil])
  whole.writeUInt16BE(1, 10)
  whole.writeUInt16BE(evil.length, good.length + 9)
  return whole
}

t.test('other ways to ask are closed: another server, DNS over TLS and HTTPS', async (t) => {
  const lab = await createLab(t)
  await serveDnsmasq(lab.mirror, RECORDS)
  const dns = await serveDnsmasq(lab.victims, RECORDS)
  const service = await guard(t, lab, SETTINGS)
  await service.launch()
  await sendUdp(lab.web, VICTIM.v4, 53, 3)
  for (const [host, port] of [
    [VICTIM.v4, 53],
    [MIRROR.v4, 853],
    [MIRROR.v4, 443],
    [VICTIM.v4, 853],
  ] as const)
    t.equal((await connect(lab.web, host, port)).outcome, 'EHOSTUNREACH', `${host}:${port}`)
  t.same(dns.queries(), [])
})

t.test('search domains and names of addresses may be asked for as the configuration says', async (t) => {
  const lab = await createLab(t)
  await lab.web.file(
    '/etc/resolv.conf',
    `nameserver ${MIRROR.v4}\nsearch corp.example.org\noptions timeout:1 attempts:5\n`,
  )
  const dns = await serveDnsmasq(lab.mirror, RECORDS)
  const service = await guard(t, lab, SETTINGS)
  await service.launch()
  const reverse = '9.113.0.203.in-addr.arpa'
  const ask = async (...names: string[]) => {
    const before = dns.queries().length
    for (const name of names) await lab.web.run([...NODE, '-e', ASK, MIRROR.v4, query(name).toString('hex')])
    // The service itself asks for the mirror.
    return new Set(
      dns
        .queries()
        .slice(before)
        .filter((name) => name !== NAME),
    )
  }
  const all = [reverse, `${NAME}.corp.example.org`, 'other.corp.example.org', 'corp.example.org']
  t.same(await ask(...all), new Set([`${NAME}.corp.example.org`]))
  await service.reload(
    `mode: enforce\ndns: { enforceNames: true, searchDomains: false, reverse: true }\nmirrors: { hosts: [${NAME}] }\n`,
  )
  t.same(await ask(...all), new Set([reverse]))
})

/** ASK HOST QUERY: sends a datagram, and waits a little for the answer. */
const ASK = `const socket = require('dgram').createSocket('udp4')
socket.on('message', () => socket.close())
socket.send(Buffer.from(process.argv[2], 'hex'), 53, process.argv[1], () => setTimeout(() => process.exit(), 300))`

/** A name server that says everything back. */
const SERVE = `const socket = require('dgram').createSocket('udp4')
socket.on('message', (message, { port, address }) => {
  message[2] |= 0x80
  socket.send(message, port, address)
})
socket.bind(53, () => console.log('listening'))`

t.test(
  "this host's own name server answers the resolver's host, and nobody speaks to it unasked",
  async (t) => {
    const lab = await createLab(t)
    const service = await guard(t, lab, SETTINGS.replace('{ ', '{ resolve: false, '))
    const server = lab.web.spawn([...NODE, '-e', SERVE])
    await server.until(() => server.stdout || undefined)
    await service.launch()
    const messages = Array.from({ length: 20 }, (_, id) => query('www.example.org', id).toString('hex'))
    const ask = datagrams(lab.mirror, {
      ...{
        from: MIRROR.v4,
        port: 53,
        to: WEB.mirror.v4,
        toPort: 53,
        messages,
        wait: PATIENCE_MS,
        enough: 20,
      },
    })
    await ask.exited
    t.equal(ask.results.filter((each) => 'data' in each).length, 20)

    const heard = datagrams(lab.mirror, {
      ...{ from: MIRROR.v4, port: 53, to: '127.0.0.1', toPort: 9, messages: [], wait: PATIENCE_MS },
    })
    await heard.result('sent')
    const response = query(`secret.${TUNNEL}`)
    response[2]! |= 0x80
    const block = async () => (await service.metric('packets_total', 'verdict="block"')) > blocks
    const blocks = await service.metric('packets_total', 'verdict="block"')
    await lab.web.run([...NODE, '-e', ASK, MIRROR.v4, response.toString('hex')])
    await eventually('it is blocked', block)
    await heard.stop()
    t.equal(heard.results.filter((each) => 'data' in each).length, 0)
  },
)

t.test('no other name server is spoken to by seeming to answer it', async (t) => {
  const lab = await createLab(t)
  const service = await guard(t, lab, '')
  const reply = lab.web.spawn([...NODE, '-e', REPLY, '40000', query(`secret.${TUNNEL}`).toString('hex')])
  await reply.until(() => reply.stdout || undefined)
  await service.launch()
  const blocks = () => service.metric('packets_total', 'verdict="block"')
  /** What comes back to somebody who sends from port 53, unless it is blocked. */
  const heard = async () => {
    const before = await blocks()
    const asking = datagrams(lab.victims, {
      ...{ from: VICTIM.v4, port: 53, to: WEB.victims.v4, toPort: 40_000, messages: ['00'] },
      ...{ wait: 2 * PATIENCE_MS, enough: 1 },
    })
    await eventually('it is told', async () => !asking.running || (await blocks()) > before)
    await asking.stop()
    return asking.results.filter((each) => 'data' in each).length
  }
  t.equal(await heard(), 1, 'whoever comes in is answered')
  await service.reload(`mode: enforce\n${SETTINGS}`)
  t.equal(await heard(), 0, 'but not from there, where names are enforced')
})
