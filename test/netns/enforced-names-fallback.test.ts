import t from 'tap'
import { lookUp, serveDnsmasq } from '../lab/dnsmasq.js'
import { MIRROR, WEB } from '../lab/topology.js'
import { canSwitchUsers } from '../lab/users.js'
import { framed, RECORDS, SETTINGS, TUNNEL } from './enforced-names.js'
import { compile } from './programs.js'
import { createLab, guard, NAME, query, TAKEN_FOR_ALIVE_MS } from './resolving.js'
import { eventually, kernelCount, NODE, pause } from './service.js'

t.jobs = 3

t.test('while the service is dead, only trusted users may send DNS queries', async (t) => {
  const lab = await createLab(t)
  const dns = await serveDnsmasq(lab.mirror, RECORDS)
  const service = await guard(t, lab, SETTINGS)
  await service.launch()
  await service.kill()
  await pause(TAKEN_FOR_ALIVE_MS)
  const plan = { count: 1, port: 80, way: 'resolver', timeout: 2000 } as const
  await lookUp(lab.web, { ...plan, name: `root.${TUNNEL}` })
  const asked = () => dns.queries().filter((name) => name.endsWith(TUNNEL))
  t.same(asked(), [`root.${TUNNEL}`], 'a query of root passes for any name: the kernel cannot read names')
  if (!canSwitchUsers())
    return void t.comment('left out: a second user (only one user exists in this namespace)')
  await lookUp(lab.web, { ...plan, name: `other.${TUNNEL}` }, 'www-data')
  t.same(asked(), [`root.${TUNNEL}`], 'a query of another user does not pass')
})

t.test(
  'while the service is dead, no query leaves over TCP from a port on which its program also listens',
  async (t) => {
    if (!canSwitchUsers())
      return void t.comment('left out: a second user (only one user exists in this namespace)')
    const lab = await createLab(t)
    const dns = await serveDnsmasq(lab.mirror, RECORDS)
    const service = await guard(t, lab, `${SETTINGS}sessions: { services: [tcp/8080] }\n`)
    await service.launch()
    const words = framed(query(`secret.${TUNNEL}`)).toString('hex')
    const argv = [compile('call'), 'talk', WEB.mirror.v4, '8080', MIRROR.v4, '53', words]
    const talker = lab.web.spawn(argv, { user: 'www-data' })
    await talker.until(() => talker.stdout.includes('connected') || undefined)
    await service.kill()
    await pause(TAKEN_FOR_ALIVE_MS)
    talker.kill('SIGUSR1')
    await eventually(
      'the kernel drops the packets that the program sends again',
      async () => (await kernelCount(lab.web, 'fallback_drop')) > 0,
    )
    t.ok(talker.running, 'the program still runs')
    t.same(
      dns.queries().filter((name) => name.endsWith(TUNNEL)),
      [],
    )
  },
)

/** FLOOD HOST QUERY: sends the query 3,000 times as fast as possible. */
const FLOOD = `const socket = require('dgram').createSocket('udp4')
const [host, query] = process.argv.slice(1)
let left = 3000
const next = () => (left-- > 0 ? socket.send(Buffer.from(query, 'hex'), 53, host, next) : socket.close())
socket.on('error', () => {})
next()`

t.test(
  'in a flood of DNS queries that fills the queue, no query for a name outside the allowlist passes',
  async (t) => {
    const lab = await createLab(t)
    const dns = await serveDnsmasq(lab.mirror, RECORDS)
    const service = await guard(
      t,
      lab,
      `${SETTINGS.replace('{ ', '{ resolve: false, ')}queue: { maxLength: 1 }\n`,
    )
    await service.launch()
    // No query has come for as long as this.
    await pause(TAKEN_FOR_ALIVE_MS)
    // The flood runs as root, whose queries may pass while the service is dead.
    const flood = [...NODE, '-e', FLOOD, MIRROR.v4, query(`secret.${TUNNEL}`).toString('hex')]
    // The service stops for a moment, so that the queue becomes full for certain.
    service.program.kill('SIGSTOP')
    await lab.web.run(flood)
    service.program.kill('SIGCONT')
    const unread = await service.metric('kernel_packets_total', 'fallback_drop')
    t.ok(unread > 100, `${unread} packets found the queue full`)
    await eventually(
      'the rest of the packets is judged',
      async () => (await service.metric('queue_length')) === 0,
    )
    t.same(
      dns.queries().filter((name) => name !== NAME),
      [],
    )
  },
)

t.test(
  'while one user floods the resolver with queries, the names of other users are looked up',
  async (t) => {
    if (!canSwitchUsers())
      return void t.comment('left out: a second user (only one user exists in this namespace)')
    const lab = await createLab(t)
    await serveDnsmasq(lab.mirror, RECORDS)
    const service = await guard(t, lab, SETTINGS)
    await service.launch()
    const flood = [...NODE, '-e', FLOOD, MIRROR.v4, query(`secret.${TUNNEL}`).toString('hex')]
    const floods = Array.from({ length: 3 }, () => lab.web.spawn(flood, { user: 'www-data' }))
    const plan = { count: 20, port: 80, way: 'getaddrinfo', name: NAME } as const
    t.match(await lookUp(lab.web, plan), { connected: 20 })
    await Promise.all(floods.map(({ exited }) => exited))
    const read = await service.metric('packets_total', 'reason="name-not-allowed"')
    const unread = await service.metric('kernel_packets_total', 'flooded')
    t.ok(read >= 100 && unread > read, `${read} queries of the flood were read, ${unread} were not`)
  },
)

for (const resolvers of ['0.0.0.0/0', '198.51.100.0/24', `203.0.113.0/24, ${MIRROR.v4}`])
  t.test(
    `the service proves to the kernel that it is alive when the resolvers are ${resolvers}`,
    async (t) => {
      const lab = await createLab(t)
      const dns = await serveDnsmasq(lab.mirror, RECORDS)
      const settings = SETTINGS.replace('{ ', '{ resolve: false, ')
      const service = await guard(
        t,
        lab,
        `${settings}infrastructure: { dns: ["${resolvers.split(', ').join('", "')}"] }\n`,
      )
      await service.launch()
      await eventually('the service has judged its own query', async () => {
        const { stdout } = await lab.web.run(['nft', 'list', 'set', 'inet', 'checkvalve', 'judging'])
        return /elements = \{ (53|domain) /.test(stdout)
      })
      t.same(dns.queries(), [], 'that query does not arrive at the resolver')
    },
  )
