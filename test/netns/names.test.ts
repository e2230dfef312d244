import { readFileSync } from 'node:fs'
import t from 'tap'
import { createTopology, MIRROR } from '../lab/topology.js'
import { httpGet, serveDns, serveHttp, type Zone } from '../lab/traffic.js'
import { eventually, PATIENCE_MS, Service } from './service.js'

const NAME = 'mirror.example.org'
const MOVED = '198.51.100.3'
const SETTINGS = `mode: enforce
mirrors: { hosts: [${NAME}], ports: [80] }
`
const zone = (...A: string[]): Zone => ({ [NAME]: { ttl: 1, A, AAAA: [MIRROR.v6] } })

t.test('a mirror that is configured by name', async (t) => {
  const { web, mirror, close } = await createTopology()
  t.teardown(close)
  await web.file('/etc/resolv.conf', `nameserver ${MIRROR.v4}\noptions timeout:1 attempts:5\n`)
  await mirror.address('to-web', `${MOVED}/24`)
  await serveHttp(mirror, 80)
  let resolver = await serveDns(mirror, zone(MIRROR.v4))
  const service = await Service.start(web, SETTINGS)
  t.teardown(() => service.remove())
  /**
   * Requests a page. @returns the status; 0 when there is no answer
   * @param timeout milliseconds: while the service is dead, a blocked connection is not refused but times out
   */
  const status = async (host: string, timeout = PATIENCE_MS) =>
    (await httpGet(web, `http://${host}/`, { timeout })).status

  await t.test('it is reached by its name and its addresses, and another address is not', async (t) => {
    for (const host of [NAME, MIRROR.v4, `[${MIRROR.v6}]`]) t.equal(await status(host), 200, host)
    t.equal(await status(MOVED), 0)
    t.equal(await service.metric('allowlist_entries', 'source="mirror"'), 2)
    t.ok(await service.metric('mirror_last_success_timestamp_seconds'))
  })

  await t.test(
    'it is reached at its new address when its record changes, and at the old one for a while',
    async (t) => {
      await resolver.stop()
      resolver = await serveDns(mirror, zone(MOVED))
      await eventually('the new address is allowed', async () => (await status(MOVED)) === 200)
      t.equal(await status(MIRROR.v4), 200)
    },
  )

  await t.test('it stays reachable when no resolver answers', async (t) => {
    await resolver.stop()
    await eventually(
      'a failure is counted',
      async () => (await service.metric('mirror_resolve_failures_total')) > 0,
    )
    t.equal(await status(MOVED), 200)
    await eventually('the failure is logged', async () =>
      service.program.stderr.includes(`${NAME} cannot be looked up`),
    )
  })

  await t.test('it stays reachable while the service is dead', async (t) => {
    await service.kill()
    for (const host of [MOVED, `[${MIRROR.v6}]`]) t.equal(await status(host), 200, host)
    t.equal(await status('198.51.100.4', 1500), 0)
  })

  await t.test('it is reached after a restart without a resolver', async (t) => {
    t.match(readFileSync(`${service.folder}/state/addresses.json`, 'utf8'), MOVED)
    await web.run(['nft', 'flush', 'ruleset'])
    await service.launch()
    for (const host of [MOVED, `[${MIRROR.v6}]`]) t.equal(await status(host), 200, host)
    t.ok(
      (await service.metric('packets_total', 'reason="mirror"')) >= 2,
      'the service has judged the packets',
    )
  })
})
