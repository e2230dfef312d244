import { readFileSync, renameSync } from 'node:fs'
import t, { type Test } from 'tap'
import { MALFORMED, NOT_ALLOWLISTED } from '../../src/core/policy.js'
import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_UDP } from '../../src/core/types.js'
import { BlockLog } from '../../src/report/blocklog.js'
import { seededRandom } from '../core/random.js'
import { type Blocked, packet } from './blocks.js'

type Line = Record<string, unknown>

function opened(t: Test, destination = `${t.testdir()}/blocks.json`) {
  const troubles: Error[] = []
  const log = new BlockLog({
    destination,
    userName: (uid) => (uid === 33 ? 'www-data' : undefined),
    onTrouble: (error) => troubles.push(error),
  })
  t.teardown(() => log.close())
  const note = (given: Blocked = {}, uid = 33, mode: 'observe' | 'enforce' = 'enforce') =>
    log.note(packet(given), uid, NOT_ALLOWLISTED, mode)
  return { log, note, troubles, path: destination }
}

const linesOf = (path: string): Line[] =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))

/** `destination port*repeats` of each line. */
const told = (path: string) =>
  linesOf(path).map(
    (line) => `${line['destination.port'] ?? line['event.reason']}*${line['checkvalve.repeat']}`,
  )

const sumOf = (lines: Line[]) => lines.reduce((sum, line) => sum + (line['checkvalve.repeat'] as number), 0)

async function until(so: () => boolean): Promise<void> {
  for (let tries = 200; tries > 0 && !so(); tries--) await new Promise((resolve) => setTimeout(resolve, 10))
}

t.test('a line has these fields, under these names, and a message for people', async (t) => {
  const { log, note, path } = opened(t)
  note()
  await log.close()
  const [line] = linesOf(path)
  const { '@timestamp': time, ...rest } = line!
  t.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  t.same(rest, {
    'log.level': 'warn',
    'ecs.version': '8.11.0',
    'event.module': 'checkvalve',
    'event.kind': 'event',
    'event.category': ['network'],
    'event.type': ['denied'],
    'event.action': 'block',
    'event.reason': 'not-allowlisted',
    'source.ip': '192.0.2.1',
    'source.port': 40000,
    'destination.ip': '198.51.100.2',
    'destination.port': 443,
    'network.transport': 'tcp',
    'network.type': 'ipv4',
    'network.direction': 'egress',
    'user.id': '33',
    'user.name': 'www-data',
    'checkvalve.mode': 'enforce',
    'checkvalve.repeat': 1,
    message: 'blocked www-data -> tcp 198.51.100.2 port 443 (not-allowlisted)',
  })
})

t.test('what would have been blocked is told as such', async (t) => {
  const { log, note, path } = opened(t)
  note({}, 33, 'observe')
  await log.close()
  t.match(linesOf(path)[0], {
    'event.action': 'would-block',
    'event.type': ['allowed'],
    'checkvalve.mode': 'observe',
    message: 'would have blocked www-data -> tcp 198.51.100.2 port 443 (not-allowlisted)',
  })
})

t.test('what a packet does not have is left out, not guessed', async (t) => {
  const { log, note, path } = opened(t)
  const ping = { to: '2001:db8::2', from: '2001:db8::1', port: 0, fromPort: 0, protocol: IPPROTO_ICMPV6 }
  note(ping, -1)
  note({ to: '198.51.100.9' }, 1000)
  await log.close()
  const [first, second] = linesOf(path)
  for (const field of ['source.port', 'destination.port', 'user.id', 'user.name'])
    t.notOk(field in first!, field)
  t.match(first, {
    'network.transport': 'ipv6-icmp',
    'network.type': 'ipv6',
    message: 'blocked a packet without a user -> ipv6-icmp 2001:db8::2 (not-allowlisted)',
  })
  t.notOk('user.name' in second!)
  t.match(second, { 'user.id': '1000', message: /^blocked uid 1000 -> / })
})

t.test('protocols have the names that ECS gives them, or their number', async (t) => {
  const { log, note, path } = opened(t)
  for (const protocol of [IPPROTO_UDP, IPPROTO_ICMP, 132]) note({ protocol })
  await log.close()
  t.same(
    linesOf(path).map((line) => line['network.transport']),
    ['udp', 'icmp', '132'],
  )
})

t.test('a packet that could not be read is told with its reason', async (t) => {
  const { log, path } = opened(t)
  log.note(packet({ port: 0 }), -1, MALFORMED, 'enforce')
  await log.close()
  t.equal(linesOf(path)[0]!['event.reason'], 'malformed')
})

t.test('the first block of a kind is told at once, its repeats as a sum when the window ends', async (t) => {
  const { log, note, path } = opened(t)
  note({ port: 1 })
  note({ port: 1 })
  note({ port: 2 })
  log.flushFresh()
  await until(() => told(path).length === 2)
  t.same(told(path), ['1*1', '2*1'])
  note({ port: 1 })
  log.flushFresh()
  log.turn()
  await until(() => told(path).length === 3)
  t.same(told(path), ['1*1', '2*1', '1*2'])
  t.match(linesOf(path)[2]!.message, /, 2 times$/)
  log.turn()
  await log.close()
  t.equal(told(path).length, 3, 'a quiet window says nothing')
})

t.test('a flood of kinds becomes 512 lines and a sum', async (t) => {
  const { log, note, path } = opened(t)
  for (let port = 0; port < 10_000; port++) note({ port: port + 1 })
  await log.close()
  const lines = linesOf(path)
  t.equal(lines.length, 513)
  t.match(lines[512], {
    'event.action': 'block',
    'event.reason': 'suppressed',
    'checkvalve.repeat': 9488,
    message: /^9488 more blocks of too many kinds/,
  })
  t.same(log.stats, { events: 513, suppressed: 9488, dropped: 0 })
})

t.test('the sum is exact: the repeats of all lines are the blocks that were noted', async (t) => {
  const { log, note, path } = opened(t)
  const random = seededRandom(9)
  let suppressed = 0
  for (let i = 1; i <= 20_000; i++) {
    note({ port: random(random(10) === 0 ? 3000 : 20), protocol: random(2) ? 6 : 17 }, random(3))
    if (i % 50 === 0) log.flushFresh()
    if (i % 7000 === 0) log.turn()
  }
  await log.close()
  const lines = linesOf(path)
  t.equal(sumOf(lines), 20_000)
  for (const line of lines)
    if (line['event.reason'] === 'suppressed') suppressed += line['checkvalve.repeat'] as number
  t.equal(suppressed, log.stats.suppressed)
  t.ok(suppressed > 0)
  t.equal(lines.length, log.stats.events)
})

t.test('moving the file away and opening it anew loses no line', async (t) => {
  const { log, note, path } = opened(t)
  for (let port = 1; port <= 300; port++) {
    note({ port })
    log.flushFresh()
    if (port % 100 !== 0) continue
    await until(() => told(path).length > 0)
    renameSync(path, `${path}.${port}`)
    log.reopen()
    await until(() => {
      try {
        return linesOf(path).length >= 0
      } catch {
        return false
      }
    })
  }
  await log.close()
  const all = [`${path}.100`, `${path}.200`, `${path}.300`, path].flatMap(linesOf)
  t.same(
    all.map((line) => line['destination.port']),
    Array.from({ length: 300 }, (_, i) => i + 1),
  )
})

t.test('a full disk never reaches whoever notes a block: it is told once, and counted', async (t) => {
  const { log, note, troubles } = opened(t, '/dev/full')
  for (let round = 0; round < 20; round++) {
    for (let port = 0; port < 600; port++) note({ port })
    log.turn()
    await new Promise((resolve) => setImmediate(resolve))
  }
  await log.close()
  t.same(
    troubles.map(({ message }) => message),
    ['ENOSPC: no space left on device, write'],
  )
  t.equal(log.stats.dropped, log.stats.events)
})

t.test('a log that cannot be written at start is an error with advice', async (t) => {
  const open = (destination: string) =>
    new BlockLog({ destination, userName: () => undefined, onTrouble: () => {} })
  t.throws(() => open(t.testdir()), {
    message:
      /^the block log cannot be written \(EISDIR.*\): let this user write there, or set log\.destination$/,
  })
  t.throws(() => open('/proc/checkvalve/blocks.json'), { message: /ENOENT/ })
})

t.test('after close, a late block, window or signal does no harm', async (t) => {
  const { log, note, path } = opened(t)
  note({ port: 1 })
  await log.close()
  note({ port: 2 })
  log.flushFresh()
  log.turn()
  log.reopen()
  await log.close()
  t.same(told(path), ['1*1'])
  t.equal(log.stats.dropped, 1)
})

t.test('a line break in a user name does not make two lines', async (t) => {
  const path = `${t.testdir()}/blocks.json`
  const log = new BlockLog({ destination: path, userName: () => 'a\n{"b":1}', onTrouble: () => {} })
  log.note(packet(), 33, NOT_ALLOWLISTED, 'enforce')
  await log.close()
  t.equal(linesOf(path).length, 1)
})
