import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Status } from '../../src/status/status.js'
import { serveDnsmasq } from '../lab/dnsmasq.js'
import { MIRROR } from '../lab/topology.js'
import { createLab, guard, NAME } from './resolving.js'

const CONFIGURED = 'packages.example.net'
const SETTINGS = `mirrors:
  hosts:
    - ${CONFIGURED}
    - 198.51.100.0/28
`

t.test(
  'status and doctor show every mirror: where it was found, its addresses, and until when',
  async (t) => {
    const lab = await createLab(t)
    await serveDnsmasq(lab.mirror, { records: { [NAME]: [MIRROR.v4, MIRROR.v6] }, ttl: 60 })
    const service = await guard(t, lab, SETTINGS)
    const list = join(service.root, 'etc/apt/sources.list')
    mkdirSync(join(service.root, 'etc/apt'), { recursive: true })
    writeFileSync(
      list,
      `# ours\ndeb https://${NAME}:8443/ stable main\ndeb ftp://old.example.org/ stable main\n`,
    )

    const before = await service.command('status')
    t.equal(before.status, 1)
    t.match(before.stderr, /^checkvalve: the service does not run here .*control\.sock\): start it/)
    const early = await service.command('doctor')
    t.equal(early.status, 1)
    t.match(early.stdout, /LOOK {2}status: the service does not run here/)

    await service.launch()
    t.equal(statSync(join(service.folder, 'control.sock')).mode & 0o777, 0o660)
    const { stdout, status } = await service.command('status')
    t.equal(status, 0)
    t.match(
      stdout,
      new RegExp(
        `^${NAME}:8443  apt, ${list}:2\n    ${MIRROR.v4} +for \\d+ \\w+\n    ${MIRROR.v6} +for`,
        'm',
      ),
    )
    t.match(stdout, new RegExp(`^${CONFIGURED}:80,443  ${service.config}:4\n    no address is known`, 'm'))
    t.match(stdout, new RegExp(`^198.51.100.0/28:80,443  ${service.config}:5\n`, 'm'))
    t.match(stdout, `mode        enforce`)
    t.match(stdout, `resolvers   ${MIRROR.v4}\n`)

    const json = JSON.parse((await service.command('status', '--json')).stdout) as Status
    const [found] = json.mirrors.filter(({ host }) => host === NAME)
    t.match(found, { ports: ['8443'], manager: 'apt', found: `${list}:2` })
    t.ok(Date.parse(found!.addresses[0]!.until) > Date.now())

    const examined = await service.command('doctor')
    t.equal(examined.status, 1)
    t.match(examined.stdout, /^ok {4}the service runs$/m)
    t.match(examined.stdout, new RegExp(`^LOOK  mirrors: ${list}:3: .*ftp`, 'm'))
    t.match(examined.stdout, /^LOOK {2}mirrors: no address is known of 1 of 3/m)
    t.match(examined.stdout, new RegExp(`^${NAME}:8443  apt, ${list}:2\n    ${MIRROR.v4}`, 'm'))

    await service.stop()
    const after = await service.command('doctor')
    t.match(
      after.stdout,
      new RegExp(`^${NAME}:8443  apt, ${list}:2\n    ${MIRROR.v4}`, 'm'),
      'what it knew last',
    )
  },
)

t.test('a socket that a killed service has left is no obstacle, one that is in use is', async (t) => {
  const lab = await createLab(t)
  const service = await guard(t, lab, '')
  await service.launch()
  await service.kill()
  await service.launch()
  const second = await service.fail([], 'queue.first=300', 'metrics.listen=127.0.0.1:17672')
  t.equal(second.status, 1)
  t.match(second.stderr, /no control socket at .* \(another service listens there/)
})
