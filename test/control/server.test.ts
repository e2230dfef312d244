import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { choice, fieldsOf } from '../../src/config/formats.js'
import type { Format } from '../../src/config/location.js'
import { ask, type Refused } from '../../src/control/client.js'
import { Refusal, type Route, read } from '../../src/control/router.js'
import { ControlServer } from '../../src/control/server.js'
import type { ServiceLog } from '../../src/system/service-log.js'
import { seededRandom } from '../core/random.js'
import { eventually } from '../lab/waiting.js'

t.jobs = 4

const colour: Format<string> = (value, place) =>
  fieldsOf(value, place, ['colour'])?.required('colour', choice('red', 'green'))

/** Starts a server that echoes requests. */
async function serving(t: Test) {
  const folder = mkdtempSync(join(tmpdir(), 'checkvalve-control-'))
  const path = join(folder, 'run', 'control.sock')
  const handled: string[] = []
  const faults: string[] = []
  let hanging: (() => void) | undefined
  const routes: Route[] = [
    { method: 'GET', path: '/v1/echo', handle: ({ query }) => handled.push('GET') && { query } },
    { method: 'PUT', path: '/v1/echo', handle: ({ body }) => handled.push('PUT') && { body } },
    { method: 'POST', path: '/v1/colour', handle: ({ body }) => ({ colour: read(colour, body) }) },
    { method: 'GET', path: '/v1/fault', handle: () => (undefined as unknown as { x: number }).x },
    {
      method: 'GET',
      path: '/v1/taken',
      handle: async () => {
        throw new Refusal('entry-exists', 'it is taken')
      },
    },
    { method: 'GET', path: '/v1/large', handle: () => ({ large: 'x'.repeat(10_000_000) }) },
    {
      method: 'GET',
      path: '/v1/slow',
      handle: () =>
        new Promise((resolve) => {
          handled.push('slow')
          hanging = () => resolve('at last')
        }),
    },
  ]
  const log = { error: (_: object, text: string) => void faults.push(text) } as Pick<ServiceLog, 'error'>
  const control = await ControlServer.listen({ path, routes, log })
  t.teardown(() => {
    control.close()
    rmSync(folder, { recursive: true })
  })
  const opened: Socket[] = []
  t.teardown(() => {
    for (const socket of opened) socket.destroy()
  })
  const open = () => {
    const socket = connect(path).on('error', () => {})
    opened.push(socket)
    return socket
  }
  /** Sends raw bytes, and returns everything that arrives until the server closes. */
  const raw = async (bytes: string | Buffer) => {
    const socket = open()
    socket.write(bytes)
    return text(socket).catch(() => '')
  }
  return { path, routes, control, handled, faults, raw, open, finish: () => hanging?.() }
}

const GET = 'GET /v1/echo HTTP/1.1\r\nHost: x\r\n\r\n'
const withBody = (body: string, more = '') =>
  `PUT /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${more}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`

const statusOf = (response: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(response)?.[1])
const refusalOf = (response: string) =>
  JSON.parse(response.split('\r\n\r\n')[1]!) as { code: string; error: string }

t.test('the handler receives query and body, and the client receives its answer', async (t) => {
  const { path } = await serving(t)
  t.same(await ask(path, 'GET', '/v1/echo?name=two%20words&more=%C3%BC'), {
    query: { name: 'two words', more: 'ü' },
  })
  t.same(await ask(path, 'PUT', '/v1/echo', { list: [1, 'ü'] }), { body: { list: [1, 'ü'] } })
  t.same(await ask(path, 'PUT', '/v1/echo'), {}, 'the request has no body')
})

t.test('the socket is created with mode 0660 under any umask, and a missing folder is created', async (t) => {
  const before = process.umask(0)
  const { path } = await serving(t)
  t.equal(process.umask(before), 0, 'the umask has not changed')
  t.equal(statSync(path).mode & 0o7777, 0o660)
})

t.test('a wrong request is refused with a message, a status and a code that fit', async (t) => {
  const { raw, faults } = await serving(t)
  const post = (body: string) => withBody(body).replace('PUT /v1/echo', 'POST /v1/colour')
  const cases: [request: string, status: number, code: string, error: RegExp][] = [
    [
      'GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n',
      404,
      'unknown-path',
      /no path "\/v1\/nothing"; there are GET \/v1\/echo, PUT \/v1\/echo, POST/,
    ],
    ['GET /v1/echo/ HTTP/1.1\r\nHost: x\r\n\r\n', 404, 'unknown-path', /no path/],
    [
      'DELETE /v1/echo HTTP/1.1\r\nHost: x\r\n\r\n',
      405,
      'method-not-allowed',
      /\/v1\/echo takes GET, PUT, not "DELETE"/,
    ],
    ['GET /v1/echo?a=1&a=2 HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'invalid-request', /"a" is given twice/],
    [withBody('{"a":'), 400, 'invalid-request', /the body is no JSON/],
    [
      withBody('{}').replace('application/json', 'text/plain'),
      415,
      'not-json',
      /Content-Type: application\/json/,
    ],
    [withBody('x'.repeat(70_000)), 413, 'body-too-large', /more than 65536 bytes/],
    [
      `${withBody('').replace(/Content-Length.*\r\n/, '')}`.replace(
        '\r\n\r\n',
        `\r\nTransfer-Encoding: chunked\r\n\r\n11170\r\n${'x'.repeat(70_000)}\r\n0\r\n\r\n`,
      ),
      413,
      'body-too-large',
      /more than 65536 bytes/,
    ],
    [
      withBody('{}', `X-Large: ${'x'.repeat(9000)}\r\n`),
      431,
      'headers-too-large',
      /headers have more than 8192 bytes/,
    ],
    ['rubbish\r\n\r\n', 400, 'malformed-http', /no HTTP request/],
    [post('{"colour":"blue"}'), 400, 'invalid-request', /colour: must be red or green, not "blue"/],
    [post('{"color":"red"}'), 400, 'invalid-request', /color: unknown key \(did you mean colour\?\)/],
    [post('[]'), 400, 'invalid-request', /the request must be a mapping with colour, not a list/],
    ['GET /v1/taken HTTP/1.1\r\nHost: x\r\n\r\n', 409, 'entry-exists', /it is taken/],
  ]
  for (const [request, status, code, error] of cases) {
    const response = await raw(request)
    t.equal(statusOf(response), status, request.slice(0, 60))
    t.match(refusalOf(response), { code, error })
  }
  t.match(await raw('DELETE /v1/echo HTTP/1.1\r\nHost: x\r\n\r\n'), /^Allow: GET, PUT\r$/m)
  t.same(faults, [], 'none of these requests is a fault of the program')
})

t.test('each wrong value of a request is reported on its own', async (t) => {
  const { path } = await serving(t)
  const refused = await ask(path, 'POST', '/v1/colour', { colour: 'blue', size: 3 }).catch((error) => error)
  t.match(refused as Refused, {
    status: 400,
    problems: [
      { key: 'size', reason: /unknown key/ },
      { key: 'colour', reason: /red or green/ },
    ],
  })
})

t.test(
  'a handler that throws is answered with status 500 and logged, and the service continues',
  async (t) => {
    const { path, faults } = await serving(t)
    const refused = await ask(path, 'GET', '/v1/fault').catch((error) => error)
    t.match(refused as Refused, { status: 500, code: 'internal-error', message: /Cannot read properties/ })
    t.match(faults, [/^a control request failed: Cannot read properties/])
    t.ok(await ask(path, 'GET', '/v1/echo'))
  },
)

t.test('a service that is stopping refuses new requests and reports the reason', async (t) => {
  const { path, control, handled } = await serving(t)
  control.retire()
  const refused = await ask(path, 'PUT', '/v1/echo', {}).catch((error) => error)
  t.match(refused as Refused, { status: 503, code: 'stopping', message: 'the service is stopping' })
  t.same(handled, [])
})

t.test('a connection serves one request, even when it carries several', async (t) => {
  const { raw, handled } = await serving(t)
  const response = await raw(GET.repeat(1000))
  t.equal(statusOf(response), 200)
  t.same(handled, ['GET'])
})

t.test('idle connections are closed, and then other clients are served', async (t) => {
  const { path, open } = await serving(t)
  const idle = Array.from({ length: 30 }, () => open())
  const ends = idle.map((socket) => new Promise<void>((resolve) => socket.on('close', () => resolve())))
  for (const [index, socket] of idle.entries())
    socket.write(
      ['', 'GET /v1', 'PUT /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx'][index % 3]!,
    )
  for (const socket of idle) socket.resume()
  await Promise.all(ends)
  t.ok(await ask(path, 'GET', '/v1/echo'))
})

/** Repeats a request until it is answered: on a busy machine a request may come too late. */
async function served(path: string): Promise<unknown> {
  let answer: unknown
  await eventually('other clients are served', async () => {
    answer = await ask(path, 'GET', '/v1/echo').catch((error: Refused) => {
      if (error.status !== 408) throw error
    })
    return answer !== undefined
  })
  return answer
}

t.test('a client that does not read its answer loses its connection', async (t) => {
  const { path, open } = await serving(t)
  const socket = open().pause()
  socket.write('GET /v1/large HTTP/1.1\r\nHost: x\r\n\r\n')
  t.ok(await served(path), 'other clients are served meanwhile')
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()))
  // The file has a line for each socket with this path, accepted sockets included (proc(5)).
  const lines = () => readFileSync('/proc/net/unix', 'utf8').split('\n')
  await eventually(
    'the connection is closed',
    () => lines().filter((line) => line.endsWith(path)).length === 1,
  )
  socket.resume()
  let bytes = 0
  socket.on('data', (data) => {
    bytes += data.length
  })
  await closed
  t.ok(bytes < 10_000_000, `only ${bytes} bytes had arrived`)
})

t.test('a handler may be slow, and a client that disconnects meanwhile does no harm', async (t) => {
  const { path, open, finish, faults, handled } = await serving(t)
  const gone = open()
  gone.write('GET /v1/slow HTTP/1.1\r\nHost: x\r\n\r\n')
  await eventually('the request is handled', () => handled.length === 1)
  gone.destroy()
  finish()
  const answer = ask(path, 'GET', '/v1/slow')
  await eventually('the next request is handled', () => handled.length === 2)
  finish()
  t.equal(await answer, 'at last')
  t.same(faults, [])
})

t.test('for any bytes the answer is HTTP with JSON or nothing, and the service continues', async (t) => {
  const { path, faults } = await serving(t)
  const below = seededRandom(7)
  const seeds = [
    GET,
    withBody('{"a":[1,2,{"b":null}]}'),
    withBody(`${'['.repeat(30_000)}`),
    GET.replace('\r\nHost', `?${'a=b&'.repeat(500)}\r\nHost`),
  ]
  const one = async (round: number) => {
    const bytes = Buffer.from(
      round % 4 === 0 ? Array.from({ length: below(300) }, () => below(256)) : seeds[below(seeds.length)]!,
    )
    for (let change = below(6); change > 0 && bytes.length > 0; change--)
      bytes[below(bytes.length)] = below(256)
    const sent = round % 5 === 0 ? bytes.subarray(0, below(bytes.length + 1)) : bytes
    const socket = connect(path).on('error', () => {})
    socket.end(sent)
    const response = await text(socket).catch(() => '')
    if (response === '') return
    const status = statusOf(response)
    const body = JSON.parse(response.slice(response.indexOf('\r\n\r\n'))) as { error?: string }
    if (status !== 200 && (status < 400 || typeof body.error !== 'string'))
      t.fail(`${JSON.stringify(sent.toString('latin1'))} -> ${response}`)
  }
  for (let round = 0; round < 600; round += 8)
    await Promise.all(Array.from({ length: 8 }, (_, index) => one(round + index)))
  t.same(await ask(path, 'GET', '/v1/echo'), { query: {} })
  t.same(faults, [])
})

t.test(
  'a socket that a dead service left is replaced; a socket in use, or another file, is not',
  async (t) => {
    const { path, routes } = await serving(t)
    const listen = (at: string) => ControlServer.listen({ path: at, routes, log: { error: () => {} } })
    await t.rejects(listen(path), {
      message: `no control socket at ${path} (another service listens there): set control.socket`,
    })
    const left = `${path}.left`
    const leave = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`
    spawnSync(process.execPath, ['-e', leave, left], { env: {} })
    t.ok(statSync(left).isSocket())
    const taken = await listen(left)
    t.ok(await ask(left, 'GET', '/v1/echo'))
    taken.close()
    writeFileSync(`${path}.file`, 'somebody needs this')
    await t.rejects(listen(`${path}.file`), { message: /no control socket at .* \(another file is there\)/ })
    t.equal(readFileSync(`${path}.file`, 'utf8'), 'somebody needs this')
  },
)

t.test('a client without an answer gets an error with the reason and the remedy', async (t) => {
  const { path } = await serving(t)
  await t.rejects(ask(`${path}.none`, 'GET', '/v1/echo'), {
    message:
      /does not run here \(nobody listens on .*none\): systemctl start checkvalve, or set control.socket/,
  })
  const mute = `${path}.mute`
  const server = createServer((socket) => socket.destroy()).listen(mute)
  t.teardown(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  await t.rejects(ask(mute, 'GET', '/v1/echo'), {
    message: /is stopping, or has too many requests: try again/,
  })
  writeFileSync(`${path}.file`, '')
  await t.rejects(ask(`${path}.file`, 'GET', '/v1/echo'), { message: /does not run here/ })
})
