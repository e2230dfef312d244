/** These tests attribute packets to the sockets of this process, over loopback. */
import { createSocket } from 'node:dgram'
import { readFileSync, realpathSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { ownerOf } from '../../src/core/packet/cgroup-path.js'
import { IPPROTO_TCP, IPPROTO_UDP } from '../../src/core/packet/ip.js'
import { Packet } from '../../src/core/packet/packet.js'
import { Cgroups } from '../../src/kernel/proc/cgroups.js'
import { processesOf } from '../../src/kernel/proc/processes.js'
import { Attributor } from '../../src/packet-path/attribution.js'
import { connection } from '../kernel/loopback.js'
import { Cgroups as OwnCgroups } from '../lab/cgroup.js'
import { eventually } from '../lab/waiting.js'

const LOOPBACK = 0x7f000001
const UID = process.getuid!()
/** The mount point of the unified hierarchy; undefined when none is mounted. */
const MOUNT = new Cgroups().mount
const HAS_CGROUPS = MOUNT !== undefined
const ownCgroup = () => readFileSync('/proc/self/cgroup', 'utf8').match(/^0::(.*)$/m)?.[1] ?? ''

/**
 * Moves this process into its own cgroup, when this user may create one: its present cgroup may have many
 * processes.
 */
function leaveHostCgroup(t: Test): void {
  const cgroups = OwnCgroups.create()
  if (!cgroups) return
  const enter = (folder: string) => writeFileSync(`${folder}/cgroup.procs`, `${process.pid}`)
  const former = `${MOUNT}${ownCgroup()}`
  enter(cgroups.add('own.service'))
  t.teardown(() => {
    enter(former)
    cgroups.remove()
  })
}

/** Returns whether the cgroup has few enough processes to find this one in the time for one packet. */
const hasFew = () => processesOf(`${MOUNT}${ownCgroup()}`, () => false).length < 50

function attributing(t: Test, processMs?: { each: number; first: number }) {
  const packet = new Packet()
  packet.source[0] = LOOPBACK
  packet.destination[0] = LOOPBACK
  const sender = { uid: UID, device: 0 }
  const attribution = new Attributor(packet, sender, processMs)
  t.teardown(() => attribution.close())
  return { packet, sender, attribution }
}

async function call(t: Test) {
  const { port, localPort } = await connection(t)
  return { protocol: IPPROTO_TCP, sourcePort: localPort, destinationPort: port }
}

t.test('the sender of a packet is found with its unit and its process', async (t) => {
  if (!HAS_CGROUPS) return void t.comment('left out: no unified hierarchy of cgroups is mounted')
  leaveHostCgroup(t)
  const { packet, attribution } = attributing(t)
  Object.assign(packet, await call(t))
  const rounds = await attribution.warmUp()
  if (hasFew()) t.ok(rounds > 0, 'the search has run before the first packet')
  /** On a busy machine the time may end before the process is found. */
  const found = async () => {
    let who = attribution.describe()
    const isFound = () => {
      attribution.begin()
      who = attribution.describe()
      return who.pid !== undefined
    }
    if (hasFew()) await eventually('the process of the sender is found', isFound)
    return who
  }
  attribution.begin()
  t.ok(attribution.place >= 2)
  const { unit, container } = ownerOf(ownCgroup())
  t.match(await found(), {
    attribution: 'found',
    unit,
    container,
    ...(hasFew() && { pid: process.pid, executable: realpathSync('/proc/self/exe') }),
  })
  t.same(attribution.stats, { found: 1, skipped: 0, unknown: 0 }, 'only blocks are counted')
})

t.test('the first block of a user has time for its process that later ones have not', async (t) => {
  if (!HAS_CGROUPS) return void t.comment('left out: no unified hierarchy of cgroups is mounted')
  leaveHostCgroup(t)
  const { packet, attribution } = attributing(t, { each: 0, first: 10_000 })
  await attribution.warmUp()
  Object.assign(packet, await call(t))
  const describe = () => {
    attribution.begin()
    return attribution.describe()
  }
  t.match(describe(), { attribution: 'found', process: 'found', pid: process.pid })
  t.match(describe(), { attribution: 'found', process: 'skipped', pid: undefined })
})

t.test('an unknown sender is reported as unknown, and not guessed', async (t) => {
  const { packet, sender, attribution } = attributing(t)
  Object.assign(packet, await call(t))
  const look = () => {
    attribution.begin()
    return { place: attribution.place, ...attribution.describe(), isOf: attribution.isOf(['init.scope']) }
  }
  const nobody = { place: 0, attribution: 'unknown', unit: undefined, pid: undefined, isOf: false }
  t.match(look(), HAS_CGROUPS ? { attribution: 'found' } : nobody)
  sender.uid = UID + 1
  t.match(look(), nobody, 'the socket belongs to another user')
  sender.uid = -1
  t.match(look(), nobody, 'the packet has no user')
  sender.uid = UID
  packet.sourcePort = 1
  t.match(look(), nobody, 'the packet has no socket')
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  Object.assign(packet, { protocol: IPPROTO_UDP, sourcePort: socket.address().port })
  t.match(look(), nobody, 'the UDP socket has no bytes on their way')
  packet.protocol = 47
  t.match(look(), nobody, 'the protocol is another one')
})

t.test(
  'a user who spends the time for unit rules takes it from no other user, and from no TCP connection',
  async (t) => {
    const { packet, sender, attribution } = attributing(t)
    const ask = () => {
      attribution.begin()
      attribution.isOf(['init.scope'])
      return attribution.describe().attribution
    }
    Object.assign(packet, { protocol: IPPROTO_UDP, sourcePort: 1 })
    let asked = 0
    while (asked < 1_000_000 && ask() !== 'skipped') asked++
    t.ok(asked < 1_000_000)
    sender.uid = UID + 1
    t.equal(ask(), 'unknown', 'the packet belongs to another user')
    sender.uid = UID
    Object.assign(packet, await call(t))
    t.equal(ask(), HAS_CGROUPS ? 'found' : 'unknown')
  },
)

t.test(
  "a flood is attributed within its user's time and skipped beyond; other users are attributed",
  async (t) => {
    const { packet, sender, attribution } = attributing(t)
    Object.assign(packet, await call(t))
    const place = () => {
      attribution.begin()
      return attribution.place
    }
    let asked = 0
    while (asked < 1_000_000 && place() !== 1) asked++
    t.ok(asked > 0 && asked < 1_000_000)
    t.equal(attribution.stats.skipped, 1)
    // A line has the unit all the same.
    t.equal(attribution.describe().attribution, HAS_CGROUPS ? 'found' : 'unknown')
    sender.uid = UID + 1
    t.equal(place(), 0, 'the packet of another user is attributed')
  },
)
