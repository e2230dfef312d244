import t from 'tap'
import { serveDnsmasq } from '../lab/dnsmasq.js'
import { MIRROR } from '../lab/topology.js'
import { connect } from '../lab/traffic.js'
import { createLab, ELSEWHERE, guard, NAME } from './resolving.js'
import { start } from './scripts.js'
import { eventually, NODE, PATIENCE_MS, rulesOf } from './service.js'

const SETTINGS = `dns: { grace: 3s, keepUsed: 0s }
mirrors: { hosts: [${NAME}], ports: [80] }
allow: [{ name: other, to: [203.0.113.9], ports: [81] }]
`

/** DOWNLOAD URL: prints how many bytes have come each time some come, or the error. */
const DOWNLOAD = `fetch(process.argv[1]).then(async ({ body }) => {
  let bytes = 0
  for await (const chunk of body) console.log(bytes += chunk.length)
}).catch((error) => console.log(String(error.cause ?? error)))`

/**
 * SERVE: a web server that sends 1,000 bytes of a page every 100 ms. It ends its pages and prints their size
 * on SIGUSR1.
 */
const SERVE = `const open = new Set()
require('http').createServer((request, response) => {
  let bytes = 0
  const timer = setInterval(() => { bytes += 1000; response.write(Buffer.alloc(1000)) }, 100)
  open.add(() => { clearInterval(timer); response.end(() => console.log(bytes)) })
  response.on('close', () => clearInterval(timer))
}).listen(80, () => console.log('listening'))
process.on('SIGUSR1', () => open.forEach((end) => end()))`

t.test(
  'an address that DNS answers no longer have is blocked, and a download from it continues',
  async (t) => {
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
    await eventually('the new address is allowed', () => isOpen(ELSEWHERE))
    await eventually('the old address is blocked', async () => !(await isOpen(MIRROR.v4)))
    t.ok(download.running, 'the download still runs')

    await eventually(
      'the kernel has removed the address',
      async () => !(await rulesOf(lab.web)).includes(`${MIRROR.v4} timeout`),
    )

    const pieces = () => download.stdout.split('\n').length
    await service.reload(`mode: enforce\n${SETTINGS.replace(/allow: .*\n/, '')}`)
    const before = pieces()
    t.notOk(await isOpen(MIRROR.v4))
    // Its next acknowledgement is judged again. If the service died before that, the fallback would decide.
    await eventually('the download continues', () => pieces() > before + 2)
    t.ok(download.running, 'the download still runs after its connection was judged again')
    await service.kill()
    t.notOk(await isOpen(MIRROR.v4, 1000), 'the kernel alone blocks the address')
    t.ok(await isOpen(ELSEWHERE))
    server.kill('SIGUSR1')
    await download.exited
    await server.until(() => server.stdout !== 'listening\n' || undefined)
    t.equal(download.stdout.split('\n').at(-2), server.stdout.split('\n').at(-2), 'the download is complete')
  },
)
