import t from 'tap'
import { serveDnsmasq } from '../lab/dnsmasq.js'
import { MIRROR } from '../lab/topology.js'
import { connect } from '../lab/traffic.js'
import { createLab, ELSEWHERE, guard, NAME } from './resolving.js'
import { start } from './scripts.js'
import { eventually, NODE, PATIENCE_MS, rulesOf } from './service.js'

const SETTINGS = `dns: { grace: 3s }
mirrors: { hosts: [${NAME}], ports: [80] }
allow: [{ name: other, to: [203.0.113.9], ports: [81] }]
`

/** DOWNLOAD URL: says how many bytes came so far, each time some come, or what went wrong. */
const DOWNLOAD = `fetch(process.argv[1]).then(async ({ body }) => {
  let bytes = 0
  for await (const chunk of body) console.log(bytes += chunk.length)
}).catch((error) => console.log(String(error.cause ?? error)))`

/** A web server whose pages go on, a kilobyte every 100 ms, until it is told to end them (SIGUSR1); it says how long they were. */
const SERVE = `const open = new Set()
require('http').createServer((request, response) => {
  let bytes = 0
  const timer = setInterval(() => { bytes += 1000; response.write(Buffer.alloc(1000)) }, 100)
  open.add(() => { clearInterval(timer); response.end(() => console.log(bytes)) })
  response.on('close', () => clearInterval(timer))
}).listen(80, () => console.log('listening'))
process.on('SIGUSR1', () => open.forEach((end) => end()))`

t.test('an address that is answered no more is closed, and a download from it goes on', async (t) => {
  const lab = await createLab(t)
  const server = await start(lab.mirror, SERVE)
  const dns = await serveDnsmasq(lab.mirror, { records: { [NAME]: [MIRROR.v4] }, ttl: 1 })
  const service = await guard(t, lab, SETTINGS)
  await service.launch()
  const download = lab.web.spawn([...NODE, '-e', DOWNLOAD, `http://${NAME}/large`])
  await eventually(
    'the download runs',
    async () => (await service.metric('packets_total', 'reason="mirror"')) > 0,
  )

  const isOpen = async (host: string, timeout = PATIENCE_MS) =>
    (await connect(lab.web, host, 80, { timeout })).outcome === 'ok'
  await dns.change({ [NAME]: [ELSEWHERE] })
  await eventually('the new address is open', () => isOpen(ELSEWHERE))
  await eventually('the old one is closed', async () => !(await isOpen(MIRROR.v4)))
  t.ok(download.running, 'while the download still runs')

  await eventually(
    'the kernel has let go of it',
    async () => !(await rulesOf(lab.web)).includes(`${MIRROR.v4} timeout`),
  )

  const pieces = () => download.stdout.split('\n').length
  await service.reload(`mode: enforce\n${SETTINGS.replace(/allow: .*\n/, '')}`)
  const before = pieces()
  t.notOk(await isOpen(MIRROR.v4))
  // What it acknowledges is judged again. A service that is killed before that leaves the connection to the fallback.
  await eventually('the download goes on', () => pieces() > before + 2)
  t.ok(download.running, 'live connections are judged again, and it still runs')
  await service.kill()
  t.notOk(await isOpen(MIRROR.v4, 1000), 'closed in the kernel, too')
  t.ok(await isOpen(ELSEWHERE))
  server.kill('SIGUSR1')
  await download.exited
  await server.until(() => server.stdout !== 'listening\n' || undefined)
  t.equal(download.stdout.split('\n').at(-2), server.stdout.split('\n').at(-2), 'to its end')
})
