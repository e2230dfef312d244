/** Tests that what the kernel refuses itself is counted and logged to the packet. */
import t from 'tap'
import { RefusedPackets } from '../../src/containment/refused-packets.js'

const SECOND = 1000

function reading() {
  const kernel = new Map<number, number>()
  const counted = new Map<number, number>()
  const logged: { uid: number; packets: number; reason: string }[] = []
  const quarantined = new Set<number>()
  let blocks = 0
  let reads = 0
  let now = 0
  const refused = new RefusedPackets({
    read: async () => {
      reads++
      return new Map(kernel)
    },
    counts: () => ({
      blocks,
      addRefused: (uid, packets) => counted.set(uid, (counted.get(uid) ?? 0) + packets),
    }),
    blockLog: { noteRefused: ({ uid, packets, reason }) => logged.push({ uid, packets, reason }) },
    isQuarantined: (uid) => quarantined.has(uid),
  })
  return {
    refused,
    kernel,
    counted,
    logged,
    quarantined,
    reads: () => reads,
    block: () => blocks++,
    async pass(seconds: number) {
      for (let second = 0; second < seconds; second++) {
        now += SECOND
        await refused.tick(now)
      }
      return now
    },
  }
}

t.test('while nobody is blocked, nft is not run', async (t) => {
  const { pass, reads, block } = reading()
  await pass(600)
  t.equal(reads(), 0)
  block()
  await pass(20)
  t.equal(reads(), 1)
})

t.test('each packet is counted once, also when the table is put back, and logged in a sum', async (t) => {
  const { pass, kernel, counted, logged, block, quarantined, refused } = reading()
  block()
  kernel.set(33, 100)
  await pass(11)
  t.same([...counted], [[33, 100]])
  t.same(logged, [], 'the first sum comes after 30 s')
  kernel.set(33, 250)
  kernel.set(1000, 5)
  await pass(10)
  kernel.set(33, 40)
  await pass(30)
  t.same(
    [...counted],
    [
      [33, 290],
      [1000, 5],
    ],
  )
  t.same(
    logged.reduce((sum, { packets }) => sum + packets, 0),
    295,
  )
  t.ok(logged.every(({ reason }) => reason === 'repeated'))
  quarantined.add(33)
  kernel.set(33, 1040)
  const now = await pass(10)
  refused.end(now)
  t.same(logged.at(-1), { uid: 33, packets: 1000, reason: 'quarantined' })
  const lines = logged.length
  await pass(3600)
  t.equal(logged.length, lines, 'a user who is quiet has no lines')
})
