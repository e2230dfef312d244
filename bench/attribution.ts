/**
 * Measures the cost of finding the sender of a packet, step by step, on sockets of this process over
 * loopback: microseconds a step, medians of the rounds. `node dist/bench/attribution.js [ROUNDS [SECONDS]]`,
 * in a network namespace of its own.
 */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { Cgroups } from '../src/kernel/proc/cgroups.js'
import { holderOf, processesOf } from '../src/kernel/proc/processes.js'
import { SocketOwners } from '../src/kernel/sockets/socket-owners.js'
import { Sockets } from '../src/kernel/sockets/sockets.js'
import { median } from './lib.js'

const [rounds = 5, seconds = 0.5] = process.argv.slice(2).map(Number)
const LOOPBACK = Uint32Array.of(0x7f000001, 0, 0, 0)
const MANY = 2000
const never = () => false

async function udpSocket(): Promise<Socket> {
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  return socket
}

const server = createServer().listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo
const client = connect(port, '127.0.0.1')
await once(client, 'connect')
const udp = await udpSocket()

const owners = new SocketOwners()
const sockets = new Sockets()
const cgroups = new Cgroups()
const tcp = () => owners.tcp(4, LOOPBACK, client.localPort!, LOOPBACK, port, 0)
const owner = tcp()
if (owner === undefined) throw new Error('the kernel does not have the owner of the socket')
const cgroup = cgroups.find(owner.cgroup ?? 0, 0)
const folder = cgroup && cgroups.folderOf(cgroup)

const STEPS: Record<string, () => unknown> = {
  'a look-up of the client of a socket (another one)': () =>
    sockets.lookUp(4, LOOPBACK, client.localPort!, LOOPBACK, port, 0),
  'the owner of a TCP socket': tcp,
  'the owner of a UDP port': () => owners.udp(4, udp.address().port),
  'the unit of a cgroup that is known': () => cgroups.find(owner.cgroup ?? 0, 0),
  'a scan of all cgroups': () => new Cgroups().find(-1, 0),
  ...(folder && {
    'the process of a socket, among those of its cgroup': () =>
      holderOf(new Set([owner.inode]), processesOf(folder, never), never),
  }),
}

/** Runs a step again and again. @returns microseconds a step */
function measure(step: () => unknown): number {
  const begin = performance.now()
  let steps = 0
  while (performance.now() - begin < seconds * 1000) {
    step()
    steps++
  }
  return ((performance.now() - begin) * 1000) / steps
}

function report(suffix = ''): void {
  const taken = new Map(Object.keys(STEPS).map((name) => [name, [] as number[]]))
  for (let round = 0; round < rounds; round++)
    for (const [name, step] of Object.entries(STEPS)) taken.get(name)!.push(measure(step))
  for (const [name, figures] of taken)
    console.log(`${(name + suffix).padEnd(72)}${median(figures).toFixed(1).padStart(8)} us`)
}

report()
const many = await Promise.all(Array.from({ length: MANY }, udpSocket))
report(`, with ${MANY} UDP sockets`)
for (const socket of [...many, udp, client, server, owners, sockets])
  'destroy' in socket ? socket.destroy() : socket.close()
process.exit(0)
