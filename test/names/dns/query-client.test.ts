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

/** Puts servers in the place of those of resolv.conf, until the end of the test. UDP has answers of an attacker. */
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

/** Answers each question with these records, or with nothing; or with a failure. */
const answering =
  (answers: Partial<Record<number, readonly Answer[]>>, flags = 0): Manner =>
  (socket, questions) => {
    for (const question of questions)
      socket.write(framed(response(question as Asked, answers[question.type] ?? [], flags)))
  }

/** Nobody listens on port 1. */
const DEAD = '127.0.0.1:1'
const DEAD6 = '[::1]:1'

const GOOD = answering({ [A]: [a(NAME, '198.51.100.1', 30)], [AAAA]: [aaaa(NAME, '2001:db8::1', 20)] })
const texts = async () => (await lookup(NAME)).hosts.map(textOf)
const ofName = (server: TcpServer) => server.segments.map((questions) => questions.map(({ type }) => type))

t.test('both families come by one connection, with the shorter time', async (t) => {
  const server = await TcpServer.start(t, GOOD)
  resolversAre(t, server)
  const { hosts, aliases, ttl } = await lookup(NAME)
  t.same([hosts.map(textOf), aliases, ttl], [['198.51.100.1', '2001:db8::1'], [], 20])
  t.same(ofName(server), [[A, AAAA]])
  const [four, six] = server.segments[0] as [Question, Question]
  t.not(four.id, six.id)
})

t.test('numbers of questions are not foreseen', async (t) => {
  const server = await TcpServer.start(t, GOOD)
  resolversAre(t, server)
  for (let times = 0; times < 10; times++) await lookup(NAME)
  t.ok(new Set(server.segments.map(([first]) => first!.id)).size > 5)
})

t.test('aliases are followed, told, and count for the time', async (t) => {
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

t.test('that a name does not exist, or has no address, is final: no other resolver is asked', async (t) => {
  const other = await TcpServer.start(t, GOOD)
  for (const manner of [answering({}, NXDOMAIN), answering({})]) {
    resolversAre(t, await TcpServer.start(t, manner), other)
    await t.rejects(lookup(NAME), { message: 'it has no address' })
    t.same(await lookupService(SERVICE), { targets: [], ttl: 300 })
  }
  t.same(other.segments, [])
})

t.test('a resolver that fails leaves it to the next', async (t) => {
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

t.test('a resolver that is dead, or silent, leaves it to the next', async (t) => {
  const good = await TcpServer.start(t, GOOD)
  resolversAre(t, DEAD, good)
  t.same(await texts(), ['198.51.100.1', '2001:db8::1'])

  const clock = Clock.install(t)
  const silent = await TcpServer.start(t, () => {})
  resolversAre(t, silent, good)
  const found = texts()
  await until('the first is asked', () => silent.segments.length === 1)
  await clock.pass(2000)
  t.same(await found, ['198.51.100.1', '2001:db8::1'])
})

t.test('not more than three are asked, as by the C library', async (t) => {
  const good = await TcpServer.start(t, GOOD)
  const failing = await TcpServer.start(t, answering({}, SERVFAIL))
  resolversAre(t, failing, failing, failing, good)
  await t.rejects(lookup(NAME))
  t.same([failing.segments.length, good.segments.length], [3, 0])
})

t.test('the operator is told what each resolver did', async (t) => {
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

t.test('UDP is for where no resolver takes TCP, and never for confirmations', async (t) => {
  const failing = await TcpServer.start(t, answering({}, SERVFAIL))
  resolversAre(t, DEAD, failing)
  await t.rejects(lookup(NAME), /SERVFAIL/, 'one of them does')
  await t.rejects(lookupService(SERVICE), /SERVFAIL/)

  resolversAre(t, DEAD, DEAD6)
  t.same(await texts(), ['198.51.100.66'])
  t.same((await lookupService(SERVICE)).targets, [{ name: 'evil.example.net', port: 80 }])
  t.ok((await confirm(NAME).catch((error) => error)) instanceof NoConnection)
  resolversAre(t)
  await t.rejects(ask(NAME, ['A']), { message: 'there is no resolver' })
})

t.test('one family that fails leaves the other', async (t) => {
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

t.test('a service is kept for as long as its answer says', async (t) => {
  const server = await TcpServer.start(t, answering({ 33: [srv(SERVICE, NAME, 8080, 17)] }))
  resolversAre(t, server)
  t.same(await lookupService(SERVICE), { targets: [{ name: NAME, port: 8080 }], ttl: 17 })
})
