/** Writes each kind of block event with the writer, and reads the line with the reader. */
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import { REASONS } from '../../../src/core/policy/rule.js'
import type { BlockGroup, PendingEvent } from '../../../src/core/record/block-summary.js'
import { type Block, readLine } from '../../../src/records/block-log/event-reader.js'
import { blockEvent, type Fields, lostEvent, type Mode } from '../../../src/records/block-log/event-writer.js'
import { ECS } from '../../../src/text/ecs.js'
import { terminalSafeField } from '../../../src/text/terminal-safe.js'
import { words } from '../../core/packets.js'
import { kindOf } from './blocks.js'

const MODES: readonly Mode[] = ['observe', 'enforce']
const SCTP = 132
const CONTAINER = '0123456789abcdef'.repeat(4)

const HOSTILE: readonly string[] = [
  '"',
  '\\',
  'a\nb',
  '\r\n{"event.action":"allow"}\n',
  '","event.action":"allow","x":"',
  '\u0000',
  '\u001b[2J\u001b]0;title\u0007',
  '\u2028\u2029\u202e',
  '\ud800',
  '🧀'.repeat(50),
  '%s %d %j',
  '__proto__',
  'undefined',
  ' leading and trailing ',
]

/** The fields that the reader should find in a line. Absent fields are undefined in a Block. */
type Expected = Partial<Omit<Block, 'kind' | 'time'>> & Pick<Block, 'isObserved' | 'reason' | 'repeat'>

const ABSENT: Omit<Block, 'kind' | 'time' | 'isObserved' | 'reason' | 'repeat'> = {
  sourcePort: undefined,
  address: undefined,
  port: undefined,
  domain: undefined,
  question: undefined,
  transport: undefined,
  uid: undefined,
  user: undefined,
  unit: undefined,
  container: undefined,
  program: undefined,
  pid: undefined,
}

/** Returns the line that the service writes for an event, without its line feed. */
function lineOf(event: Fields): string {
  let line = ''
  const write = (text: string) => {
    line += text
  }
  pino(ECS, { write }).warn(event)
  return line.slice(0, -1)
}

/** Asserts that the reader finds exactly the expected fields in the line of an event. */
function assertReadBack(t: Test, event: Fields, expected: Expected, name: string): void {
  const before = Date.now()
  const line = lineOf(event)
  const after = Date.now()
  t.notMatch(line, /[\r\n]/, `${name}: the event is one line`)
  const block = readLine(line)
  if (block?.kind !== 'block') return void t.fail(`${name}: the line was read as ${JSON.stringify(block)}`)
  const { time, ...rest } = block
  t.strictSame(rest, { kind: 'block', ...ABSENT, ...expected }, name)
  t.ok(time >= before && time <= after, `${name}: the time is that of the line`)
}

const around = (mode: Mode, user?: string) => ({ mode, userName: () => user })

/** Makes the event of the first block of a group. */
const firstOf = (given: Partial<BlockGroup>, mode: Mode = 'enforce', user?: string) =>
  blockEvent({ type: 'first', group: kindOf(given), blocks: 1 }, around(mode, user))

/** FIRST has the fields that are read from the event of `firstOf({})`. */
const FIRST: Expected = {
  isObserved: false,
  reason: 'not-allowlisted',
  repeat: 1,
  sourcePort: 40000,
  address: '198.51.100.2',
  port: 443,
  transport: 'tcp',
  uid: 33,
}

t.test('every reason is read as it was written, in both modes', async (t) => {
  for (const [reasonIndex, reason] of REASONS.entries())
    for (const mode of MODES)
      assertReadBack(
        t,
        firstOf({ reasonIndex }, mode),
        { ...FIRST, reason, isObserved: mode === 'observe' },
        `${reason}, ${mode}`,
      )
})

t.test('every protocol is read as it was written, in both families', async (t) => {
  for (const [family, source, address] of [
    [4, '192.0.2.1', '198.51.100.2'],
    [6, '2001:db8::1', '2001:db8::2'],
  ] as const)
    for (const [protocol, transport] of [
      [IPPROTO_TCP, 'tcp'],
      [IPPROTO_UDP, 'udp'],
      [IPPROTO_ICMP, 'icmp'],
      [IPPROTO_ICMPV6, 'ipv6-icmp'],
      [SCTP, '132'],
      [0, '0'],
      [255, '255'],
    ] as const)
      assertReadBack(
        t,
        firstOf({ family, protocol, source: words(source), destination: words(address) }),
        { ...FIRST, transport, address },
        `${transport} to ${address}`,
      )
})

t.test('addresses are read in the form of RFC 5952', async (t) => {
  for (const address of ['0.0.0.0', '255.255.255.255', '::', '::1', '2001:db8:0:1::', '::ffff:c633:6402'])
    assertReadBack(
      t,
      firstOf({ family: address.includes(':') ? 6 : 4, destination: words(address) }),
      { ...FIRST, address },
      address,
    )
})

t.test('ports are read as they were written; a packet without ports has none', async (t) => {
  for (const [sourcePort, port] of [
    [1, 65535],
    [65535, 1],
    [0, 0],
  ] as const)
    assertReadBack(
      t,
      firstOf({ sourcePort, destinationPort: port }),
      { ...FIRST, sourcePort: sourcePort || undefined, port: port || undefined },
      `${sourcePort} to ${port}`,
    )
})

t.test('users are read by id, and by name when they have one', async (t) => {
  for (const uid of [0, 1, 33, 65534, 0xfffffffe])
    for (const user of ['www-data', undefined])
      assertReadBack(t, firstOf({ uid }, 'enforce', user), { ...FIRST, uid, user }, `uid ${uid}, ${user}`)
  assertReadBack(t, firstOf({ uid: -1 }, 'enforce', 'nobody'), { ...FIRST, uid: undefined }, 'no user')
})

t.test('each known field of sender and names is read as it was written, alone and together', async (t) => {
  const sender = {
    unit: 'nginx.service',
    container: CONTAINER,
    program: '/usr/sbin/nginx',
    pid: 4_194_304,
    domain: 'api.example.org',
    question: 'www.example.net',
  }
  const known = Object.keys(sender) as (keyof typeof sender)[]
  for (const shown of [[], known, ...known.map((name) => [name])]) {
    const expected = Object.fromEntries(shown.map((name) => [name, sender[name]]))
    const { unit, container, program, pid, domain, question }: Partial<typeof sender> = expected
    for (const attribution of ['found', 'skipped', 'unknown'] as const)
      assertReadBack(
        t,
        firstOf({
          who: { attribution, unit, container, executable: program, pid },
          names: { domain, question },
          rule: 'closed',
        }),
        { ...FIRST, ...expected, ...(attribution !== 'found' && { isUnitUnknown: true }) },
        `${shown.join(', ') || 'nothing'} of a sender ${attribution}`,
      )
  }
})

t.test('a summary is read with its number of blocks', async (t) => {
  for (const blocks of [1, 2, 70_000, Number.MAX_SAFE_INTEGER])
    for (const mode of MODES)
      assertReadBack(
        t,
        blockEvent({ type: 'summary', group: kindOf(), blocks, ms: 30_000 }, around(mode)),
        { ...FIRST, repeat: blocks, isObserved: mode === 'observe' },
        `${blocks} blocks, ${mode}`,
      )
})

t.test(
  'the names of possible programs, and the units of a summary, are read as they were written',
  async (t) => {
    const candidates = ['php-fpm8.2', 'sh', 'curl']
    const who = { attribution: 'found', unit: 'php.service', process: 'not-permitted', candidates } as const
    assertReadBack(t, firstOf({ who }), { ...FIRST, unit: 'php.service', candidates }, 'candidates')
    const none = { ...who, candidates: [] }
    assertReadBack(t, firstOf({ who: none }), { ...FIRST, unit: 'php.service' }, 'no candidates')
    const units = ['php.service', 'nginx.service']
    const pending: PendingEvent = { type: 'suppressed', uid: 33, blocks: 9, ms: 60_000, units }
    const expected = { isObserved: false, reason: 'suppressed', repeat: 9, uid: 33, user: 'www-data', units }
    assertReadBack(t, blockEvent(pending, around('enforce', 'www-data')), expected, 'units')
  },
)

t.test('suppressed blocks are read with their number, and with their user when there is one', async (t) => {
  for (const [uid, user, expected] of [
    [33, 'www-data', { uid: 33, user: 'www-data' }],
    [33, undefined, { uid: 33 }],
    [-1, 'nobody', {}],
    [undefined, 'nobody', {}],
  ] as const)
    for (const mode of MODES) {
      const pending: PendingEvent = { type: 'suppressed', uid, blocks: 9488, ms: 60_000 }
      const isObserved = mode === 'observe'
      assertReadBack(
        t,
        blockEvent(pending, around(mode, user)),
        { isObserved, reason: 'suppressed', repeat: 9488, ...expected },
        `uid ${uid}, ${user}, ${mode}`,
      )
    }
})

t.test('the blocks of lost lines are read with their number', async (t) => {
  for (const mode of MODES) {
    const isObserved = mode === 'observe'
    const event = lostEvent({ lines: 3, blocks: 70 }, around(mode))
    assertReadBack(t, event, { isObserved, reason: 'suppressed', repeat: 70 }, mode)
  }
})

t.test('any name of a program, a unit or a user is read letter by letter, in its escaped form', async (t) => {
  for (const [index, text] of HOSTILE.entries()) {
    const escaped = terminalSafeField(text)
    assertReadBack(
      t,
      firstOf(
        { rule: text, who: { attribution: 'found', unit: text, container: text, executable: text, pid: 1 } },
        'enforce',
        text,
      ),
      { ...FIRST, unit: escaped, container: escaped, program: escaped, user: escaped, pid: 1 },
      `hostile text ${index}`,
    )
  }
})

t.test('fields that are too long are read shortened, and the other fields whole', async (t) => {
  const event = firstOf({
    who: { attribution: 'found', unit: `${'u'.repeat(5000)}.service`, executable: `/${'🧀'.repeat(5000)}` },
  })
  const block = readLine(lineOf(event)) as Block
  t.match(block.unit, /^u{200,230}…$/)
  t.match(block.program, /^\/(🧀){50,}…$/u)
  t.strictSame([block.address, block.port, block.uid, block.repeat], ['198.51.100.2', 443, 33, 1])
})
