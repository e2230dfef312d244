/** These tests look up the owners of this process's sockets on a real kernel, over loopback. */

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, readlinkSync } from 'node:fs'
import t, { type Test } from 'tap'
import { Cgroups } from '../../../src/kernel/proc/cgroups.js'
import { cgroupOf, holderOf, processesOf, processesOfUser } from '../../../src/kernel/proc/processes.js'
import { SocketOwners } from '../../../src/kernel/sockets/socket-owners.js'
import { compile } from '../../netns/programs.js'
import { connection } from '../loopback.js'

const LOOPBACK = Uint32Array.of(0x7f000001, 0, 0, 0)
const LOOPBACK_6 = Uint32Array.of(0, 0, 0, 1)
const UID = process.getuid!()
const never = () => false

function ownersOf(t: Test): SocketOwners {
  const owners = new SocketOwners()
  t.teardown(() => owners.close())
  return owners
}

/**
 * Opens UDP sockets that share a port; some of them are sending. @param more `6`: over IPv6 @returns the port
 */
async function corked(
  t: Test,
  program: string,
  count: number,
  sending: number,
  ...more: '6'[]
): Promise<number> {
  const child = spawn(program, [String(count), String(sending), ...more], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.teardown(() => child.stdin.end())
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  return Number(line.toString())
}

t.test('a connection is attributed to its user, its cgroup and its process', async (t) => {
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
    t.same(holderOf(inodes, processesOf(cgroups.folderOf(cgroup!)!, never), never), process_)
    t.same(holderOf(inodes, processesOfUser(UID, never), never), process_)
    t.equal(
      holderOf(inodes, [process.pid], () => true),
      undefined,
      'no process is found when the time is over',
    )
  }
  t.equal(ownersOf(t).tcp(4, LOOPBACK, localPort, LOOPBACK, 1, 0), undefined, 'no socket has this connection')
  t.equal(
    ownersOf(t).tcp(4, LOOPBACK, port, LOOPBACK, 1, 0),
    undefined,
    'a listening socket has no connection',
  )
})

t.test(
  'a UDP port is attributed to the sockets that send from it, and to none when too many sockets share it',
  async (t) => {
    const owners = ownersOf(t)
    const program = compile('corked')
    const few = await corked(t, program, 5, 3)
    t.same(
      owners.udp(4, few)?.map(({ uid }) => uid),
      [UID, UID, UID],
    )
    t.same(owners.udp(6, few), [], 'an IPv4 socket sends nothing over IPv6')
    t.equal(owners.udp(4, await corked(t, program, 1100, 0)), undefined)
    t.equal(owners.udp(4, few)?.length, 3, 'the next query has its own answer')
    const receiver = (port: number) => owners.udpReceiver(4, LOOPBACK, port, LOOPBACK, 9, 0)?.uid
    t.equal(
      receiver(await corked(t, program, 1, 1)),
      UID,
      'the socket that would receive the answer has sent the packet',
    )
    t.equal(receiver(await corked(t, program, 1, 0)), undefined, 'the socket sends nothing')
    t.equal(receiver(1), undefined)
  },
)

t.test('IPv6 ports are attributed in the same way; an IPv6 socket may also send over IPv4', async (t) => {
  const owners = ownersOf(t)
  const program = compile('corked')
  const few = await corked(t, program, 5, 3, '6')
  for (const family of [4, 6] as const)
    t.same(
      owners.udp(family, few)?.map(({ uid }) => uid),
      [UID, UID, UID],
    )
  const receiver = (port: number) => owners.udpReceiver(6, LOOPBACK_6, port, LOOPBACK_6, 9, 0)?.uid
  t.equal(receiver(await corked(t, program, 1, 1, '6')), UID)
  t.equal(receiver(await corked(t, program, 1, 0, '6')), undefined)
})

t.test('with too many UDP sockets a search would delay packets, and none is started', async (t) => {
  const port = await corked(t, compile('corked'), 1, 1)
  const count = { udp: 100_000, close: () => {} }
  const owners = new SocketOwners(count)
  t.teardown(() => owners.close())
  t.equal(owners.udp(4, port)?.length, 1)
  count.udp++
  t.equal(owners.udp(4, port), undefined)
  t.equal(
    owners.udpReceiver(4, LOOPBACK, port, LOOPBACK, 9, 0)?.uid,
    UID,
    'the look-up of a single socket still works',
  )
})

/**
 * Runs `test` while no further file can be opened. @param test receives a function that uses up a descriptor
 * that has become free
 */
function withoutDescriptors(test: (take: () => void) => void): void {
  const limit = (soft: string) => execFileSync('prlimit', ['--pid', `${process.pid}`, `--nofile=${soft}:`])
  const before = readFileSync('/proc/self/limits', 'utf8').match(/^Max open files +(\d+)/m)![1]!
  const taken: number[] = []
  const take = () => void taken.push(openSync('/dev/null', 'r'))
  limit('256')
  try {
    for (;;) take()
  } catch {
    test(take)
  } finally {
    for (const file of taken) closeSync(file)
    limit(before)
  }
}

t.test('without a descriptor for a new socket no owner is reported; a later query works again', async (t) => {
  const owners = ownersOf(t)
  const program = compile('corked')
  const [many, few] = [await corked(t, program, 1100, 0), await corked(t, program, 5, 3)]
  withoutDescriptors((take) => {
    t.equal(owners.udp(4, many), undefined)
    take()
    t.equal(owners.udp(4, few), undefined)
    t.equal(owners.tcp(4, LOOPBACK, 1, LOOPBACK, 1, 0), undefined)
  })
  t.equal(owners.udp(4, few)?.length, 3)
})
