import { request } from 'node:http'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { Gauge, Registry } from 'prom-client'
import t, { type Test } from 'tap'
import type { ServiceLog } from '../../../src/system/service-log.js'
import { VERSION } from '../../../src/system/version.js'
import { HttpServer } from '../../../src/telemetry/http/server.js'
import { eventually } from '../../lab/waiting.js'

/** Starts a server on its own loopback port. The test may change `unready`. */
async function serving(t: Test, registry = new Registry()) {
  const state = { unready: [] as string[], port: 0, hangs: 0, troubles: [] as string[] }
  new Gauge({ name: 'checkvalve_test', help: 'a metric', registers: [registry] }).set(7)
  const server = await HttpServer.listen({
    listen: { host: '127.0.0.1', port: 0 },
    path: '/metrics',
    webConfig: 'none',
    registry,
    unready: () => {
      for (const end = performance.now() + state.hangs; performance.now() < end; );
      return state.unready
    },
    log: { error: (text: string) => void state.troubles.push(text) } as Pick<ServiceLog, 'error'>,
  })
  t.teardown(() => server.close())
  state.port = server.port
  const ask = (path: string, method = 'GET') =>
    new Promise<{ status: number; headers: Record<string, unknown>; body: string }>((resolve, reject) => {
      const asked = request(
        { host: '127.0.0.1', port: state.port, path, method, agent: false },
        (response) => {
          text(response).then(
            (body) => resolve({ status: response.statusCode!, headers: response.headers, body }),
            reject,
          )
        },
      )
      asked.on('error', reject)
      asked.end()
    })
  /** Sends raw bytes. @returns everything that arrives until the server closes */
  const raw = (bytes: string) => {
    const socket = connect(state.port, '127.0.0.1')
    socket.end(bytes)
    return text(socket)
  }
  return { state, ask, raw }
}

t.test('the metrics are served with the content type of Prometheus', async (t) => {
  const { ask } = await serving(t)
  const { status, headers, body } = await ask('/metrics')
  t.equal(status, 200)
  t.match(headers['content-type'], /^text\/plain; version=0\.0\.4/)
  t.match(body, /^checkvalve_test 7$/m)
  t.equal((await ask('/metrics?name[]=checkvalve_test')).status, 200, 'parameters are ignored')
})

t.test('healthz reports that the process is alive, ready or not', async (t) => {
  const { ask, state } = await serving(t)
  state.unready = ['the queue is not bound']
  t.match(await ask('/healthz'), { status: 200, body: 'ok\n' })
})

t.test('readyz reports whether packets are judged, and which parts are missing', async (t) => {
  const { ask, state } = await serving(t)
  t.match(await ask('/readyz'), { status: 200, body: 'ready\n' })
  state.unready = ['the queue is not bound', 'the firewall rules are not loaded']
  t.match(await ask('/readyz'), {
    status: 503,
    body: 'not ready: the queue is not bound\nnot ready: the firewall rules are not loaded\n',
  })
})

t.test('the first page links to the others and shows the state', async (t) => {
  const { ask, state } = await serving(t)
  const page = await ask('/')
  t.equal(page.status, 200)
  t.match(page.headers['content-type'], /^text\/html/)
  for (const link of ['/metrics', '/healthz', '/readyz']) t.match(page.body, `href="${link}"`)
  t.match(page.body, '<p>ready</p>')
  t.match(page.body, `checkvalve ${VERSION}`)
  state.unready = ['the queue is not bound']
  t.match((await ask('/')).body, '<p>not ready: the queue is not bound</p>')
})

t.test('an unknown page is 404 and names the known pages', async (t) => {
  const { ask } = await serving(t)
  for (const path of ['/metric', '/metrics/', '/healthz/x', '/..', '/%2e', '/METRICS'])
    t.match(await ask(path), { status: 404, body: /there are \/, \/healthz, \/readyz and \/metrics/ }, path)
})

t.test('only GET and HEAD are answered; for other methods the answer lists both', async (t) => {
  const { ask } = await serving(t)
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])
    for (const path of ['/metrics', '/', '/nothing'])
      t.match(
        await ask(path, method),
        { status: 405, headers: { allow: 'GET, HEAD' } },
        `${method} ${path} is refused`,
      )
})

t.test('HEAD has the status and the headers of GET, without a body', async (t) => {
  const { ask, state } = await serving(t)
  t.match(await ask('/metrics', 'HEAD'), { status: 200, body: '' })
  t.match(await ask('/nothing', 'HEAD'), { status: 404, body: '' })
  state.unready = ['the queue is not bound']
  t.match(await ask('/readyz', 'HEAD'), { status: 503, body: '' })
})

t.test('no answer is cached, or read as another type', async (t) => {
  const { ask } = await serving(t)
  for (const path of ['/', '/metrics', '/readyz', '/nothing'])
    t.match((await ask(path)).headers, { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
})

t.test('no request line can end the service', async (t) => {
  const { ask, raw } = await serving(t)
  const targets = [
    '//',
    '///',
    '//[',
    '//@:',
    '/\\',
    'http://[',
    '*',
    '?',
    '#',
    ':',
    '/%',
    '/%zz',
    'x'.repeat(9000),
  ]
  for (const target of targets) await raw(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
  for (const bytes of [
    '',
    '\0\0\0\0',
    'GET\r\n\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    'CONNECT host:1 HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
    `GET / HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(100_000)}\r\n\r\n`,
  ])
    await raw(bytes).catch(() => {})
  t.match(await ask('/healthz'), { status: 200 })
})

t.test('metrics that cannot be collected are an error of that request only', async (t) => {
  const registry = new Registry()
  new Gauge({
    name: 'checkvalve_broken',
    help: 'a metric',
    registers: [registry],
    collect() {
      throw new Error('no figures today')
    },
  })
  const { ask } = await serving(t, registry)
  t.match(await ask('/metrics'), { status: 500, body: 'no figures today\n' })
  t.match(await ask('/healthz'), { status: 200 })
})

t.test('a port in use is an error with advice', async (t) => {
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  t.teardown(() => other.close())
  const { port } = other.address() as AddressInfo
  const options = {
    path: '/metrics',
    webConfig: 'none',
    registry: new Registry(),
    unready: () => [],
    log: { error: () => {} },
  }
  await t.rejects(HttpServer.listen({ ...options, listen: { host: '127.0.0.1', port } }), {
    message: `metrics cannot be served on 127.0.0.1:${port} (EADDRINUSE): another program listens there: stop it, or set metrics.listen`,
  })
})

t.test('a thousand clients cause a few scrapes only', async (t) => {
  const registry = new Registry()
  let gathered = 0
  new Gauge({
    name: 'checkvalve_counted',
    help: 'a metric',
    registers: [registry],
    collect: () => void gathered++,
  })
  const { ask } = await serving(t, registry)
  const before = performance.now()
  for (let round = 0; round < 20; round++) {
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask('/metrics')))
    t.same(new Set(answers.map(({ status }) => status)), new Set([200]))
  }
  const limit = 2 + (performance.now() - before) / 200
  t.ok(gathered <= limit, `the metrics were collected ${gathered} times, at most ${limit} are expected`)
})

t.test('one connection serves one request: further ones would wait in memory', async (t) => {
  const { raw } = await serving(t)
  const asked = 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'
  const response = await raw(asked.repeat(50))
  t.ok(response.split('checkvalve_test 7').length <= 2)
})

t.test('idle connections do not shut the pages, however fast they come again', async (t) => {
  const { state, ask } = await serving(t)
  const sockets = new Set<Socket>()
  let isOver = false
  const open = (index: number) => {
    if (isOver) return
    const socket = connect(state.port, '127.0.0.1').on('error', () => {})
    sockets.add(socket)
    if (index % 2 === 1) socket.write('GET /metrics HTTP/1.1\r\nHo')
    socket.resume().once('close', () => {
      sockets.delete(socket)
      open(index)
    })
  }
  t.teardown(() => {
    isOver = true
    for (const socket of sockets) socket.destroy()
  })
  for (let index = 0; index < 80; index++) open(index)
  for (let round = 0; round < 20; round++)
    t.equal((await ask('/metrics').catch(({ code }) => ({ status: code }))).status, 200, `scrape ${round}`)
})

t.test('healthz reports a service that hangs', async (t) => {
  const { state, ask } = await serving(t)
  state.hangs = 2200
  t.match(await ask('/healthz'), { status: 503, body: 'the service does not answer\n' })
  state.hangs = 0
  t.match(await ask('/healthz'), { status: 200 })
  t.same(state.troubles, [])
})

t.test('pages that end by a fault are served again, and the service continues', async (t) => {
  const registry = new Registry()
  const metrics = registry.metrics.bind(registry)
  const { state, ask } = await serving(t, registry)
  // The value is no text, which the server does not expect.
  registry.metrics = async () => 7 as unknown as string
  await t.rejects(ask('/metrics'))
  registry.metrics = metrics
  let status: number | undefined
  await eventually('the pages are served again', async () => {
    status = (await ask('/metrics').catch(() => undefined))?.status
    return status === 200
  })
  t.equal(status, 200)
  t.equal(state.troubles.length, 1)
})
