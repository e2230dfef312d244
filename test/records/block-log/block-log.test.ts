import { readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import t, { type Test } from 'tap'
import { refusedName } from '../../../src/core/dns/query-policy.js'
import { IPPROTO_TCP, IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import type { SenderLookup } from '../../../src/core/packet/sender.js'
import { MALFORMED, NAME_NOT_ALLOWED, NOT_ALLOWLISTED } from '../../../src/core/policy/policy.js'
import { BlockLog } from '../../../src/records/block-log/block-log.js'
import { lossText, recoveryText } from '../../../src/records/block-log/trouble-text.js'
import type { ServiceLog } from '../../../src/system/service-log.js'
import { join } from '../../core/packets.js'
import { framed, query } from '../../core/queries.js'
import { seededRandom } from '../../core/random.js'
import { eventually } from '../../lab/waiting.js'
import { type Blocked, packet } from './blocks.js'

type Line = Record<string, unknown>
const ANYWHERE: SenderLookup = { place: 0, describe: () => ({ attribution: 'unknown' }) }
const SECOND = 1000
/** Only one name may be asked for. */
const QUERIES = { isAllowed: (name: string) => name === 'good.example', reverse: false, search: [] }
/** FULL matches the message in the service log about a full disk. */
const FULL = /^the block log \/.* cannot be written: ENOSPC: /

function opened(t: Test, destination = `${t.testdir()}/blocks.json`) {
  const messages: string[] = []
  const addMessage = (text: string) => void messages.push(text)
  const log = new BlockLog(
    {
      destination,
      userName: (uid) => (uid === 33 ? 'www-data' : undefined),
      refusedName: (packet) => refusedName(packet, QUERIES),
      domainOf: (family, words) => (words[0] === 0xc6336409 ? `ipv${family}.example.org` : undefined),
      log: { warn: addMessage, error: addMessage } as Pick<ServiceLog, 'warn' | 'error'>,
    },
    0,
  )
  t.teardown(() => log.close())
  let noted = 0
  const note = (given: Blocked = {}, uid = 33, mode: 'observe' | 'enforce' = 'enforce') => {
    log.note(packet(given), uid, NOT_ALLOWLISTED, mode, ANYWHERE)
    noted++
  }
  return { log, note, noted: () => noted, messages, path: destination }
}

const linesOf = (path: string): Line[] =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))

/** Returns `destination port*repeats` of each line. */
const countsOf = (path: string) =>
  linesOf(path).map(
    (line) => `${line['destination.port'] ?? line['event.reason']}*${line['checkvalve.repeat']}`,
  )

const sumOf = (lines: Line[]) => lines.reduce((sum, line) => sum + (line['checkvalve.repeat'] as number), 0)
const blocksOf = ({ stats }: BlockLog) => stats.told + stats.summed + stats.suppressed

const until = (so: () => boolean) => eventually(String(so), so)

t.test(
  'the last line about each user and unit is available, and a flood of one user hides no other line',
  async (t) => {
    const { log, note, path } = opened(t)
    const last = () => log.last.map((line) => JSON.parse(line) as Line)
    note({ port: 1 }, 0)
    for (let port = 1; port <= 300; port++) note({ port })
    log.flushFresh()
    t.same(
      last().map((line) => `${line['user.id']} ${line['destination.port']}`),
      ['0 1', '33 128'],
    )
    await until(() => linesOf(path).length === 129)
    t.same(last().at(-1), linesOf(path).at(-1))
    for (let uid = 1000; uid < 1010; uid++) note({}, uid)
    log.flushFresh()
    t.same(
      last().map((line) => line['user.id']),
      ['1005', '1006', '1007', '1008', '1009'],
    )
  },
)

t.test('a user with many units evicts only own last lines', async (t) => {
  const { log, note } = opened(t)
  const from = (unit: string): SenderLookup => ({
    place: Number(unit.at(-1)),
    describe: () => ({ attribution: 'found', unit }),
  })
  note({ port: 1 }, 33)
  for (let i = 2; i < 9; i++)
    log.note(packet({ port: 1 }), 1000, NOT_ALLOWLISTED, 'enforce', from(`session-${i}`))
  note({ port: 1 }, 0)
  log.flushFresh()
  t.same(
    log.last.map((line) => (JSON.parse(line) as Line)['user.id']),
    ['33', '1000', '1000', '1000', '0'],
  )
  t.match(log.last[1], /session-6/, 'the oldest line of that user is evicted')
  for (let port = 1; port <= 300; port++) note({ port }, 34)
  log.tick(60 * SECOND)
  t.match(
    log.last.at(-1),
    /"destination.port":128,/,
    'a sum of suppressed blocks does not replace the last line of a block',
  )
})

t.test(
  'the first block of a group is logged at once, its repeats as a summary when the window ends',
  async (t) => {
    const { log, note, path } = opened(t)
    note({ port: 1 })
    note({ port: 1 })
    note({ port: 2 })
    log.flushFresh()
    await until(() => countsOf(path).length === 2)
    t.same(countsOf(path), ['1*1', '2*1'])
    note({ port: 1 })
    log.tick(29 * SECOND)
    log.tick(30 * SECOND)
    await until(() => countsOf(path).length === 3)
    t.same(countsOf(path), ['1*1', '2*1', '1*2'])
    t.match(linesOf(path)[2]!.message, /, 2 more times in 30 s$/)
    log.tick(90 * SECOND)
    await log.close()
    t.equal(countsOf(path).length, 3, 'a window without blocks logs nothing')
  },
)

t.test('each line has its time, its program, and the version of the schema', async (t) => {
  const { log, note, path } = opened(t)
  note()
  await log.close()
  const { '@timestamp': time, ...line } = linesOf(path)[0]!
  t.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  t.match(line, {
    'log.level': 'warn',
    'ecs.version': '8.11.0',
    'event.module': 'checkvalve',
    'event.action': 'block',
    'user.name': 'www-data',
    'checkvalve.attribution': 'unknown',
  })
})

t.test('sender and destination name are looked up before the verdict, and once', async (t) => {
  const { log, path } = opened(t)
  let described = 0
  const sender: SenderLookup = {
    place: 5,
    describe: () => ({ attribution: 'found', unit: 'php.service', pid: ++described }),
  }
  for (let i = 0; i < 3; i++) log.note(packet({ to: '198.51.100.9' }), 33, NOT_ALLOWLISTED, 'enforce', sender)
  t.equal(described, 1, 'the socket may be closed a moment later')
  await log.close()
  t.match(
    linesOf(path),
    [1, 2].map((repeat) => ({
      'checkvalve.unit': 'php.service',
      'process.pid': 1,
      'destination.domain': 'ipv4.example.org',
      'checkvalve.repeat': repeat,
    })),
  )
})

t.test('each blocked name has a line, and of several queries the one that may not be sent', async (t) => {
  const { log, path } = opened(t)
  const ask = (protocol: number, bytes: Uint8Array) => {
    const payload = { bytes, payloadOffset: 0, payloadEnd: bytes.length }
    const asking = Object.assign(packet({ port: 53, protocol }), payload)
    log.note(asking, 33, NAME_NOT_ALLOWED, 'enforce', ANYWHERE)
  }
  for (const name of ['one.example', 'two.example', 'one.example']) ask(IPPROTO_UDP, query(name))
  ask(IPPROTO_TCP, join(framed(query('good.example')), framed(query('bad.example'))))
  await log.close()
  const names = linesOf(path).map((line) => line['dns.question.name'])
  t.same(names, ['one.example', 'two.example', 'bad.example', 'one.example'])
})

t.test('a DNS name that is not allowed is logged; other packets to port 53 are not read', async (t) => {
  const { log, path } = opened(t)
  const asking = packet({ port: 53, protocol: IPPROTO_UDP })
  const bytes = query('www.example.net')
  Object.assign(asking, { bytes, payloadOffset: 0, payloadEnd: bytes.length })
  for (const decision of [NAME_NOT_ALLOWED, NOT_ALLOWLISTED, MALFORMED])
    log.note(asking, 33, decision, 'enforce', ANYWHERE)
  await log.close()
  t.same(
    linesOf(path).map((line) => [line['event.reason'], line['dns.question.name']]),
    [
      ['name-not-allowed', 'www.example.net'],
      ['not-allowlisted', undefined],
      ['malformed', undefined],
    ],
  )
})

t.test(
  'a flood of one user becomes 128 lines and a summary; the block of another user is logged among them',
  async (t) => {
    const { log, note, path } = opened(t)
    for (let port = 1; port <= 10_000; port++) note({ port })
    note({ port: 25 }, 1000)
    t.same(log.stats, { told: 129, summed: 0, suppressed: 9872, dropped: 0 })
    await log.close()
    const lines = linesOf(path)
    t.equal(lines.length, 130)
    t.match(lines[128], { 'user.id': '1000', 'destination.port': 25 })
    t.match(lines[129], { 'event.reason': 'suppressed', 'user.name': 'www-data', 'checkvalve.repeat': 9872 })
  },
)

t.test('the sum is exact: all lines together have the blocks that were noted', async (t) => {
  const { log, note, noted, path } = opened(t)
  const random = seededRandom(9)
  for (let i = 1; i <= 20_000; i++) {
    note({ port: random(random(10) === 0 ? 3000 : 20), protocol: random(2) ? 6 : 17 }, random(3))
    if (i % 50 === 0) log.flushFresh()
    if (i % 200 === 0) log.tick((i / 200) * SECOND)
    if (blocksOf(log) !== i) t.fail(`the lines have ${blocksOf(log)} of ${i} blocks`)
  }
  await log.close()
  const lines = linesOf(path)
  t.equal(sumOf(lines), noted())
  t.equal(sumOf(lines.filter((line) => line['event.reason'] === 'suppressed')), log.stats.suppressed)
  t.equal(lines.filter((line) => !/ more times? in /.test(line.message as string)).length, log.stats.told)
  t.ok(log.stats.summed > 0 && log.stats.suppressed > 0)
})

t.test('a summary has one mode: after a change of the mode every group is logged again', async (t) => {
  const { log, note, path } = opened(t)
  for (let i = 0; i < 3; i++) note({}, 33, 'observe')
  for (let i = 0; i < 2; i++) note({}, 33, 'enforce')
  await log.close()
  t.same(
    linesOf(path).map((line) => `${line['event.action']}*${line['checkvalve.repeat']}`),
    ['would-block*1', 'would-block*2', 'block*1', 'block*1'],
  )
})

t.test('when the file is moved and opened again, no line is lost', async (t) => {
  const { log, note, path } = opened(t)
  const isThere = () => {
    try {
      return linesOf(path).length >= 0
    } catch {
      return false
    }
  }
  for (let port = 1; port <= 300; port++) {
    note({ port }, port % 4)
    log.flushFresh()
    if (port % 100 !== 0) continue
    await until(() => countsOf(path).length > 0)
    renameSync(path, `${path}.${port}`)
    log.reopen()
    await until(isThere)
  }
  await log.close()
  const all = [`${path}.100`, `${path}.200`, `${path}.300`, path].flatMap(linesOf)
  t.same(
    all.map((line) => line['destination.port']),
    Array.from({ length: 300 }, (_, i) => i + 1),
  )
})

t.test(
  'a full disk never disturbs the caller: it is logged once, and lines that are lost at the end are counted',
  async (t) => {
    const { log, note, messages } = opened(t, '/dev/full')
    for (let i = 0; i < 2000; i++) note({ port: i })
    log.flushFresh()
    await until(() => messages.length > 0)
    t.same(
      log.stats,
      { told: 128, summed: 0, suppressed: 1872, dropped: 0 },
      'waiting lines are not lost yet',
    )
    t.equal(await log.close(), 129)
    t.equal(log.stats.dropped, 129)
    t.match(messages[0], FULL)
    t.same(messages.slice(1), [lossText('/dev/full', 129)])
    t.match(log.trouble?.message, /^ENOSPC: /)
    t.match(log.trouble?.at, /^\d{4}-\d\d-\d\dT.*Z$/)
  },
)

t.test(
  'after a disk that was full for days, the sum is exact again: one line counts the lost lines',
  async (t) => {
    const folder = `${t.testdir()}/log`
    symlinkSync('/dev', folder)
    const path = `${folder}/full`
    const { log, note, noted, messages } = opened(t, path)
    let now = 0
    for (; log.stats.dropped < 100; now += 4 * SECOND) {
      for (let i = 0; i < 10; i++) note({ port: now % 65_536, to: `198.51.100.${i}` })
      log.tick(now)
      if (now % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    t.equal(messages.length, 1)
    t.match(messages[0], FULL)
    const { dropped } = log.stats
    rmSync(folder)
    await until(() => messages.length === 2)
    t.match(messages[0], FULL)
    t.same(messages.slice(1), [recoveryText(path, dropped)])
    log.tick(now)
    await log.close()
    const lines = linesOf(path)
    t.equal(sumOf(lines), noted())
    t.equal(log.stats.dropped, dropped, 'no further line was lost')
    t.equal(
      lines.filter((line) => (line.message as string).includes(`lost ${dropped} lines of this log`)).length,
      1,
    )
  },
)

t.test('a log that cannot be opened at start is an error with advice', async (t) => {
  const open = (destination: string) => opened(t, destination)
  t.throws(() => open(t.testdir()), {
    message:
      /^the block log cannot be written \(EISDIR.*\): let this user write there, or set log\.destination$/,
  })
  t.throws(() => open('/proc/checkvalve/blocks.json'), { message: /ENOENT/ })
})

t.test('after close, a late block, window or signal does no harm, and the block is counted', async (t) => {
  const { log, note, path } = opened(t)
  note({ port: 1 })
  t.equal(await log.close(), 0)
  note({ port: 2 })
  log.flushFresh()
  log.tick(40 * SECOND)
  log.reopen()
  await log.close()
  t.same(countsOf(path), ['1*1'])
  t.equal(log.stats.dropped, 1)
})
