import t from 'tap'
import { Packet } from '../../../src/core/packet/packet.js'
import { NOT_ALLOWLISTED } from '../../../src/core/policy/policy.js'
import {
  BlockAggregator,
  type BlockGroup,
  type PendingEvent,
} from '../../../src/core/record/block-summary.js'
import { BLOCK_LOG_LIMITS } from '../../../src/core/record/user-shares.js'
import { seededRandom } from '../random.js'

const SEED = Uint32Array.of(0x01234567, 0x89abcdef)
const DAY = 86_400
const ANYWHERE = { place: 0, describe: () => ({ attribution: 'unknown' }) as const }

/**
 * LINES_A_DAY is the limit that docs/log.md promises: one line a second for first blocks and one for
 * summaries, both bursts, and one line for each evicted group.
 */
const LINES_A_DAY =
  2 * (BLOCK_LOG_LIMITS.lines + BLOCK_LOG_LIMITS.linesPerSecond * DAY) + BLOCK_LOG_LIMITS.lines

interface Flood {
  /** The number of users. */
  readonly users: number
  /** New destinations per second, of all users together. */
  readonly fresh: number
  /** Whether logged groups are repeated, so that they are never forgotten. */
  readonly repeats: boolean
  readonly seconds: number
}

/** Runs a flood, and counts the lines. */
function flooded({ users, fresh, repeats, seconds }: Flood) {
  const random = seededRandom(7)
  const aggregator = new BlockAggregator(BLOCK_LOG_LIMITS, SEED, 0, () => undefined)
  const packet = new Packet()
  const lines = { first: 0, summary: 0, suppressed: 0 }
  const suppressedUsers = new Set<number | undefined>()
  /** Holds the groups of the last events. */
  const recent: BlockGroup[] = []
  let blocks = 0
  let reportedBlocks = 0
  const note = (uid: number, destination: number) => {
    packet.destination[0] = destination
    aggregator.note(packet, uid, NOT_ALLOWLISTED, ANYWHERE)
    blocks++
  }
  const count = (event: PendingEvent) => {
    lines[event.type]++
    reportedBlocks += event.blocks
    if (event.type === 'suppressed') suppressedUsers.add(event.uid)
    else if (recent.push(event.group) > 2 * BLOCK_LOG_LIMITS.groups) recent.shift()
  }
  for (let second = 1; second <= seconds; second++) {
    for (let i = 0; i < fresh; i++) note(1000 + random(users), random(2 ** 32))
    if (repeats && second % 29 === 0)
      for (const { uid, destination } of [...recent]) note(uid, destination[0]!)
    aggregator.tick(second * 1000)
    for (const event of aggregator.take()) count(event)
  }
  return {
    aggregator,
    lines,
    suppressedUsers,
    recent,
    note,
    blocks: () => blocks,
    reportedBlocks: () => reportedBlocks,
    count,
  }
}

const sumOf = (lines: Record<string, number>) => Object.values(lines).reduce((sum, each) => sum + each, 0)

t.test(
  'a day of the worst flood makes no more lines than promised, and they add up to all blocks',
  async (t) => {
    const { aggregator, lines, suppressedUsers, blocks, reportedBlocks, count } = flooded({
      users: 100,
      fresh: 20,
      repeats: true,
      seconds: DAY,
    })
    t.ok(sumOf(lines) <= LINES_A_DAY, `${JSON.stringify(lines)}: ${sumOf(lines)} of ${LINES_A_DAY}`)
    t.ok(lines.first > DAY && lines.summary > DAY / 3, 'the flood comes near the limit')
    t.ok(
      suppressedUsers.size <= BLOCK_LOG_LIMITS.users + 1,
      `${suppressedUsers.size} users have summaries of their own`,
    )
    t.equal(aggregator.logged + aggregator.summarized + aggregator.suppressed, blocks())
    aggregator.end()
    for (const event of aggregator.take()) count(event)
    t.equal(reportedBlocks(), blocks())
  },
)

t.test('after hours of a flood no more groups are tracked than the limit', async (t) => {
  const { aggregator, recent, note } = flooded({ users: 8, fresh: 20, repeats: true, seconds: 7200 })
  // No line is left for new groups, so all summarized blocks belong to tracked groups.
  for (let i = 0; i < 8 * BLOCK_LOG_LIMITS.lines; i++) note(1000 + (i % 8), 0xf0000000 + i)
  const before = { ...aggregator, summarized: aggregator.summarized, logged: aggregator.logged }
  const all = new Set(recent.map(({ uid, destination }) => `${uid} ${destination[0]}`))
  for (const each of all) {
    const [uid, destination] = each.split(' ').map(Number)
    note(uid!, destination!)
  }
  t.equal(aggregator.logged, before.logged, 'no group was new')
  const known = aggregator.summarized - before.summarized
  t.ok(
    known > BLOCK_LOG_LIMITS.groups / 2 && known <= BLOCK_LOG_LIMITS.groups,
    `${known} of the ${all.size} groups that had a line`,
  )
})

t.test('one user alone makes at most a quarter of these lines in a day', async (t) => {
  for (const repeats of [false, true]) {
    const { lines } = flooded({ users: 1, fresh: 20, repeats, seconds: DAY })
    t.ok(sumOf(lines) <= LINES_A_DAY / 4, `${JSON.stringify(lines)}: ${sumOf(lines)} of ${LINES_A_DAY / 4}`)
    t.ok(lines.first > DAY / 4, 'the user has a new destination every four seconds, all day long')
  }
})
