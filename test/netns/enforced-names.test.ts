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

/**
 * SEND_CHUNKS HOST CHUNK...: sends each chunk (hexadecimal) in a segment of its own on one connection to port
 * 53.
 */
const SEND_CHUNKS = `const [host, ...chunks] = process.argv.slice(1)
const socket = require('net').connect({ host, port: 53, noDelay: true }, async () => {
  console.log('connected')
  for (const chunk of chunks) {
    await new Promise((resolve) => socket.write(Buffer.from(chunk, 'hex'), resolve))
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  console.log('said')
})
socket.on('error', ({ code }) => console.log(code))
setInterval(() => {}, 1000)`

t.jobs = 3

t.test('no DNS query for a name outside the allowlist arrives at the resolver', async (t) => {
  const lab = await createLab(t)
  const dns = await serveDnsmasq(lab.mirror, RECORDS)
  const service = await guard(t, lab, SETTINGS)
  await service.launch()
  const tunnelled = () => dns.queries().filter((name) => name.endsWith('.example.net'))
  /** Starts a client that sends the chunks. It runs on: the kernel sends blocked segments again. */
  const sendChunks = async (...chunks: Buffer[]) => {
    const words = chunks.map((chunk) => chunk.toString('hex'))
    const sender = lab.web.spawn([...NODE, '-e', SEND_CHUNKS, MIRROR.v4, ...words])
    await sender.until(() => sender.stdout.includes('said') || undefined)
    return sender
  }

  const plan = { count: 5, port: 80, way: 'getaddrinfo' } as const
  t.match(
    await lookUp(lab.web, { ...plan, name: `*.${TUNNEL}` }),
    { answered: 0 },
    'the C library gets no answer',
  )
  t.match(
    await lookUp(lab.web, { ...plan, name: `*.${TUNNEL}`, way: 'resolver' }),
    { answered: 0 },
    "Node's own resolver library gets no answer",
  )

  const [good, evil] = [query(NAME), query(`secret.${TUNNEL}`)]
  const splits = [1, 2, 3, 20].map((at) => [framed(evil).subarray(0, at), framed(evil).subarray(at)])
  const [{ stdout }] = (await Promise.all([
    sendChunks(framed(evil)),
    sendChunks(framed(good, evil)),
    sendChunks(framed(good), framed(evil)),
    ...splits.map((chunks) => sendChunks(...chunks)),
  ])) as unknown as [Program]
  t.match(stdout, 'connected', 'a TCP connection to the resolver is possible')
  const gso = compile('gso')
  await lab.web.run([gso, MIRROR.v4, '53', swallowing(good, evil).toString('hex'), String(good.length + 11)])
  const blocked = () => service.metric('packets_total', 'reason="name-not-allowed"')
  await eventually('all queries were judged', async () => (await blocked()) >= 10)
  t.same(tunnelled(), [], 'no query has arrived')

  const before = dns.queries().length
  await sendChunks(framed(good))
  await lab.web.run([gso, MIRROR.v4, '53', good.toString('hex'), String(good.length)])
  await eventually(
    'queries for an allowed name arrive in the same ways',
    async () => dns.queries().length >= before + 2,
  )
  t.match(
    await lookUp(lab.web, { ...plan, name: NAME }),
    { connected: 5 },
    'the addresses of the allowed name are reached',
  )

  t.same(tunnelled(), [], 'no blocked query has arrived meanwhile')
  t.ok((await blocked()) >= 10)
  t.match(service.log()[0], {
    'event.reason': 'name-not-allowed',
    'destination.port': 53,
    'dns.question.name': /^1\.tunnel\.example\.net$/,
    message: /port 53 \(name-not-allowed: 1\.tunnel\.example\.net\)/,
  })
})

t.test(
  'a blocked query over TCP ends its connection at both ends, and takes no place at the resolver',
  async (t) => {
    const lab = await createLab(t)
    await serveDnsmasq(lab.mirror, RECORDS)
    const service = await guard(t, lab, SETTINGS.replace('{ ', '{ resolve: false, '))
    await service.launch()
    const evil = framed(query(`secret.${TUNNEL}`)).toString('hex')
    const connections = async (place: Namespace) => {
      const { stdout } = await place.run([
        'ss',
        '-Htan',
        'exclude',
        'time-wait',
        'exclude',
        'listening',
        'sport',
        '=',
        ':53',
      ])
      return stdout.split('\n').filter((line) => line !== '').length
    }
    // dnsmasq serves 20 connections at once.
    const senders = Array.from({ length: 30 }, () =>
      lab.web.spawn([...NODE, '-e', SEND_CHUNKS, MIRROR.v4, evil]),
    )
    for (const sender of senders)
      await eventually('the program sees the end', () => sender.stdout.includes('ECONNABORTED'))
    await eventually('the resolver has no connection left', async () => (await connections(lab.mirror)) === 0)
    for (const sender of senders) await sender.stop()
    t.ok((await service.metric('packets_total', 'reason="name-not-allowed"')) >= 30, 'each was blocked')
  },
)

/** RESOLVE HOST NAME: prints the code of the error with which Node's resolver fails. */
const RESOLVE = `const [host, name] = process.argv.slice(1)
const resolver = new (require('dns').promises.Resolver)({ tries: 1, timeout: 60000 })
resolver.setServers([host.includes(':') ? '[' + host + ']' : host])
resolver.resolve4(name).catch(({ code }) => console.log(code))`

t.test('a blocked query is answered REFUSED, and with `block: drop` not at all', async (t) => {
  const lab = await createLab(t)
  await lab.web.file('/etc/resolv.conf', `nameserver ${MIRROR.v4}\nnameserver ${MIRROR.v6}\n`)
  const dns = await serveDnsmasq(lab.mirror, RECORDS)
  const service = await guard(t, lab, SETTINGS)
  await service.launch()
  const resolve = async (host: string) => lab.web.run([...NODE, '-e', RESOLVE, host, `secret.${TUNNEL}`])
  for (const host of [MIRROR.v4, MIRROR.v6]) t.equal((await resolve(host)).stdout, 'EREFUSED\n', host)
  t.match(service.log()[0], { 'event.reason': 'name-not-allowed', 'dns.question.name': `secret.${TUNNEL}` })
  t.notOk(dns.queries().includes(`secret.${TUNNEL}`))
  await service.reload(`mode: enforce\nblock: drop\n${SETTINGS}`)
  const before = await service.blocks()
  const waiting = lab.web.spawn([...NODE, '-e', RESOLVE, MIRROR.v4, `other.${TUNNEL}`])
  await eventually('it is blocked', async () => (await service.blocks()) > before)
  t.equal(waiting.stdout, '')
  await waiting.stop()
})

/** REPLY PORT DATA: serves a UDP port, and answers each datagram with DATA (hexadecimal). */
const REPLY = `const socket = require('dgram').createSocket('udp4')
socket.on('message', (_, { address, port }) =>
  socket.send(Buffer.from(process.argv[2], 'hex'), port, address, () => console.log('replied')))
socket.bind(+process.argv[1], () => console.log('listening'))`

t.test('the service looks up allowed names over TCP, and leaves no connection behind', async (t) => {
  const lab = await createLab(t)
  const dns = await serveDnsmasq(lab.mirror, RECORDS)
  const service = await guard(t, lab, SETTINGS)
  await service.launch()
  await eventually('the service has looked the name up again', async () => dns.questions().length >= 4)
  const asked = dns.questions().map(({ name, type, transport }) => `${name} ${type} ${transport}`)
  t.same(new Set(asked), new Set([`${NAME} A tcp`, `${NAME} AAAA tcp`]))
  t.equal(await service.metric('packets_total', 'reason="name-not-allowed"'), 0)
  t.equal(await service.metric('mirror_resolve_failures_total'), 0)
  /** Returns the connections to the resolver at one end, those in TIME_WAIT among them. */
  const left = async (place: Namespace) => {
    const lines = (await place.run(['ss', '-Htan'])).stdout.split('\n')
    return lines.filter((line) => /:53\s/.test(line) && !line.startsWith('LISTEN'))
  }
  // Another look-up may be in progress.
  await eventually('this host has no connection left', async () => (await left(lab.web)).length === 0)
  await eventually('the resolver has no connection left', async () => (await left(lab.mirror)).length === 0)
})

t.test('a reply to a client that uses the address of the resolver carries no query to it', async (t) => {
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
  await eventually('all replies were judged', async () => (await service.blocks()) >= 3)
  t.same(
    dns.queries().filter((name) => name !== NAME),
    [],
  )
})

t.test('on a host without connection tracking, names are enforced and mirrors are reached', async (t) => {
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

/**
 * Returns an allowed query whose OPT record contains a second query as data. The kernel may cut that off as a
 * datagram of its own.
 */
function swallowing(good: Buffer, evil: Buffer): Buffer {
  const whole = Buffer.concat([good, Buffer.from([0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 0]), evil])
  whole.writeUInt16BE(1, 10)
  whole.writeUInt16BE(evil.length, good.length + 9)
  return whole
}

t.test('queries to another server, and DNS over TLS or HTTPS to the resolver, are blocked', async (t) => {
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
    t.equal((await connect(lab.web, host, port)).outcome, 'ECONNREFUSED', `${host}:${port}`)
  t.same(dns.queries(), [])
})

t.test('names below search domains and reverse names are allowed as the configuration says', async (t) => {
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
    // The service itself looks up the mirror.
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

/** ASK HOST QUERY: sends the query as a datagram, and waits 300 ms for the answer. */
const ASK = `const socket = require('dgram').createSocket('udp4')
socket.on('message', () => socket.close())
socket.send(Buffer.from(process.argv[2], 'hex'), 53, process.argv[1], () => setTimeout(() => process.exit(), 300))`

/** SERVE: a name server that returns each query as its answer. */
const SERVE = `const socket = require('dgram').createSocket('udp4')
socket.on('message', (message, { port, address }) => {
  message[2] |= 0x80
  socket.send(message, port, address)
})
socket.bind(53, () => console.log('listening'))`

t.test(
  "a name server on this host answers the resolver's host; a response without a query does not arrive there",
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
    const block = async () => (await service.blocks()) > blocks
    const blocks = await service.blocks()
    await lab.web.run([...NODE, '-e', ASK, MIRROR.v4, response.toString('hex')])
    await eventually('the response is blocked', block)
    await heard.stop()
    t.equal(heard.results.filter((each) => 'data' in each).length, 0)
  },
)

t.test('where names are enforced, a host that sends from port 53 gets no answer', async (t) => {
  const lab = await createLab(t)
  const service = await guard(t, lab, '')
  const reply = lab.web.spawn([...NODE, '-e', REPLY, '40000', query(`secret.${TUNNEL}`).toString('hex')])
  await reply.until(() => reply.stdout || undefined)
  await service.launch()
  const blocks = () => service.blocks()
  /** Counts the answers to a host that sends from port 53; 0 when they are blocked. */
  const heard = async () => {
    const before = await blocks()
    const asking = datagrams(lab.victims, {
      ...{ from: VICTIM.v4, port: 53, to: WEB.victims.v4, toPort: 40_000, messages: ['00'] },
      ...{ wait: 2 * PATIENCE_MS, enough: 1 },
    })
    await eventually(
      'the answer has arrived or is blocked',
      async () => !asking.running || (await blocks()) > before,
    )
    await asking.stop()
    return asking.results.filter((each) => 'data' in each).length
  }
  t.equal(await heard(), 1, 'a client at port 53 is answered where names are not enforced')
  await service.reload(`mode: enforce\n${SETTINGS}`)
  t.equal(await heard(), 0, 'a client at port 53 is not answered where names are enforced')
})
