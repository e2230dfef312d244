import t from 'tap'
import { Packet } from '../../../src/core/packet/packet.js'
import { NOT_ALLOWLISTED } from '../../../src/core/policy/policy.js'
import { BlockAggregator, type Kind, type Telling } from '../../../src/core/record/block-summary.js'
import { BOUNDS } from '../../../src/core/record/user-shares.js'
import { seededRandom } from '../random.js'

const SEED = Uint32Array.of(0x01234567, 0x89abcdef)
const DAY = 86_400
const ANYWHERE = { place: 0, describe: () => ({ attribution: 'unknown' }) as const }

/** What docs/log.md promises: a line a second for first ones and for sums each, what may come at once, and kinds that gave way. */
const LINES_A_DAY = 2 * (BOUNDS.lines + BOUNDS.linesPerSecond * DAY) + BOUNDS.lines

interface Flood {
  /** Users that flood. */
  readonly users: number
  /** New destinations a second of all of them together. */
  readonly fresh: number
  /** Whether what was told is repeated, so that it is never forgotten. */
  readonly repeats: boolean
  readonly seconds: number
}

/** A long time of blocks. */
function flooded({ users, fresh, repeats, seconds }: Flood) {
  const random = seededRandom(7)
  const kinds = new BlockAggregator(BOUNDS, SEED, 0, () => ({ question: undefined, domain: undefined }))
  const packet = new Packet()
  const lines = { first: 0, sum: 0, suppressed: 0 }
  const suppressedUsers = new Set<number | undefined>()
  /** The kinds that were told last. */
  const recent: Kind[] = []
  let blocks = 0
  let told = 0
  const note = (uid: number, destination: number) => {
    packet.destination[0] = destination
    kinds.note(packet, uid, NOT_ALLOWLISTED, ANYWHERE)
    blocks++
  }
  const hear = (telling: Telling) => {
    lines[telling.what]++
    told += telling.blocks
    if (telling.what === 'suppressed') suppressedUsers.add(telling.uid)
    else if (recent.push(telling.kind) > 2 * BOUNDS.kinds) recent.shift()
  }
  for (let second = 1; second <= seconds; second++) {
    for (let i = 0; i < fresh; i++) note(1000 + random(users), random(2 ** 32))
    if (repeats && second % 29 === 0)
      for (const { uid, destination } of [...recent]) note(uid, destination[0]!)
    kinds.tick(second * 1000)
    for (const telling of kinds.take()) hear(telling)
  }
  return { kinds, lines, suppressedUsers, recent, note, blocks: () => blocks, told: () => told, hear }
}

const sumOf = (lines: Record<string, number>) => Object.values(lines).reduce((sum, each) => sum + each, 0)

t.test('a day of the worst flood there is makes no more lines than promised, and they sum up', async (t) => {
  const { kinds, lines, suppressedUsers, blocks, told, hear } = flooded({
    users: 100,
    fresh: 20,
    repeats: true,
    seconds: DAY,
  })
  t.ok(sumOf(lines) <= LINES_A_DAY, `${JSON.stringify(lines)}: ${sumOf(lines)} of ${LINES_A_DAY}`)
  t.ok(lines.first > DAY && lines.sum > DAY / 3, 'and that is about as many as may be')
  t.ok(suppressedUsers.size <= BOUNDS.users + 1, `${suppressedUsers.size} users are told apart`)
  t.equal(kinds.told + kinds.summed + kinds.suppressed, blocks())
  kinds.end()
  for (const telling of kinds.take()) hear(telling)
  t.equal(told(), blocks())
})

t.test('after hours of it no more kinds are known than may be', async (t) => {
  const { kinds, recent, note } = flooded({ users: 8, fresh: 20, repeats: true, seconds: 7200 })
  // Nothing is left for new ones: so whatever is summed was known.
  for (let i = 0; i < 8 * BOUNDS.lines; i++) note(1000 + (i % 8), 0xf0000000 + i)
  const before = { ...kinds, summed: kinds.summed, told: kinds.told }
  const all = new Set(recent.map(({ uid, destination }) => `${uid} ${destination[0]}`))
  for (const each of all) {
    const [uid, destination] = each.split(' ').map(Number)
    note(uid!, destination!)
  }
  t.equal(kinds.told, before.told, 'none was new')
  const known = kinds.summed - before.summed
  t.ok(known > BOUNDS.kinds / 2 && known <= BOUNDS.kinds, `${known} of ${all.size} that were told`)
})

t.test('one user alone makes a quarter of that in a day, whatever is sent', async (t) => {
  for (const repeats of [false, true]) {
    const { lines } = flooded({ users: 1, fresh: 20, repeats, seconds: DAY })
    t.ok(sumOf(lines) <= LINES_A_DAY / 4, `${JSON.stringify(lines)}: ${sumOf(lines)} of ${LINES_A_DAY / 4}`)
    t.ok(lines.first > DAY / 4, 'a new destination every four seconds, all day long')
  }
})
