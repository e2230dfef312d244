import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Sockets } from '../../../src/kernel/sockets/sockets.js'
import { Namespace } from '../../lab/namespace.js'
import { NODE } from '../../netns/service.js'

const PROGRAM = fileURLToPath(new URL('../programs/sockets.js', import.meta.url))
const ADDRESSES = ['198.51.100.1/32', '2001:db8::1/128', 'fe80::1/64']

/** The rules drop the kernel's answer to the first SYN: the handshake stays incomplete. */
const LOSE_SYN_ACK =
  'table inet own { chain in { type filter hook input priority filter; tcp flags & (syn | ack) == syn | ack drop; }; }'

// biome-ignore lint/suspicious/noExplicitAny: each scenario reports what it likes
async function report(scenario: string, rules?: string): Promise<any> {
  await using place = await Namespace.create(scenario)
  await place.address('lo', ...ADDRESSES)
  if (rules) await place.run(['nft', '-f', '-'], { input: rules })
  return JSON.parse((await place.run([...NODE, PROGRAM, scenario])).stdout)
}

t.jobs = 4

t.test(
  'a client is connected when the called end is looked up, by IPv4, IPv6 and IPv4 on an IPv6 socket',
  async (t) => {
    const all = Array(4).fill('established')
    t.same(await report('connected'), {
      server: all,
      client: Array(4).fill('none'),
      onDevice: all,
      onOtherDevice: all,
      lookups: { established: 12, transient: 0, none: 4, unknown: 0 },
    })
  },
)

t.test(
  'without a socket of these two ends there is no connection, even when a socket listens at one of them',
  async (t) => {
    t.same(await report('none'), { asked: Array(18).fill('none'), reset: Array(6).fill('none') })
  },
)

t.test(
  'a connection that is being closed is transient; it is established when only the client has closed',
  async (t) => {
    t.same(await report('closing'), {
      finWait2: ['transient', 'none'],
      timeWait: ['transient', 'none'],
      closeWait: ['established', 'none'],
    })
  },
)

t.test(
  'until the handshake is complete, the called end is transient, and the calling end is no client',
  async (t) => {
    t.same(await report('handshake', LOSE_SYN_ACK), { server: 'transient', client: 'none' })
  },
)

t.test('both sockets of a connection show which end opened it', async (t) => {
  const right = Array(3).fill(['other-end', 'this-host'])
  t.same(await report('callers'), { idle: right, busy: right, halfClosed: right })
})

t.test('an address and port with a listening socket are distinguished from one without', async (t) => {
  t.same(await report('listening'), { yes: Array(4).fill(true), no: Array(4).fill(false) })
})

t.test('a socket that is bound to a device is found for that device only', async (t) => {
  t.same(await report('bound'), {
    onDevice: ['established', 'none'],
    onOtherDevice: ['none', 'none'],
    onAny: ['none', 'none'],
  })
})

t.test('lists that are requested at the same time are all complete and equal', async (t) => {
  const { listening, servers, udp, connections, ends, different } = await report('lists')
  t.same(listening, servers, 'sockets at loopback addresses are left out')
  t.same(udp, [53], 'a connected UDP socket is no service')
  t.same(connections, ends)
  t.equal(different, 2, 'there is one answer for each of the two lists')
})

t.test('a list that takes the kernel too long is left, and the last one stays', async (t) => {
  const sockets = new Sockets()
  t.teardown(() => sockets.close())
  const ports = async () => (await sockets.listening(-1)).tcp
  const before = await ports()
  const server = createServer().listen(0)
  t.teardown(() => server.close())
  await once(server, 'listening')
  // The clock goes as if the kernel took a second for each socket.
  let ms = performance.now()
  const now = () => {
    ms += 1000
    return ms
  }
  const clock = t.intercept(performance, 'now', { value: now, configurable: true })
  t.equal(await ports(), before)
  clock.restore()
  t.ok((await ports()).has((server.address() as AddressInfo).port))
})

t.test(
  'single look-ups are answered while a list is read; after close() the result is unknown',
  async (t) => {
    t.same(await report('between'), {
      during: ['established'],
      closed: ['unknown', 'ECANCELED', 'EBADF'],
      lookups: { established: 1000, transient: 0, none: 0, unknown: 1 },
    })
  },
)

t.test('a busy connection is never taken for one of the other direction', async (t) => {
  const { client, server, callers } = await report('busy')
  t.ok(
    client.includes('none') && !client.includes('established'),
    `the end that called was seen as: ${client}`,
  )
  t.ok(
    server.includes('established') && !server.includes('none'),
    `the end that was called was seen as: ${server}`,
  )
  t.ok(callers.includes('this-host') && !callers.includes('other-end'), `the list had: ${callers}`)
})

t.test(
  'a connection is ended at both ends; a socket of another user, and one that listens, are left alone',
  async (t) => {
    t.same(await report('aborted'), {
      ofOthers: [false, false],
      aborted: [true, true, true],
      errors: Array(3).fill(['ECONNABORTED', 'ECONNRESET']).flat(),
      ...{ halfClosed: true, error: 'ECONNABORTED' },
      ...{ listening: false, stillListens: true, closed: false },
    })
  },
)

t.test('only the wanted UDP ports are listed, and connections to other hosts', async (t) => {
  t.same(await report('wanted'), {
    udp: [[53, 5300], [53], []],
    ...{ tcp: true, root: true, others: [], pair: false },
  })
})

t.test('ports can be left out of a list, as many as hundreds', async (t) => {
  t.same(await report('without'), { lists: [[443, 8080, 8443], [443, 8443], [8080], [443, 8080]] })
})
