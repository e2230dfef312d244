/** Time servers are reached by the host's time service, with requests of NTP; no other user, and nothing else, gets there. */
import t from 'tap'
import { countArrivals } from '../lab/arrivals.js'
import type { Namespace } from '../lab/namespace.js'
import { createTopology, VICTIM } from '../lab/topology.js'
import { canSwitchUsers } from '../lab/users.js'
import { eventually, NODE, Service } from './service.js'

/** SEND HOST HEX COUNT [PORT]: sends datagrams to the port of NTP. */
const SEND = `const [host, hex, count, port] = process.argv.slice(1)
const socket = require('dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4')
socket.bind(+(port ?? 0), async () => {
  for (let i = 0; i < +count; i++)
    await new Promise((resolve) => socket.send(Buffer.from(hex, 'hex'), 123, host, resolve))
  socket.close()
})
socket.on('error', () => {})`
const REQUEST = `23${'00'.repeat(47)}`
const DATA = '53'.repeat(1260)
/** Has the form of a request but not its length. */
const LONG = `23${'53'.repeat(200)}`

const send = (web: Namespace, host: string, hex: string, user?: string, port?: number) =>
  web.run([...NODE, '-e', SEND, host, hex, '10', ...(port === undefined ? [] : [String(port)])], {
    ...(user === undefined ? {} : { user }),
  })

for (const host of [VICTIM.v4, VICTIM.v6])
  t.test(
    `the time server ${host} gets requests of the time service only, also while the service is dead`,
    async (t) => {
      await using lab = await createTopology()
      const service = await Service.start(
        lab.web,
        `mode: enforce\ninfrastructure: { dns: [], ntp: ["${host}"] }\n`,
      )
      t.teardown(() => service.remove())
      const arrivals = await countArrivals(lab.victims, 'to-web')
      const blocks = (reason: string) =>
        service.metric('packets_total', 'verdict="block"', `reason="${reason}"`)

      await send(lab.web, host, REQUEST)
      await eventually('requests of root arrive', async () => (await arrivals()).udp === 10)
      await send(lab.web, host, REQUEST, undefined, 123)
      await eventually('and from the port of NTP', async () => (await arrivals()).udp === 20)
      for (const hex of [DATA, LONG]) await send(lab.web, host, hex)
      await eventually('other data of root is blocked', async () => (await blocks('not-ntp')) === 20)
      if (canSwitchUsers()) {
        for (const hex of [DATA, REQUEST]) await send(lab.web, host, hex, 'www-data')
        await eventually('other users are blocked', async () => (await service.blocks()) >= 40)
      }
      t.equal((await arrivals()).udp, 20)

      await service.kill()
      await send(lab.web, host, REQUEST)
      await eventually('requests arrive while the service is dead', async () => (await arrivals()).udp === 30)
      if (canSwitchUsers()) await send(lab.web, host, DATA, 'www-data')
      t.equal((await arrivals()).udp, 30)
    },
  )
