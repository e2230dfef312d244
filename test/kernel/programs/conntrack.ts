/**
 * conntrack SCENARIO: makes connections in this network namespace, and prints those that Conntrack reports.
 */
import { execFileSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, isIPv6, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { NETLINK_NETFILTER, NetlinkSocket } from 'node-netfilter-queue/system'
import { IPPROTO_TCP, IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import { Conntrack, type ConntrackEvents } from '../../../src/kernel/conntrack/conntrack.js'
import {
  Flow,
  IPCTNL_MSG_CT_DELETE,
  NFNLGRP_CONNTRACK_DESTROY,
  NFNLGRP_CONNTRACK_NEW,
  NFNLGRP_CONNTRACK_UPDATE,
  readFlow,
} from '../../../src/kernel/conntrack/wire.js'
import { say } from '../../lab/programs/say.js'
import { PATIENCE_MS } from '../../lab/waiting.js'

const FORGET = fileURLToPath(new URL('../../netns/programs/forget-connections.js', import.meta.url))
const HOSTS = ['198.51.100.1', '2001:db8::1'] as const

/**
 * PORTS has a port for each state that a connection is left in, STATES the number of the state (enum
 * tcp_conntrack).
 */
const PORTS = { established: 443, closeWait: 444, lastAck: 445, timeWait: 446, closed: 447, synReceived: 448 }
const STATES = { established: 3, closeWait: 5, lastAck: 6, timeWait: 7, closed: 8, synReceived: 2 }
type State = keyof typeof PORTS
const DNS = 53

/** Formats a flow as `family protocol port state`, of the end that was called. */
const text = ({ family, protocol, sourcePort, tcpState }: Flow) =>
  `${family} ${protocol} ${sourcePort} ${tcpState}`

/** Collects the flows that Conntrack reports, and those that a listener without a filter receives. */
function listen(news: ConntrackEvents) {
  const [filtered, all]: [string[], string[]] = [[], []]
  const conntrack = new Conntrack((flow) => filtered.push(text(flow)))
  conntrack.subscribe(news)
  const flow = new Flow()
  new NetlinkSocket({
    protocol: NETLINK_NETFILTER,
    groups: [NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_UPDATE, NFNLGRP_CONNTRACK_DESTROY],
    onMessage: ({ view, type, payload, end }) => {
      const isWanted = news === 'all' || type === IPCTNL_MSG_CT_DELETE
      if (isWanted && readFlow(view, payload, end, flow)) all.push(text(flow))
    },
  })
  return { conntrack, filtered, all }
}

async function dumped(conntrack: Conntrack, protocol?: number): Promise<string[]> {
  const flows: string[] = []
  await conntrack.dump(protocol, (flow) => flows.push(text(flow)))
  return flows.sort()
}

/** Waits until the kernel has `count` connections in a state on its port. */
async function waitForConnections(conntrack: Conntrack, state: State, count: number): Promise<void> {
  const end = ` ${PORTS[state]} ${STATES[state]}`
  for (let waited = 0; ; waited += 5) {
    const flows = await dumped(conntrack, IPPROTO_TCP)
    if (flows.filter((each) => each.endsWith(end)).length === count) return
    if (waited > PATIENCE_MS) throw new Error(`${count} connections${end}, but ${flows.join()}`)
    await sleep(5)
  }
}

async function open(host: string, port: number): Promise<[client: Socket, accepted: Socket]> {
  const server = createServer({ allowHalfOpen: true }).listen(port, host)
  await once(server, 'listening')
  const client = connect({ host, port, allowHalfOpen: true })
  const [accepted] = (await once(server, 'connection')) as [Socket]
  // Some connections are reset on purpose.
  for (const socket of [client, accepted]) socket.on('error', () => {})
  return [client, accepted]
}

/** Leaves a connection of each host in the state of that port. */
async function leave(conntrack: Conntrack, state: State, end: (pair: [Socket, Socket]) => void) {
  const pairs = await Promise.all(HOSTS.map((host) => open(host, PORTS[state])))
  for (const pair of pairs) end(pair)
  await waitForConnections(conntrack, state, HOSTS.length)
}

async function leaveInEachState(conntrack: Conntrack): Promise<void> {
  await leave(conntrack, 'established', () => {})
  await leave(conntrack, 'closeWait', ([client]) => client.end())
  await leave(conntrack, 'closed', ([client]) => client.resetAndDestroy())
  await leave(conntrack, 'timeWait', (pair) => pair.map((socket) => socket.end()))
  const ended: Socket[] = []
  await leave(conntrack, 'lastAck', ([client, accepted]) => {
    client.end()
    accepted.resume().once('end', () => {
      // All clients must have sent their data before the rule drops their packets.
      if (ended.push(accepted) < HOSTS.length) return
      execFileSync('nft', [`add element inet own deaf { ${PORTS.lastAck} }`])
      for (const socket of ended) socket.end()
    })
  })
  for (const host of HOSTS) {
    await once(createServer().listen(PORTS.synReceived, host), 'listening')
    connect({ host, port: PORTS.synReceived })
  }
  await waitForConnections(conntrack, 'synReceived', HOSTS.length)
}

async function sendDatagrams(): Promise<void> {
  for (const host of HOSTS) {
    const type = isIPv6(host) ? 'udp6' : 'udp4'
    const [server, client] = [createSocket(type).bind(DNS, host), createSocket(type)]
    await once(server, 'listening')
    client.send('question', DNS, host)
    await once(server, 'message')
    for (const socket of [server, client]) socket.close()
  }
}

/** Makes the kernel forget all flows, and waits until it has reported `count` of them. */
async function forget(all: readonly string[], count: number): Promise<void> {
  execFileSync(process.execPath, [FORGET])
  for (let waited = 0; all.length < count && waited < PATIENCE_MS; waited += 5) await sleep(5)
  await sleep(50)
}

const scenarios: Record<string, () => Promise<object>> = {
  async forgotten() {
    const { conntrack, filtered, all } = listen('forgotten')
    await leaveInEachState(conntrack)
    await sendDatagrams()
    const before = { filtered: filtered.length, known: await dumped(conntrack) }
    await forget(all, before.known.length)
    return { before, filtered: filtered.sort(), all: all.sort() }
  },

  async living() {
    const { conntrack, filtered, all } = listen('all')
    await leave(conntrack, 'established', () => {})
    await leave(conntrack, 'timeWait', (pair) => pair.map((socket) => socket.end()))
    await sendDatagrams()
    await sleep(50)
    return { filtered: [...new Set(filtered)].sort(), all: [...new Set(all)].sort() }
  },

  async wanted() {
    const { conntrack, filtered, all } = listen('forgotten')
    await sendDatagrams()
    const changes = [
      conntrack.subscribe('forgotten'),
      conntrack.subscribe('nothing'),
      conntrack.subscribe('nothing'),
    ]
    await forget(all, HOSTS.length)
    const nothing = filtered.length
    changes.push(conntrack.subscribe('forgotten'))
    await sendDatagrams()
    await forget(all, 2 * HOSTS.length)
    return { changes, nothing, forgotten: filtered.sort() }
  },

  async dumps() {
    const { conntrack } = listen('nothing')
    await leave(conntrack, 'established', () => {})
    await sendDatagrams()
    const [tcp, udp, both] = await Promise.all(
      [IPPROTO_TCP, IPPROTO_UDP, undefined].map((protocol) => dumped(conntrack, protocol)),
    )
    return { tcp, udp, both }
  },
}

say(await scenarios[process.argv[2]!]!())
process.exit()
