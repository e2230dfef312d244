/**
 * Measures the cost of finding the sender of a packet, step by step, on sockets of this process over loopback: on
 * a host with few sockets, and on one with 2,000 UDP sockets.
 */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { Cgroups } from '../../src/kernel/proc/cgroups.js'
import { holderOf, processesOf } from '../../src/kernel/proc/processes.js'
import { SocketOwners } from '../../src/kernel/sockets/socket-owners.js'
import { Sockets } from '../../src/kernel/sockets/sockets.js'
import type { Comparison, Contender, Part } from '../frame.js'

const LOOPBACK = Uint32Array.of(0x7f000001, 0, 0, 0)
const MANY = 2000
const never = () => false

type Steps = Readonly<Record<string, () => unknown>>

async function udpSocket(): Promise<Socket> {
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  return socket
}

/** Opens a connection and a UDP socket, which stay open, and returns the steps that find who has them. */
async function stepsOf(): Promise<Steps> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = connect(port, '127.0.0.1')
  await once(client, 'connect')
  const udp = await udpSocket()
  const [owners, sockets, cgroups] = [new SocketOwners(), new Sockets(), new Cgroups()]
  const tcp = () => owners.tcp(4, LOOPBACK, client.localPort!, LOOPBACK, port, 0)
  const owner = tcp()
  if (owner === undefined) throw new Error('the kernel does not have the owner of the socket')
  const cgroup = cgroups.find(owner.cgroup ?? 0, 0)
  const folder = cgroup && cgroups.folderOf(cgroup)
  return {
    'the client of a socket': () => sockets.lookUp(4, LOOPBACK, client.localPort!, LOOPBACK, port, 0),
    'the owner of a TCP socket': tcp,
    'the owner of a UDP port': () => owners.udp(4, udp.address().port),
    'the unit of a cgroup that is known': () => cgroups.find(owner.cgroup ?? 0, 0),
    'a scan of all cgroups': () => new Cgroups().find(-1, 0),
    ...(folder && {
      'the process of a socket, in its cgroup': () =>
        holderOf(new Set([owner.inode]), processesOf(folder, never), never),
    }),
  }
}

/** Runs a step again and again. @returns microseconds a step */
function time(step: () => unknown, seconds: number): number {
  const begin = performance.now()
  let steps = 0
  while (performance.now() - begin < seconds * 1000) {
    step()
    steps++
  }
  return ((performance.now() - begin) * 1000) / steps
}

const contender = (name: string, sockets: number, step: () => unknown): Contender => ({
  name,
  measure: async (seconds) => {
    const open = await Promise.all(Array.from({ length: sockets }, udpSocket))
    const microseconds = time(step, seconds)
    for (const socket of open) socket.close()
    return { microseconds }
  },
})

async function comparisons(): Promise<Comparison[]> {
  return Object.entries(await stepsOf()).map(([name, step]) => ({
    name,
    columns: [{ key: 'microseconds', title: 'µs', digits: 1, ratio: true }],
    contenders: [contender('few sockets', 0, step), contender(`${MANY} UDP sockets`, MANY, step)],
  }))
}

export const attribution: Part = {
  name: 'attribution',
  title: 'Time to find the sender of a packet, step by step.',
  comparisons,
}
