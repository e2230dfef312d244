/** Whose sockets are, on a real kernel: those of this process, over loopback. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync, readlinkSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import t, { type Test } from 'tap'
import { Cgroups } from '../../src/kernel/cgroups.js'
import { cgroupOf, holderOf, processesOf, processesOfUser } from '../../src/kernel/processes.js'
import { SocketOwners } from '../../src/kernel/socket-owners.js'

const LOOPBACK = Uint32Array.of(0x7f000001, 0, 0, 0)
const UID = process.getuid!()

function ownersOf(t: Test): SocketOwners {
  const owners = new SocketOwners()
  t.teardown(() => owners.close())
  return owners
}

/** UDP sockets that share a port. */
async function sharing(t: Test, count: number): Promise<{ port: number; sockets: Socket[] }> {
  const sockets = Array.from({ length: count }, () => createSocket({ type: 'udp4', reuseAddr: true }))
  t.teardown(() => sockets.map((each) => each.close()))
  let port = 0
  for (const each of sockets) {
    await new Promise<void>((resolve) => each.bind(port, '127.0.0.1', resolve))
    port = each.address().port
  }
  return { port, sockets }
}

async function connection(t: Test) {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = connect(port, '127.0.0.1')
  const [accepted] = (await once(server, 'connection')) as [{ destroy(): void }]
  t.teardown(() => {
    client.destroy()
    accepted.destroy()
    server.close()
  })
  return { port, localPort: client.localPort! }
}

t.test('a connection leads to its user, its cgroup and its process', async (t) => {
  const { port, localPort } = await connection(t)
  const owner = ownersOf(t).tcp(4, LOOPBACK, localPort, LOOPBACK, port, 0)
  t.equal(owner?.uid, UID)
  const cgroups = new Cgroups()
  const own = readFileSync('/proc/self/cgroup', 'utf8').match(/^0::(.*)$/m)?.[1]
  t.equal(cgroupOf(process.pid), own)
  if (cgroups.mount !== undefined && owner?.cgroup !== undefined) {
    const cgroup = cgroups.find(owner.cgroup, 0)
    t.equal(cgroup?.path, own)
    const inodes = new Set([owner.inode])
    const process_ = { pid: process.pid, executable: readlinkSync('/proc/self/exe') }
    t.same(
      holderOf(inodes, processesOf(cgroups.folderOf(cgroup!)!), () => false),
      process_,
    )
    t.same(
      holderOf(inodes, processesOfUser(UID), () => false),
      process_,
    )
    t.equal(
      holderOf(inodes, [process.pid], () => true),
      undefined,
      'nothing is found when time is over',
    )
  }
  t.equal(ownersOf(t).tcp(4, LOOPBACK, localPort, LOOPBACK, 1, 0), undefined, 'there is no such connection')
  t.equal(ownersOf(t).tcp(4, LOOPBACK, port, LOOPBACK, 1, 0), undefined, 'and who listens has called nobody')
})

t.test('a port of UDP leads to all who have it, and too many are none', async (t) => {
  const owners = ownersOf(t)
  const few = await sharing(t, 3)
  const many = await sharing(t, 300)
  t.same(
    owners.udp(few.port)?.map(({ uid }) => uid),
    [UID, UID, UID],
  )
  t.equal(owners.udp(many.port), undefined)
  t.equal(owners.udp(few.port)?.length, 3, 'and the next question has its own answer')
})
