/**
 * sockets SCENARIO: makes connections in this network namespace, and prints what Sockets returns for them.
 */

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, isIPv6, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { parentPort, Worker } from 'node:worker_threads'
import { NETLINK_SOCK_DIAG, NetlinkSocket } from 'node-netfilter-queue/system'
import { formatAddress } from '../../../src/core/packet/address-text.js'
import type { Connection, SocketState } from '../../../src/core/packet/ip.js'
import { IPPROTO_TCP } from '../../../src/core/packet/ip.js'
import { ConnectionAborter } from '../../../src/kernel/sockets/connection-aborter.js'
import { portsWithout } from '../../../src/kernel/sockets/port-filters.js'
import type { SocketConnection } from '../../../src/kernel/sockets/sock-diag-wire.js'
import { AF_INET, diagRequest, TCP_LISTEN } from '../../../src/kernel/sockets/sock-diag-wire.js'
import { Sockets } from '../../../src/kernel/sockets/sockets.js'
import { words } from '../../core/packets.js'
import { say } from '../../lab/programs/say.js'
import { PATIENCE_MS } from '../../lab/waiting.js'

const [V4, V6] = ['198.51.100.1', '2001:db8::1'] as const
/** LO is the index of the device lo in any namespace. */
const LO = 1

/** Both ends of one connection in their programs. A socket that has ended no longer has its ports. */
interface Pair {
  readonly host: string
  readonly serverPort: number
  readonly clientPort: number
  readonly client: Socket
  readonly accepted: Socket
}

const sockets = new Sockets()

const portOf = (server: Server) => (server.address() as AddressInfo).port

async function listen(host: string, port = 0): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }).listen(port, host)
  await once(server, 'listening')
  return server
}

/** Opens a connection to `host`; its server listens at `at`. */
async function open(host: string, at = host): Promise<Pair> {
  const server = await listen(at)
  const client = connect({ host, port: portOf(server), localAddress: host, allowHalfOpen: true })
  const [accepted] = (await once(server, 'connection')) as [Socket]
  if (client.connecting) await once(client, 'connect')
  const ports = { serverPort: portOf(server), clientPort: client.localPort! }
  return { host: host.split('%')[0]!, ...ports, client, accepted }
}

/** Asks the kernel for the state of a connection by these two ports. */
function ask(host: string, localPort: number, remotePort: number, device = 0): SocketState {
  const address = words(host)
  return sockets.lookUp(isIPv6(host) ? 6 : 4, address, localPort, address, remotePort, device)
}

const ofServer = ({ host, serverPort, clientPort }: Pair, device?: number) =>
  ask(host, serverPort, clientPort, device)
const ofClient = ({ host, serverPort, clientPort }: Pair, device?: number) =>
  ask(host, clientPort, serverPort, device)

type Ports = Pick<Pair, 'serverPort' | 'clientPort'>

/** Waits until /proc/net/tcp has the server's socket of a connection in a state, in the kernel's form. */
async function shows(state: string, { serverPort, clientPort }: Ports): Promise<void> {
  const hex = (port: number) => port.toString(16).toUpperCase().padStart(4, '0')
  const line = new RegExp(`:${hex(serverPort)} \\w+:${hex(clientPort)} ${state} `)
  for (let waited = 0; !line.test(readFileSync('/proc/net/tcp', 'utf8')); waited += 5) {
    if (waited > PATIENCE_MS)
      throw new Error(`no socket ${serverPort} to ${clientPort} came to state ${state}`)
    await sleep(5)
  }
}

const scenarios: Record<string, () => Promise<Record<string, unknown>>> = {
  /** Connects over IPv4, over IPv4 on an IPv6 socket, over IPv6, and to an IPv6 server on every address. */
  async connected() {
    const pairs = [await open(V4), await open(V4, '::'), await open(V6), await open(V6, '::')]
    return {
      server: pairs.map((pair) => ofServer(pair)),
      client: pairs.map((pair) => ofClient(pair)),
      onDevice: pairs.map((pair) => ofServer(pair, LO)),
      onOtherDevice: pairs.map((pair) => ofServer(pair, 99)),
      lookups: sockets.lookups,
    }
  },

  /** Looks up connections of ports that listen, and of ports without a socket: there are none. */
  async none() {
    const pairs = [await open(V4), await open(V4, '::'), await open(V6)]
    const asked = pairs.flatMap(({ host, serverPort, clientPort }) => [
      ask(host, serverPort, clientPort ^ 1),
      ask(host, serverPort, 0),
      ask(host, serverPort, serverPort),
      ask(host, 9, clientPort),
      ask(host, clientPort, clientPort),
      ask(isIPv6(host) ? '2001:db8::2' : '198.51.100.2', serverPort, clientPort),
    ])
    for (const { client, accepted } of pairs) for (const each of [client, accepted]) each.resetAndDestroy()
    await Promise.all(pairs.map(({ client }) => client.closed || once(client, 'close')))
    return { asked, reset: pairs.flatMap((pair) => [ofServer(pair), ofClient(pair)]) }
  },

  /** Returns which end opened each connection, after some data and with one half closed. */
  async callers() {
    const pairs = [await open(V4), await open(V4, '::'), await open(V6)]
    const found = async () => {
      const connections = await sockets.connections(() => false)
      const of = (local: number, remote: number) =>
        connections.find(({ localPort, remotePort }) => localPort === local && remotePort === remote)
          ?.initiator
      return pairs.map(({ serverPort, clientPort }) => [
        of(serverPort, clientPort),
        of(clientPort, serverPort),
      ])
    }
    const idle = await found()
    for (const { client, accepted } of pairs) {
      client.write('x'.repeat(100_000))
      accepted.write('y'.repeat(300_000))
    }
    await sleep(100)
    const busy = await found()
    for (const { client, accepted } of pairs) {
      accepted.resume()
      client.resume().end()
    }
    await shows('08', pairs[0]!)
    await sleep(100)
    return { idle, busy, halfClosed: await found() }
  },

  /** Lists listening sockets: of IPv4, of IPv6 for both families, of IPv6 only; other sockets are missing. */
  async listening() {
    const [four, both, six] = [await listen(V4), await listen('::'), await listen(V6)]
    const pair = await open(V4)
    const asks = (host: string, port: number) => sockets.listens(isIPv6(host) ? 6 : 4, words(host), port, LO)
    return {
      yes: [asks(V4, portOf(four)), asks(V4, portOf(both)), asks(V6, portOf(both)), asks(V6, portOf(six))],
      no: [
        asks(V6, portOf(four)),
        asks(V4, portOf(six)),
        asks(V4, pair.clientPort),
        asks('198.51.100.2', portOf(four)),
      ],
    }
  },

  /** Reports the states from the close of one end to the close of both. */
  async closing() {
    const [left, leaving] = [await open(V4), await open(V4)]
    left.accepted.end()
    await shows('05', left)
    const finWait2 = [ofServer(left), ofClient(left)]
    left.client.end()
    await shows('06', left)
    const timeWait = [ofServer(left), ofClient(left)]
    leaving.client.end()
    await shows('08', leaving)
    return { finWait2, timeWait, closeWait: [ofServer(leaving), ofClient(leaving)] }
  },

  /** Leaves a handshake incomplete: the namespace drops its third packet. */
  async handshake() {
    await listen(V4, 443)
    connect({ host: V4, port: 443, localAddress: V4, localPort: 40_000 })
    await shows('02', { serverPort: 40_000, clientPort: 443 })
    await shows('03', { serverPort: 443, clientPort: 40_000 })
    return { server: ask(V4, 443, 40_000), client: ask(V4, 40_000, 443) }
  },

  /**
   * Aborts connections over both families from one of their ends, an end that a program has closed, and one that only a
   * listening socket has.
   */
  async aborted() {
    const aborter = new ConnectionAborter()
    const at = (host: string, localPort: number, remotePort: number) => ({
      ...{
        family: isIPv6(host) ? (6 as const) : (4 as const),
        local: words(host),
        remote: words(host),
        device: 0,
        uid: process.getuid!(),
      },
      ...{ localPort, remotePort },
    })
    const pairs = [await open(V4), await open(V4, '::'), await open(V6)]
    const failures = pairs.flatMap(({ client, accepted }) =>
      [client, accepted].map((end) => once(end, 'error')),
    )
    const other = { ...at(V4, pairs[0]!.clientPort, pairs[0]!.serverPort), uid: 4711 }
    const ofOthers = [aborter.abort(other), aborter.abort({ ...other, uid: -1 })]
    const aborted = pairs.map(({ host, clientPort, serverPort }) =>
      aborter.abort(at(host, clientPort, serverPort)),
    )
    const errors = (await Promise.all(failures)).map(([error]) => error.code)
    const leaving = await open(V4)
    leaving.client.end()
    await shows('08', leaving)
    const failed = once(leaving.client, 'error')
    const halfClosed = aborter.abort(at(V4, leaving.clientPort, leaving.serverPort))
    const [error] = (await failed) as [NodeJS.ErrnoException]
    const server = await listen(V4)
    const listening = aborter.abort(at(V4, portOf(server), 9))
    const after = await open(V4)
    aborter.close()
    const closed = aborter.abort(at(V4, after.clientPort, after.serverPort))
    return {
      ofOthers,
      aborted,
      errors,
      halfClosed,
      error: error.code,
      listening,
      stillListens: server.listening,
      closed,
    }
  },

  /** Connects link-local addresses, which bind both sockets to their device. */
  async bound() {
    const pair = await open('fe80::1%lo')
    return {
      onDevice: [ofServer(pair, LO), ofClient(pair, LO)],
      onOtherDevice: [ofServer(pair, 99), ofClient(pair, 99)],
      onAny: [ofServer(pair, 0), ofClient(pair, 0)],
    }
  },

  /** Looks up both ends of a busy connection repeatedly. */
  async busy() {
    const worker = new Worker(new URL(import.meta.url), { argv: ['chatter'] })
    const [pair] = (await once(worker, 'message')) as [Pair]
    const states = (of: typeof ofServer) => new Set(Array.from({ length: 20_000 }, () => of(pair)))
    const [client, server] = [states(ofClient), states(ofServer)]
    const callers = new Set<string>()
    for (let times = 0; times < 200; times++)
      for (const { localPort, initiator } of await sockets.connections(() => false))
        if (localPort === pair.clientPort) callers.add(initiator)
    await worker.terminate()
    return { client: [...client], server: [...server], callers: [...callers] }
  },

  /** Runs the other thread of `busy`: it sends one byte after the other, both ways. */
  async chatter() {
    const { host, serverPort, clientPort, client, accepted } = await open(V4)
    for (const each of [client, accepted]) each.setNoDelay().resume()
    parentPort!.postMessage({ host, serverPort, clientPort })
    for (;;) {
      for (let i = 0; i < 16; i++) for (const each of [client, accepted]) each.write('x')
      await new Promise(setImmediate)
    }
  },

  async lists() {
    const pairs = [await open(V4), await open(V4, '::'), await open(V6)]
    const [unconnected, connected] = [createSocket('udp4').bind(53), createSocket('udp6').bind(54)]
    await Promise.all([once(unconnected, 'listening'), once(connected, 'listening')])
    // No other host can reach these addresses.
    for (const host of ['127.0.0.1', '127.1.2.3', '::1', '::ffff:127.0.0.1']) await listen(host)
    await once(createSocket('udp4').bind(5353, '127.0.0.53'), 'listening')
    connected.connect(9, V6)
    await once(connected, 'connect')
    const asked = Array.from({ length: 50 }, (_, i) =>
      i % 2 ? sockets.listening(1023) : sockets.connections(() => false),
    )
    const answers = await Promise.all(asked)
    const [connections, listening] = answers as [SocketConnection[], { tcp: Set<number>; udp: Set<number> }]
    const end = ({ family, local, localPort, remotePort }: Connection) =>
      `${formatAddress(family, local)} ${localPort} ${remotePort}`
    const text = (answer: unknown) =>
      JSON.stringify(answer, (_, value) => (value instanceof Set ? [...value] : value))
    return {
      listening: [...listening.tcp].sort(),
      udp: [...listening.udp],
      servers: pairs.map(({ serverPort }) => serverPort).sort(),
      connections: connections.map(end).sort(),
      ends: pairs
        .flatMap(({ host, serverPort, clientPort }) => [
          `${host} ${serverPort} ${clientPort}`,
          `${host} ${clientPort} ${serverPort}`,
        ])
        .sort(),
      different: new Set(answers.map(text)).size,
    }
  },

  /** Lists UDP ports up to different ones, and connections to other addresses than one. */
  async wanted() {
    const [privileged, high] = [createSocket('udp4').bind(53), createSocket('udp4').bind(5300)]
    await Promise.all([once(privileged, 'listening'), once(high, 'listening')])
    const server = await listen(V4, 443)
    const pair = await open(V4)
    const all = await sockets.listening(65_535)
    const some = await sockets.listening(1023)
    const none = await sockets.listening(-1)
    const others = await sockets.connections((_, remote) => remote[0] === words(V4)[0])
    server.close()
    return {
      udp: [all, some, none].map(({ udp }) => [...udp].sort()),
      tcp: some.tcp.has(443),
      root: some.rootTcp.has(443),
      others,
      pair: pair.client.connecting,
    }
  },

  /** Lists the ports of listening sockets with different ports left out, by the filter in the kernel. */
  async without() {
    await Promise.all([443, 8080, 8443].map((port) => listen(V4, port)))
    const dumps = new NetlinkSocket({ protocol: NETLINK_SOCK_DIAG, slots: 4 })
    const list = async (...ports: number[]) => {
      const found: number[] = []
      const request = diagRequest(AF_INET, IPPROTO_TCP, [TCP_LISTEN], portsWithout(ports))
      await dumps.request(request, 'listing', ({ view, payload }) => found.push(view.getUint16(payload + 4)))
      return found.sort((a, b) => a - b)
    }
    const many = Array.from({ length: 512 }, (_, i) => 8081 + i)
    return { lists: [await list(), await list(8080), await list(443, 8443, 1, 65_535), await list(...many)] }
  },

  /** Looks sockets up while a list is read, and after the close. */
  async between() {
    const pair = await open(V4)
    const lists = [sockets.listening(1023), sockets.connections(() => false)]
    const during = Array.from({ length: 1000 }, () => ofServer(pair))
    await Promise.all(lists)
    const under = [sockets.connections(() => false), sockets.listening(1023)]
    // The first of the two lists is running by then.
    await Promise.resolve()
    sockets.close()
    const settled = await Promise.allSettled(under)
    return {
      during: [...new Set(during)],
      closed: [ofServer(pair), ...settled.map((each) => 'reason' in each && each.reason.code)],
      lookups: sockets.lookups,
    }
  },
}

say(await scenarios[process.argv[2]!]!())
process.exit()
