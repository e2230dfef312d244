import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type RequestOptions, request } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import bcrypt from 'bcryptjs'
import { Gauge, Registry } from 'prom-client'
import t, { type Test } from 'tap'
import type { ServiceLog } from '../../../src/system/service-log.js'
import { Protection } from '../../../src/telemetry/http/protection.js'
import { HttpServer } from '../../../src/telemetry/http/server.js'
import { createAuthority, createCertificate } from '../../lab/certificates.js'
import { eventually } from '../../lab/waiting.js'

const folder = mkdtempSync(join(tmpdir(), 'checkvalve-protection-'))
t.teardown(() => rmSync(folder, { recursive: true }))
createAuthority(folder)
for (const name of ['server', 'renewed', 'client']) createCertificate(folder, name, '127.0.0.1')
const file = (name: string) => readFileSync(join(folder, name), 'utf8')
const CA = file('ca.crt')
const TLS = '  cert_file: used.crt\n  key_file: used.key\n'
const AUTH = { auth: 'prometheus:secret' }

function install(name: string) {
  for (const end of ['crt', 'key']) copyFileSync(join(folder, `${name}.${end}`), join(folder, `used.${end}`))
}
install('server')

function webConfig(text: string): string {
  const path = join(folder, `web-${text.length}.yml`)
  writeFileSync(path, text)
  return path
}

/** Holds up the answer of a scrape. */
let collecting: (() => Promise<void>) | undefined
let isCollecting = false

const registry = new Registry()
new Gauge({
  name: 'checkvalve_test',
  help: 'a metric',
  registers: [registry],
  async collect() {
    isCollecting = collecting !== undefined
    await collecting?.()
  },
})

const listen = (path: string) =>
  HttpServer.listen({
    listen: { host: '127.0.0.1', port: 0 },
    path: '/metrics',
    webConfig: path,
    registry,
    unready: () => [],
    log: { error: () => {} } as Pick<ServiceLog, 'error'>,
  })

async function serving(t: Test, text: string): Promise<number> {
  const server = await listen(webConfig(text))
  t.teardown(() => server.close())
  return server.port
}

/** Asks for a page. @returns its status, or the code of the error */
const ask = (port: number, options: RequestOptions = {}, path = '/metrics') =>
  new Promise<number | string>((resolve) => {
    const asked = request({ host: '127.0.0.1', port, path, ca: CA, agent: false, ...options }, (response) => {
      response.resume()
      resolve(response.statusCode!)
    })
    asked.on('error', ({ code, message }: NodeJS.ErrnoException) => resolve(code ?? message))
    asked.end()
  })

const users = () => `basic_auth_users:\n  prometheus: ${bcrypt.hashSync('secret', 4)}\n`

t.test('every page needs TLS and the password', async (t) => {
  const port = await serving(t, `tls_server_config:\n${TLS}${users()}`)
  for (const path of ['/', '/metrics', '/healthz', '/readyz', '/other'])
    t.equal(await ask(port, {}, path), 401, path)
  t.equal(await ask(port, AUTH), 200)
  t.equal(await ask(port, { auth: 'prometheus:guess' }), 401)
  t.equal(await ask(port, { auth: 'prometheus:again' }), 429)
  t.equal(await ask(port, AUTH), 200, 'who is known is not kept out by guesses')
  t.match(await ask(port, { ...AUTH, maxVersion: 'TLSv1.1', minVersion: 'TLSv1' }), /TLS|SSL|ECONN|EPROTO/)
  const plain = connect(port, '127.0.0.1').on('error', () => {})
  plain.write('GET /metrics HTTP/1.0\r\n\r\n')
  let answer = ''
  for await (const chunk of plain) answer += chunk
  t.notMatch(answer, /200/, 'no page without TLS')
})

t.test('a client without a certificate of the authority gets no page', async (t) => {
  const more = '  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n'
  const port = await serving(t, `tls_server_config:\n${TLS}${more}`)
  t.type(await ask(port), 'string')
  t.equal(await ask(port, { cert: file('client.crt'), key: file('client.key') }), 200)
})

t.test('idle connections do not keep out those that ask by TLS', async (t) => {
  const port = await serving(t, `tls_server_config:\n${TLS}`)
  let isCollected = () => {}
  collecting = () =>
    new Promise((resolve) => {
      isCollected = resolve
    })
  t.teardown(() => {
    collecting = undefined
  })
  const first = ask(port)
  await eventually('the first is asking', () => isCollecting)
  const idle = Array.from({ length: 150 }, () => connect(port, '127.0.0.1').on('error', () => {}))
  t.teardown(() => {
    for (const socket of idle) socket.destroy()
  })
  await eventually('the first are closed', () => idle.filter(({ closed }) => closed).length > 80)
  isCollected()
  t.equal(await first, 200, 'the oldest connection, which was waiting for its answer')
  for (let i = 0; i < 5; i++) t.equal(await ask(port, {}, '/healthz'), 200)
})

t.test('a file that cannot be used keeps the service from starting', async (t) => {
  await t.rejects(listen(webConfig('basic_auth_users: { a: b }\n')), { message: /no hash of bcrypt/ })
  const mixed = '  cert_file: server.crt\n  key_file: client.key\n'
  await t.rejects(listen(webConfig(`tls_server_config:\n${mixed}`)), { message: /cannot be used/ })
  await t.rejects(listen(join(folder, 'gone.yml')), { message: /ENOENT/ })
})

t.test('a renewed certificate and other passwords are taken; a bad file is reported once', async (t) => {
  const path = webConfig(`tls_server_config:\n${TLS}${users()}`)
  const troubles: string[] = []
  const timers: (() => void)[] = []
  t.intercept(globalThis, 'setInterval', {
    value: (work: () => void) => {
      timers.push(work)
      return { unref: () => {} }
    },
  })
  const protection = new Protection(path, (message) => troubles.push(message))
  const server = protection.createServer({})
  server.on('request', (request, response) => {
    protection.access(request, () => 'client').then((access) => response.end(access))
  })
  t.teardown(() => server.close())
  const port = await new Promise<number>((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
  )
  const serial = () =>
    new Promise<string>((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port, ca: CA, agent: false }, (response) => {
        resolve((response.socket as TLSSocket).getPeerCertificate().subject.CN as string)
        response.resume()
      })
      asked.on('error', reject).end()
    })
  const readAgain = () => timers.at(-1)!()
  t.equal(await serial(), 'server')
  install('renewed')
  readAgain()
  t.equal(await serial(), 'renewed')
  writeFileSync(path, 'basic_auth_users: { a: b }\n')
  readAgain()
  readAgain()
  writeFileSync(path, users())
  readAgain()
  t.match(troubles, [/no hash of bcrypt.*stays in force$/, /restart the service to have no TLS/])
  t.equal(troubles.length, 2)
  t.equal(await serial(), 'renewed')
})
