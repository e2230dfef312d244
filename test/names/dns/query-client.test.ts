import { Resolver } from 'node:dns/promises'
import type { Answer } from 'dns-packet'
import t, { type Test } from 'tap'
import type { Question } from '../../../src/core/dns/question.js'
import { confirm, lookup, lookupService } from '../../../src/names/dns/lookup.js'
import { ask } from '../../../src/names/dns/query-client.js'
import { NoConnection } from '../../../src/names/dns/tcp-resolver.js'
import { textOf } from '../addresses.js'
import { Clock } from '../clock.js'
import { A, AAAA, type Asked, a, aaaa, cname, framed, NXDOMAIN, response, SERVFAIL, srv } from './answers.js'
import { type Manner, TcpServer, until } from './tcp-server.js'

const NAME = 'mirror.example.org'
const SERVICE = '_http._tcp.mirror.example.org'

/** Replaces the servers of resolv.conf until the end of the test. UDP returns the answers of an attacker. */
function resolversAre(t: Test, ...servers: readonly (TcpServer | string)[]): void {
  const { getServers, resolve4, resolve6, resolveSrv } = Resolver.prototype
  Object.assign(Resolver.prototype, {
    getServers: () => servers.map((server) => (typeof server === 'string' ? server : server.name)),
    resolve4: async () => [{ address: '198.51.100.66', ttl: 60 }],
    resolve6: async () => [],
    resolveSrv: async () => [{ name: 'evil.example.net', port: 80 }],
  })
  t.teardown(() => Object.assign(Resolver.prototype, { getServers, resolve4, resolve6, resolveSrv }))
}

/** Answers each query with these records, with none, or with a failure. */
const answering =
  (answers: Partial<Record<number, readonly Answer[]>>, flags = 0): Manner =>
  (socket, questions) => {
    for (const question of questions)
      socket.write(framed(response(question as Asked, answers[question.type] ?? [], flags)))
  }

/** No program listens on port 1. */
const DEAD = '127.0.0.1:1'
const DEAD6 = '[::1]:1'

const GOOD = answering({ [A]: [a(NAME, '198.51.100.1', 30)], [AAAA]: [aaaa(NAME, '2001:db8::1', 20)] })
const texts = async () => (await lookup(NAME)).hosts.map(textOf)
const ofName = (server: TcpServer) => server.segments.map((questions) => questions.map(({ type }) => type))

t.test('both families are read over one connection, and the shorter TTL counts', async (t) => {
  const server = await TcpServer.start(t, GOOD)
  resolversAre(t, server)
  const { hosts, aliases, ttl } = await lookup(NAME)
  t.same([hosts.map(textOf), aliases, ttl], [['198.51.100.1', '2001:db8::1'], [], 20])
  t.same(ofName(server), [[A, AAAA]])
  const [four, six] = server.segments[0] as [Question, Question]
  t.not(four.id, six.id)
})

t.test('query ids cannot be predicted', async (t) => {
  const server = await TcpServer.start(t, GOOD)
  resolversAre(t, server)
  for (let times = 0; times < 10; times++) await lookup(NAME)
  t.ok(new Set(server.segments.map(([first]) => first!.id)).size > 5)
})

t.test('aliases are followed and returned, and their TTL counts', async (t) => {
  const way = [cname(NAME, 'cdn.example.net', 5), cname('cdn.example.net', 'edge.example.net', 300)]
  const server = await TcpServer.start(
    t,
    answering({
      [A]: [...way, a('edge.example.net', '198.51.100.1'), a('x.example', '198.51.100.66')],
      [AAAA]: way,
    }),
  )
  resolversAre(t, server)
  const { hosts, aliases, ttl } = await confirm(NAME)
  t.same([hosts.map(textOf), aliases, ttl], [['198.51.100.1'], ['cdn.example.net', 'edge.example.net'], 5])
})

t.test('when a name does not exist or has no address, no other resolver is asked', async (t) => {
  const other = await TcpServer.start(t, GOOD)
  for (const manner of [answering({}, NXDOMAIN), answering({})]) {
    resolversAre(t, await TcpServer.start(t, manner), other)
    await t.rejects(lookup(NAME), { message: 'it has no address' })
    t.same(await lookupService(SERVICE), { targets: [], ttl: 300 })
  }
  t.same(other.segments, [])
})

t.test('when a resolver answers with a failure, the next one is asked', async (t) => {
  const TC = 0x200
  const failing: Record<string, Manner> = {
    SERVFAIL: answering({}, SERVFAIL),
    REFUSED: answering({}, 5),
    'cut off': answering({ [A]: [a(NAME, '198.51.100.66')] }, TC),
    garbage: (socket) => socket.write(framed(Buffer.from('garbage'))),
    'a close': (socket) => socket.end(),
    'too many records': answering({ [A]: Array.from({ length: 300 }, () => a(NAME, '198.51.100.66')) }),
  }
  for (const [title, manner] of Object.entries(failing)) {
    const [first, second] = [await TcpServer.start(t, manner), await TcpServer.start(t, GOOD)]
    resolversAre(t, first, second)
    t.same(await texts(), ['198.51.100.1', '2001:db8::1'], title)
    t.ok(first.segments.length > 0)
  }
})

t.test('when a resolver is unreachable or silent, the next one is asked', async (t) => {
  const good = await TcpServer.start(t, GOOD)
  resolversAre(t, DEAD, good)
  t.same(await texts(), ['198.51.100.1', '2001:db8::1'])

  const clock = Clock.install(t)
  const silent = await TcpServer.start(t, () => {})
  resolversAre(t, silent, good)
  const found = texts()
  await until('the first resolver is asked', () => silent.segments.length === 1)
  await clock.pass(2000)
  t.same(await found, ['198.51.100.1', '2001:db8::1'])
})

t.test('at most three resolvers are asked, as in the C library', async (t) => {
  const good = await TcpServer.start(t, GOOD)
  const failing = await TcpServer.start(t, answering({}, SERVFAIL))
  resolversAre(t, failing, failing, failing, good)
  await t.rejects(lookup(NAME))
  t.same([failing.segments.length, good.segments.length], [3, 0])
})

t.test('the error has the failure of each resolver', async (t) => {
  const failing = await TcpServer.start(t, answering({}, SERVFAIL))
  const closing = await TcpServer.start(t, (socket) => socket.end())
  resolversAre(t, failing, closing, DEAD)
  await t.rejects(lookup(NAME), {
    message: [
      `${failing.name}: it answers SERVFAIL`,
      `${closing.name}: it closed the connection without an answer`,
      `${DEAD}: it takes no TCP connection (ECONNREFUSED)`,
    ].join('; '),
  })
})

t.test('UDP is used only when no resolver accepts TCP, and never for confirmations', async (t) => {
  const failing = await TcpServer.start(t, answering({}, SERVFAIL))
  resolversAre(t, DEAD, failing)
  await t.rejects(lookup(NAME), /SERVFAIL/, 'one resolver accepts TCP')
  await t.rejects(lookupService(SERVICE), /SERVFAIL/)

  resolversAre(t, DEAD, DEAD6)
  t.same(await texts(), ['198.51.100.66'])
  t.same((await lookupService(SERVICE)).targets, [{ name: 'evil.example.net', port: 80 }])
  t.ok((await confirm(NAME).catch((error) => error)) instanceof NoConnection)
  resolversAre(t)
  await t.rejects(ask(NAME, ['A']), { message: 'there is no resolver' })
})

t.test('when one family fails, the other one is used', async (t) => {
  const server = await TcpServer.start(t, (socket, questions) => {
    for (const question of questions)
      socket.write(
        framed(
          question.type === AAAA
            ? response(question as Asked, [], SERVFAIL)
            : response(question as Asked, [a(NAME, '198.51.100.1')]),
        ),
      )
  })
  resolversAre(t, server)
  t.same(await texts(), ['198.51.100.1'])
})

t.test('a service is kept for the TTL of its answer', async (t) => {
  const server = await TcpServer.start(t, answering({ 33: [srv(SERVICE, NAME, 8080, 17)] }))
  resolversAre(t, server)
  t.same(await lookupService(SERVICE), { targets: [{ name: NAME, port: 8080 }], ttl: 17 })
})
