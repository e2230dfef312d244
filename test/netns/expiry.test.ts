import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { serveFiles } from '../lab/apt.js'
import { serveDnsmasq } from '../lab/dnsmasq.js'
import type { Namespace } from '../lab/namespace.js'
import { MIRROR } from '../lab/topology.js'
import { connect } from '../lab/traffic.js'
import { createLab, ELSEWHERE, guard, NAME } from './resolving.js'
import { eventually, NODE, rulesOf } from './service.js'

const BYTES = 150_000
const PACE = 10_000
const SETTINGS = `dns: { grace: 3s }
mirrors: { hosts: [${NAME}], ports: [80] }
allow: [{ name: other, to: [203.0.113.9], ports: [81] }]
`

/** DOWNLOAD URL: says how many bytes came, or what went wrong. */
const DOWNLOAD = `fetch(process.argv[1]).then((response) => response.arrayBuffer())
  .then(({ byteLength }) => console.log(byteLength), (error) => console.log(String(error.cause ?? error)))`

/** A file that takes its time. */
async function serveSlowly(t: Test, place: Namespace): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'checkvalve-files-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'large'), Buffer.alloc(BYTES))
  await serveFiles(place, folder, { port: 80, pace: PACE })
}

t.test('an address that is answered no more is closed, and a download from it goes on', async (t) => {
  const lab = await createLab(t)
  await serveSlowly(t, lab.mirror)
  const dns = await serveDnsmasq(lab.mirror, { records: { [NAME]: [MIRROR.v4] }, ttl: 1 })
  const service = await guard(t, lab, SETTINGS)
  await service.launch()
  const download = lab.web.spawn([...NODE, '-e', DOWNLOAD, `http://${NAME}/large`])
  await eventually(
    'the download runs',
    async () => (await service.metric('packets_total', 'reason="mirror"')) > 0,
  )

  const isOpen = async (host: string) => (await connect(lab.web, host, 80)).outcome === 'ok'
  await dns.change({ [NAME]: [ELSEWHERE] })
  await eventually('the new address is open', () => isOpen(ELSEWHERE))
  await eventually('the old one is closed', async () => !(await isOpen(MIRROR.v4)))
  t.ok(download.running, 'while the download still runs')

  await eventually(
    'the kernel has let go of it',
    async () => !(await rulesOf(lab.web)).includes(`${MIRROR.v4} timeout`),
  )

  await service.reload(`mode: enforce\n${SETTINGS.replace(/allow: .*\n/, '')}`)
  t.notOk(await isOpen(MIRROR.v4))
  t.ok(download.running, 'live connections are judged again, and it still runs')
  await service.kill()
  t.notOk(await isOpen(MIRROR.v4), 'closed in the kernel, too')
  t.ok(await isOpen(ELSEWHERE))
  await download.exited
  t.equal(download.stdout.trim(), String(BYTES), 'to its end')
})
