/**
 * What the files of a host name is reached by those who need it, at the ports of the files, and by nobody
 * else.
 */
import t, { type Test } from 'tap'
import { countArrivals } from '../lab/arrivals.js'
import { createTopology, type Topology, VICTIM } from '../lab/topology.js'
import { connect, serveHttp } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { eventually, NODE, Service } from './service.js'

interface Host extends Topology {
  readonly service: Service
}

/** Makes a host with these files, and starts the service on it. */
async function host(t: Test, files: Readonly<Record<string, string>>): Promise<Host> {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  for (const [path, input] of Object.entries(files)) await lab.web.file(path, input)
  const service = await Service.start(lab.web, `mode: enforce\nmirrors: { discover: false }\n`)
  t.teardown(() => service.remove())
  return Object.assign(lab, { service })
}

const opens = async ({ web }: Topology, port: number, user?: string) =>
  (await connect(web, VICTIM.v4, port, { timeout: 3000, ...(user && { user }) })).outcome

const SEND = `const [host, port, hex] = process.argv.slice(1)
const socket = require('dgram').createSocket('udp4')
socket.send(Buffer.from(hex, 'hex'), +port, host, () => socket.close())`

/** A request of NTS: a header, an identifier, a cookie, seven placeholders, and an authenticator. */
const field = (type: string, length: number, body = '') =>
  `${type}${length.toString(16).padStart(4, '0')}${body.padEnd((length - 4) * 2, '5a')}`
const NTS = `23${'00'.repeat(47)}${field('0104', 36)}${field('0204', 104)}${field('0304', 104).repeat(7)}${field('0404', 40, '00100010')}`

t.test('time servers with NTS and a port of their own', async (t) => {
  const lab = await host(t, { '/etc/chrony.conf': `server ${VICTIM.v4} port 1123 nts ntsport 4470\n` })
  for (const port of [4460, 4470, 443]) await serveHttp(lab.victims, port)
  t.equal(await opens(lab, 4470), 'ok')
  t.not(await opens(lab, 4460), 'ok', 'another port')
  if (canSwitchUsers()) t.not(await opens(lab, 4470, 'www-data'), 'ok', 'another user')
  const arrivals = await countArrivals(lab.victims, 'to-web')
  const before = (await arrivals()).udp
  const send = (port: number, hex: string, user?: string) =>
    lab.web.run([...NODE, '-e', SEND, VICTIM.v4, String(port), hex], { ...(user && { user }) })
  await send(1123, NTS)
  await eventually('the request arrives', async () => (await arrivals()).udp === before + 1)
  await send(1123, `${NTS.slice(0, -8)}ffffffff${'53'.repeat(300)}`)
  await send(123, NTS)
  if (canSwitchUsers()) await send(1123, NTS, 'www-data')
  await send(1123, NTS)
  await eventually('a later request arrives', async () => (await arrivals()).udp === before + 2)
})

t.test('servers that a resolver on this host asks over TLS', async (t) => {
  const lab = await host(t, {
    '/etc/resolv.conf': 'nameserver 127.0.0.1\n',
    '/etc/unbound/unbound.conf': `forward-zone:\n name: "."\n forward-tls-upstream: yes\n forward-addr: ${VICTIM.v4}@853#dns.example.org\n`,
  })
  for (const port of [853, 443]) await serveHttp(lab.victims, port)
  t.equal(await opens(lab, 853), 'ok')
  t.not(await opens(lab, 443), 'ok', 'another port')
  if (canSwitchUsers()) t.not(await opens(lab, 853, 'www-data'), 'ok', 'another user')
})

t.test(
  'what is not known of a host is said by the start and by each command that it matters for',
  async (t) => {
    const { service } = await host(t, {
      '/etc/resolv.conf': 'nameserver 127.0.0.1\n',
      '/etc/unbound/unbound.conf': 'server:\n verbosity: 1\n',
    })
    const saidBy = async (...args: string[]) => {
      const { stdout, stderr } = await service.ask(...args)
      return `${stdout}${stderr}`.replace(/\n#? */g, ' ')
    }
    const resolver = /unbound on this host asks the name servers of each zone itself/
    const time = /no time server is known/
    for (const said of [resolver, time])
      await eventually(`the start says: ${said}`, async () => said.test(service.program.stderr))
    for (const args of [['check'], ['status'], ['doctor'], ['mode', 'enforce']]) {
      t.match(await saidBy(...args), resolver, args.join(' '))
      t.match(await saidBy(...args), time, args.join(' '))
    }
    t.match(await saidBy('suggest'), resolver, 'suggest')
    t.notMatch(await saidBy('mode', 'observe'), resolver, 'nothing is cut off in mode observe')
  },
)
