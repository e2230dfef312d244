import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { promisify } from 'node:util'
import type { Answer } from 'dns-packet'
import t, { type Test } from 'tap'
import type { Question } from '../../../src/core/dns/question.js'
import { type Answers, NoConnection, TcpResolver } from '../../../src/names/dns/tcp-resolver.js'
import { Clock } from '../clock.js'
import {
  A,
  AAAA,
  type Asked,
  a,
  aaaa,
  asked,
  framed,
  query,
  questionOf,
  response,
  SRV,
  srv,
} from './answers.js'
import { type Manner, TcpServer, until } from './tcp-server.js'

const NAME = 'mirror.example.org'
const SERVICE = '_http._tcp.mirror.example.org'
const FOUR = questionOf(asked(NAME, A, 1))
const SIX = questionOf(asked(NAME, AAAA, 2))
const BOTH = [FOUR, SIX]

const RECORDS: Record<number, Answer> = {
  [A]: a(NAME, '198.51.100.1'),
  [AAAA]: aaaa(NAME, '2001:db8::1'),
  [SRV]: srv(SERVICE, NAME),
}
const answerTo = (question: Question) => response(question as Asked, [RECORDS[question.type]!])
const answersTo = (questions: readonly Question[]) =>
  Buffer.concat(questions.map((question) => framed(answerTo(question))))

const honest: Manner = (socket, questions) => socket.write(answersTo(questions))
/** Sends bytes, and leaves the connection open. */
const sending =
  (bytes: Buffer): Manner =>
  (socket) =>
    socket.write(bytes)

const ask = (server: TcpServer, questions: readonly Question[] = BOTH) =>
  new TcpResolver(server.name).ask(questions)
const isAnswered = (t: Test, answers: Answers, questions: readonly Question[] = BOTH) =>
  t.same(new Map(answers), new Map(questions.map((question) => [question, answerTo(question)])))

t.test('all queries are sent in one segment, and their answers arrive in any order', async (t) => {
  const server = await TcpServer.start(t, (socket, questions) => {
    socket.write(answersTo([...questions].reverse()))
  })
  isAnswered(t, await ask(server))
  t.same(server.segments, [BOTH])
})

t.test('a service is looked up, and a resolver is reached over IPv6', async (t) => {
  const server = await TcpServer.start(t, honest, '::1')
  const question = questionOf(asked(SERVICE, SRV, 0xffff))
  isAnswered(t, await ask(server, [question]), [question])
})

t.test('an answer that arrives byte by byte is assembled', async (t) => {
  const server = await TcpServer.start(t, async (socket, questions) => {
    for (const byte of answersTo(questions)) {
      socket.write(Buffer.from([byte]))
      await new Promise((resolve) => setImmediate(resolve))
    }
  })
  isAnswered(t, await ask(server))
})

t.test(
  'when a resolver answers one query per connection, the rest is sent on another connection',
  async (t) => {
    const server = await TcpServer.start(t, (socket, [first]) => socket.end(answersTo([first!])))
    isAnswered(t, await ask(server))
    t.same(server.segments, [BOTH, [SIX]])
  },
)

t.test('answers that have arrived count, even when the rest fails', async (t) => {
  for (const rest of [Buffer.alloc(0), framed(Buffer.from('garbage'))]) {
    const server = await TcpServer.start(t, (socket, questions) => {
      socket.end(Buffer.concat([answersTo(questions.filter(({ type }) => type === A)), rest]))
    })
    isAnswered(t, await ask(server), [FOUR])
    t.equal(server.segments.length, 2, 'the resolver is asked twice, not more often')
  }
})

t.test('an answer to another query is refused, and the error describes it', async (t) => {
  const wrong = (change: Partial<Question>) => framed(answerTo({ ...FOUR, ...change }))
  const no = 'what it sent is no answer to the question'
  const cases: Record<string, readonly [bytes: Buffer, message: string]> = {
    'another number': [wrong({ id: 3 }), no],
    'the number of the other question': [wrong({ id: SIX.id }), no],
    'another name': [wrong({ name: 'other.example.org' }), no],
    'another type': [wrong({ type: AAAA }), no],
    'a question': [framed(query(asked(NAME, A, 1))), no],
    garbage: [Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'.repeat(2000)), no],
    nothing: [framed(Buffer.alloc(0)), no],
    'a header without the question': [framed(Buffer.from('000180010000000000000000', 'hex')), no],
  }
  for (const [title, [bytes, message]] of Object.entries(cases)) {
    const server = await TcpServer.start(t, sending(bytes))
    await t.rejects(ask(server), { message }, title)
  }
})

t.test('a query is answered once: a later answer replaces nothing', async (t) => {
  const other = framed(response(FOUR as Asked, [a(NAME, '198.51.100.66')]))
  const server = await TcpServer.start(t, (socket, [first]) =>
    socket.write(Buffer.concat([answersTo([first!]), other])),
  )
  isAnswered(t, await ask(server))
  t.same(server.segments, [BOTH, [SIX]])
})

t.test('a complete answer leaves no timer running', async (t) => {
  const clock = Clock.install(t)
  await ask(await TcpServer.start(t, honest))
  t.equal(clock.timers, 0)
})

t.test('an early close and an answer that is cut short are distinguished', async (t) => {
  const closing = await TcpServer.start(t, (socket) => socket.end())
  await t.rejects(ask(closing), { message: 'it closed the connection without an answer' })
  const resetting = await TcpServer.start(t, (socket) => socket.resetAndDestroy())
  await t.rejects(ask(resetting), { message: 'it closed the connection without an answer' })
  const whole = framed(answerTo(FOUR))
  for (const end of [1, 2, 3, whole.length - 1]) {
    const cutting = await TcpServer.start(t, (socket) => socket.end(whole.subarray(0, end)))
    await t.rejects(ask(cutting), { message: 'its answer is cut short' }, `the answer is cut at ${end} bytes`)
  }
})

t.test('a silent resolver is given up after two seconds, also in the middle of a message', async (t) => {
  const clock = Clock.install(t)
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from([1]),
    Buffer.from([0xff, 0xff]),
    Buffer.alloc(40, 0xff),
  ]) {
    const server = await TcpServer.start(t, sending(bytes))
    const outcome = ask(server).then(
      () => 'answers',
      (error: Error) => error,
    )
    await until('the resolver is asked', () => server.segments.length === 1)
    await clock.pass(1999)
    t.equal(clock.timers, 1)
    await clock.pass(1)
    t.match(await outcome, { message: 'no answer within 2 seconds' })
    t.notOk((await outcome) instanceof NoConnection)
    await until('the connection is closed', () => server.ends.length === 1)
  }
  t.same([clock.timers, clock.kept], [0, 0], 'no timer is left, and none has kept the process alive')
})

t.test('a failed connection is distinguished from all other failures', async (t) => {
  const server = await TcpServer.start(t, honest)
  server.stop()
  const refused = await ask(server).catch((error) => error)
  t.ok(refused instanceof NoConnection)
  t.equal(refused.message, 'it takes no TCP connection (ECONNREFUSED)')

  const clock = Clock.install(t)
  const full = await fullServer(t)
  const outcome = new TcpResolver(full).ask(BOTH).catch((error) => error)
  await clock.pass(2000)
  t.ok((await outcome) instanceof NoConnection)
  t.equal((await outcome).message, 'it takes no TCP connection (no answer within 2 seconds)')
})

/** Starts a server with a full backlog: Linux leaves new connections waiting. */
async function fullServer(t: Test): Promise<string> {
  const server = createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 })
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  // Node accepts connections by itself: this prevents it.
  const { _handle: handle } = server as unknown as { _handle: { onconnection: unknown; close(): void } }
  handle.onconnection = () => {}
  const sockets = Array.from({ length: 4 }, () => connect({ port, host: '127.0.0.1' }).on('error', () => {}))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `127.0.0.1:${port}`
}

t.test('a hundred look-ups leave nothing behind, neither in this process nor in the kernel', async (t) => {
  const server = await TcpServer.start(t, honest)
  for (let times = 0; times < 100; times++) await ask(server)
  await until('all connections are closed', () => server.ends.length === 100)
  t.same(new Set(server.ends), new Set(['reset']))
  // The columns are those of proc_pid_net(5): sl, local_address, rem_address, st ...; TCP_LISTEN = 10
  const port = server.port.toString(16).toUpperCase().padStart(4, '0')
  const lines = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, remote]) => local?.endsWith(`:${port}`) || remote?.endsWith(`:${port}`))
  t.same(
    lines.map(([, , , state]) => state),
    ['0A'],
    'no socket is in TIME_WAIT',
  )
})

/** ASK MODULE SERVER: sends a query, and has no other work once it is connected. */
const ASK = `const { TcpResolver } = await import(process.argv[1])
const asked = new TcpResolver(process.argv[2]).ask([{ id: 1, name: 'mirror.example.org', type: 1 }])
asked.finally(() => console.log('it has waited'))
setTimeout(() => {}, 300)`

t.test('a pending query does not keep the process alive', async (t) => {
  const server = await TcpServer.start(t, () => {})
  const module = new URL('../../../src/names/dns/tcp-resolver.js', import.meta.url).href
  const { NODE_OPTIONS: _, ...env } = process.env
  const argv = ['--input-type=module', '-e', ASK, module, server.name]
  const { stdout } = await promisify(execFile)(process.execPath, argv, { env })
  t.equal(stdout, '')
  t.equal(server.segments.length, 1, 'the query was pending')
})
