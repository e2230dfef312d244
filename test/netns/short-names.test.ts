import t from 'tap'
import { createTopology, MIRROR } from '../lab/topology.js'
import { httpGet, serveDns, serveHttp } from '../lab/traffic.js'
import { eventually, Service } from './service.js'

const SETTINGS = `mode: enforce
mirrors: { hosts: [aptmirror], ports: [80] }
allow: [{ name: short, to: [backend], ports: [80], users: [www-data] }]
`
const BACKEND = '198.51.100.3'
const OTHER = '198.51.100.4'
const zone = {
  'aptmirror.corp.example.org': { ttl: 60, A: [MIRROR.v4] },
  'backend.corp.example.org': { ttl: 60, A: [BACKEND] },
  'other.corp.example.org': { ttl: 60, A: [OTHER] },
}

t.test('short names that the search list completes are reached, and no others', async (t) => {
  const { web, mirror, close } = await createTopology()
  t.teardown(close)
  await web.file('/etc/resolv.conf', `search lan.example.org corp.example.org\nnameserver ${MIRROR.v4}\n`)
  for (const address of [BACKEND, OTHER]) await mirror.address('to-web', `${address}/24`)
  await serveHttp(mirror, 80)
  await serveDns(mirror, zone)
  const status = async (host: string, user?: string) =>
    (await httpGet(web, `http://${host}/`, { ...(user && { user }) })).status

  await t.test('by the look-ups of the service', async (t) => {
    const service = await Service.start(web, SETTINGS)
    t.equal(await status(MIRROR.v4), 200)
    t.equal(await status(BACKEND, 'www-data'), 200)
    t.equal(await status(BACKEND), 0, 'root has no rule')
    t.equal(await status(OTHER, 'www-data'), 0)
    await service.remove()
  })

  await t.test('by the answer to the program', async (t) => {
    const service = await Service.start(web, `${SETTINGS}dns: { resolve: false }\n`)
    t.equal(await status(MIRROR.v4), 0, 'nobody has asked')
    await eventually('the mirror is reached', async () => (await status('aptmirror')) === 200)
    await eventually('the backend is reached', async () => (await status('backend', 'www-data')) === 200)
    t.equal(await status('other', 'www-data'), 0)
    await service.remove()
  })
})
