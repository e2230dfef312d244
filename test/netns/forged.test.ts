import t from 'tap'
import { countArrivals } from '../lab/arrivals.js'
import { createTopology, MIRROR, VICTIM, WEB } from '../lab/topology.js'
import { serveHttp } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { compile } from './programs.js'
import { eventually, Service } from './service.js'

const ATTACKER = canSwitchUsers() ? { user: 'www-data' } : {}
const ENDS = [
  [WEB.victims.v4, VICTIM.v4],
  [WEB.victims.v6, VICTIM.v6],
] as const

// include/net/tcp.h: #define TCPHDR_FIN BIT(0), _SYN BIT(1), _PSH BIT(3), _ACK BIT(4)
const FLAGS = {
  ACK: '0x10',
  'PSH-ACK': '0x18',
  'FIN-ACK': '0x11',
  'SYN-ACK': '0x12',
  SYN: '0x02',
}

t.jobs = 3

t.test(
  'a TCP segment forged from a service port or a closed port does not reach a host that is no client',
  async (t) => {
    const call = compile('call')
    const lab = await createTopology()
    t.teardown(() => lab.close())
    await serveHttp(lab.web, 80)
    const arrivals = await countArrivals(lab.victims, 'to-web')
    const forgeAll = async () => {
      for (const [local, remote] of ENDS)
        for (const port of ['80', '81'])
          for (const flags of Object.values(FLAGS))
            await lab.web.run([call, 'raw', local, port, remote, '9999', flags], { allowFailure: true })
    }
    await forgeAll()
    const sent = ENDS.length * 2 * Object.keys(FLAGS).length
    // Each SYN is answered by a RST, which the victims' end of the cable does not see.
    t.equal((await arrivals()).tcp, sent, 'without the service the segments arrive')
    const service = await Service.start(lab.web, 'mode: enforce\n')
    t.teardown(() => service.remove())
    await forgeAll()
    t.equal((await arrivals()).tcp, sent, 'with the service no more segments arrive')
    t.equal(await service.metric('packets_total', 'verdict="accept"', 'reason="session"'), 0)
  },
)

t.test('a program that shares the port of a service cannot open a connection from it', async (t) => {
  const call = compile('call')
  const lab = await createTopology()
  t.teardown(() => lab.close())
  await serveHttp(lab.victims, 80)
  const arrivals = await countArrivals(lab.victims, 'to-web')
  const callAll = () =>
    Promise.all(
      ENDS.map(([local, remote]) =>
        lab.web.run([call, 'reuse', local, '8080', remote, '80'], { allowFailure: true, ...ATTACKER }),
      ),
    )
  t.same(
    (await callAll()).map(({ status }) => status),
    [0, 0],
    'without the service the connections succeed',
  )
  const service = await Service.start(lab.web, 'mode: enforce\n')
  t.teardown(() => service.remove())
  await eventually('no more packets arrive', async () => {
    const before = (await arrivals()).tcp
    await new Promise((resolve) => setTimeout(resolve, 500))
    return (await arrivals()).tcp === before
  })
  const before = (await arrivals()).tcp
  t.same(
    (await callAll()).map(({ status }) => status),
    [1, 1],
    'with the service the connections are refused',
  )
  t.equal((await arrivals()).tcp, before)
})

t.test(
  'an outside host does not become a client when a program here binds its address and sends from it',
  async (t) => {
    const forge = compile('forge')
    const lab = await createTopology()
    t.teardown(() => lab.close())
    const arrivals = await countArrivals(lab.victims, 'to-web')
    const attack = () => lab.web.run([forge, WEB.victims.v6, VICTIM.v6], { allowFailure: true, ...ATTACKER })
    t.match(await attack(), { status: 0, stdout: '3\n' })
    t.equal((await arrivals()).udp, 3, 'without the service the datagrams arrive')
    const service = await Service.start(lab.web, 'mode: enforce\n')
    t.teardown(() => service.remove())
    t.equal((await attack()).status, 0)
    t.equal((await arrivals()).udp, 3, 'with the service no more datagrams arrive')
    t.ok((await service.metric('kernel_packets_total', 'path="forged"')) >= 1)
    await service.kill()
    await attack()
    t.equal((await arrivals()).udp, 3, 'no more datagrams arrive while the service is dead')
  },
)

t.test(
  'a SYN forged by an outside host does not make a connection to that host pass as an answer',
  async (t) => {
    const call = compile('call')
    const lab = await createTopology()
    t.teardown(() => lab.close())
    await serveHttp(lab.victims, 80)
    const service = await Service.start(lab.web, 'mode: enforce\n')
    t.teardown(() => service.remove())
    const forge = (local: string, remote: string) =>
      lab.victims.run([call, 'raw', remote, '80', local, '8080', FLAGS.SYN])
    const outcomes = ENDS.map(async ([local, remote]) => {
      const caller = lab.web.spawn([call, 'both', local, '8080', remote, '80'], ATTACKER)
      await caller.until(() => caller.stdout || undefined)
      await forge(local, remote)
      return caller.exited
    })
    t.same(await Promise.all(outcomes), [1, 1])
    t.ok((await service.blocks('protocol="tcp"')) >= 2, 'the connections were judged')
  },
)

t.test('a connection of another user from the port of an approved connection is not approved', async (t) => {
  if (!canSwitchUsers())
    return void t.comment('left out: a second user (only one user exists in this namespace)')
  const call = compile('call')
  const lab = await createTopology()
  t.teardown(() => lab.close())
  await serveHttp(lab.mirror, 80)
  await lab.mirror.run(['nft', '-f', '-'], {
    input: 'table inet own { chain in { type filter hook input priority filter; tcp dport 80 drop; }; }',
  })
  const service = await Service.start(lab.web, `mode: enforce\nmirrors: { hosts: [${MIRROR.v4}] }\n`)
  t.teardown(() => service.remove())
  const ends = [WEB.mirror.v4, '40080', MIRROR.v4, '80']
  const root = lab.web.spawn([call, 'later', ...ends])
  await eventually(
    'root opens a connection',
    async () => (await service.metric('packets_total', 'reason="mirror"')) > 0,
  )
  await root.stop()
  await lab.mirror.run(['nft', 'delete', 'table', 'inet', 'own'])
  const { status } = await lab.web.run([call, 'both', ...ends], { allowFailure: true, ...ATTACKER })
  t.equal(status, 1)
})
