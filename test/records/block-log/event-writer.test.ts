import t from 'tap'
import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import { MALFORMED, NAME_NOT_ALLOWED } from '../../../src/core/policy/policy.js'
import type { BlockGroup } from '../../../src/core/record/block-summary.js'
import { blockEvent, lostEvent } from '../../../src/records/block-log/event-writer.js'
import { words } from '../../core/packets.js'
import { kindOf } from './blocks.js'
import { longestLine } from './longest-line.js'

const ENFORCE = { mode: 'enforce', userName: (uid: number) => (uid === 33 ? 'www-data' : undefined) } as const
const OBSERVE = { ...ENFORCE, mode: 'observe' } as const
/** LONGEST_LINE is the limit that docs/log.md promises, in bytes. */
const LONGEST_LINE = 4096
/** Parses the line of the first block of a kind. */
const lineOf = (given: Partial<BlockGroup> = {}, around: typeof ENFORCE | typeof OBSERVE = ENFORCE) =>
  JSON.parse(JSON.stringify(blockEvent({ type: 'first', group: kindOf(given), blocks: 1 }, around)))

t.test('a line has the documented fields, and a message for people', async (t) => {
  t.same(lineOf(), {
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

t.test('all known fields of sender, destination and rule are in the line', async (t) => {
  const line = lineOf({
    who: { attribution: 'found', unit: 'nginx.service', pid: 812, executable: '/usr/bin/curl' },
    names: { question: undefined, domain: 'api.example.org' },
    rule: 'closed',
  })
  t.match(line, {
    'destination.domain': 'api.example.org',
    'service.name': 'nginx',
    'checkvalve.unit': 'nginx.service',
    'process.pid': 812,
    'process.executable': '/usr/bin/curl',
    'rule.name': 'closed',
    message:
      'blocked www-data (/usr/bin/curl in nginx.service) -> tcp 198.51.100.2 (api.example.org) port 443 (not-allowlisted)',
  })
  t.notOk('checkvalve.attribution' in line)
})

t.test('a unit that is no service has no service name; a container has its id', async (t) => {
  const scope = lineOf({ who: { attribution: 'found', unit: 'session-3.scope' } })
  t.equal(scope['checkvalve.unit'], 'session-3.scope')
  t.notOk('service.name' in scope)
  const id = '0123456789abcdef'.repeat(4)
  const contained = lineOf({ who: { attribution: 'found', container: id, executable: '/bin/sh' } })
  t.match(contained, {
    'container.id': id,
    message: /^blocked www-data \(\/bin\/sh in container 0123456789ab\) ->/,
  })
})

t.test('programs that may have sent the packet are named as such', async (t) => {
  const candidates = ['php-fpm8.2', 'curl']
  const who = { attribution: 'found', unit: 'php.service', process: 'not-permitted', candidates } as const
  t.match(lineOf({ who }), {
    'checkvalve.candidates': candidates,
    message: /^blocked www-data \(perhaps php-fpm8\.2 or curl in php\.service\) -> /,
  })
})

t.test('when the sender was not found, the line has the reason', async (t) => {
  for (const attribution of ['skipped', 'unknown'] as const)
    t.match(lineOf({ who: { attribution } }), {
      'checkvalve.attribution': attribution,
      'checkvalve.process': attribution,
    })
  for (const process of ['skipped', 'unknown', 'not-permitted'] as const) {
    const line = lineOf({ who: { attribution: 'found', unit: 'nginx.service', process } })
    t.equal(line['checkvalve.process'], process)
    t.notOk('checkvalve.attribution' in line)
  }
  t.notOk('checkvalve.process' in lineOf({ who: { attribution: 'found', process: 'found', pid: 7 } }))
})

t.test('the name in a DNS query is in the line, also in its message', async (t) => {
  const names = { question: 'www.example.net', domain: undefined }
  t.match(
    lineOf({ names, reasonIndex: NAME_NOT_ALLOWED.reasonIndex, protocol: IPPROTO_UDP, destinationPort: 53 }),
    {
      'event.reason': 'name-not-allowed',
      'dns.question.name': 'www.example.net',
      message: /udp 198\.51\.100\.2 port 53 \(name-not-allowed: www\.example\.net\)$/,
    },
  )
})

t.test('a packet that would have been blocked is logged as such', async (t) => {
  t.match(lineOf({}, OBSERVE), {
    'event.action': 'would-block',
    'event.type': ['allowed'],
    'checkvalve.mode': 'observe',
    message: /^would have blocked www-data -> /,
  })
})

t.test('fields that a packet does not have are left out', async (t) => {
  const ping = lineOf({
    uid: -1,
    family: 6,
    protocol: IPPROTO_ICMPV6,
    source: words('2001:db8::1'),
    destination: words('2001:db8::2'),
    sourcePort: 0,
    destinationPort: 0,
    who: { attribution: 'unknown' },
  })
  for (const field of [
    'source.port',
    'destination.port',
    'user.id',
    'user.name',
    'process.pid',
    'service.name',
  ])
    t.notOk(field in ping, field)
  t.match(ping, {
    'network.transport': 'ipv6-icmp',
    'network.type': 'ipv6',
    message: 'blocked a packet without a user -> ipv6-icmp 2001:db8::2 (not-allowlisted)',
  })
  const nameless = lineOf({ uid: 1000 })
  t.notOk('user.name' in nameless)
  t.match(nameless, { 'user.id': '1000', message: /^blocked uid 1000 -> / })
})

t.test(
  'protocols have the names of ECS, or their number; reasons have the words of the policy',
  async (t) => {
    t.same(
      [IPPROTO_UDP, IPPROTO_ICMP, 132].map((protocol) => lineOf({ protocol })['network.transport']),
      ['udp', 'icmp', '132'],
    )
    t.equal(lineOf({ reasonIndex: MALFORMED.reasonIndex })['event.reason'], 'malformed')
  },
)

t.test('a summary has the number of blocks and its period', async (t) => {
  for (const [blocks, ms, text] of [
    [1, 30_000, ', 1 more time in 30 s'],
    [12, 119_400, ', 12 more times in 119 s'],
    [3, 900_400, ', 3 more times in 15 min'],
  ] as const) {
    const event = blockEvent({ type: 'summary', group: kindOf(), blocks, ms }, ENFORCE)
    t.equal(event['checkvalve.repeat'], blocks)
    t.ok(event.message.endsWith(`(not-allowlisted)${text}`), event.message)
  }
})

t.test('a line about suppressed blocks names the user, and refers to the metrics', async (t) => {
  const suppressedLine = (uid: number | undefined) =>
    JSON.parse(JSON.stringify(blockEvent({ type: 'suppressed', uid, blocks: 9488, ms: 60_000 }, ENFORCE)))
  const units = ['php.service', 'nginx.service']
  t.match(blockEvent({ type: 'suppressed', uid: 33, blocks: 2, ms: 60_000, units }, ENFORCE), {
    'checkvalve.units': units,
    message: /^blocked www-data 2 more times in 60 s, most of them by php\.service, nginx\.service, too many/,
  })
  t.match(suppressedLine(33), {
    'event.action': 'block',
    'event.reason': 'suppressed',
    'user.id': '33',
    'user.name': 'www-data',
    'checkvalve.repeat': 9488,
    message: /^blocked www-data 9488 more times in 60 s, too many kinds to list: .*checkvalve_packets_total/,
  })
  for (const [uid, who] of [
    [-1, 'packets without a user'],
    [undefined, 'further users'],
  ] as const) {
    const line = suppressedLine(uid)
    t.notOk('user.id' in line)
    t.ok(line.message.startsWith(`blocked ${who} `), line.message)
  }
  for (const field of ['destination.ip', 'source.ip', 'network.transport'])
    t.notOk(field in suppressedLine(33), field)
})

t.test('a line about lost lines has the number of their blocks, and refers to the metrics', async (t) => {
  t.match(lostEvent({ lines: 1, blocks: 70 }, OBSERVE), {
    'event.action': 'would-block',
    'event.reason': 'suppressed',
    'checkvalve.repeat': 70,
    message: /^lost 1 line of this log with 70 blocks, .*journalctl -u checkvalve/,
  })
})

t.test('no line is longer than promised, for any names of programs and units', async (t) => {
  for (const [letter, isNamed] of ['a', '\u0001', '"', '🧀'].flatMap(
    (each) =>
      [
        [each, true],
        [each, false],
      ] as const,
  )) {
    const line = longestLine(letter, isNamed)
    t.ok(Buffer.byteLength(line) <= LONGEST_LINE, `the line has ${Buffer.byteLength(line)} bytes`)
    t.ok(Buffer.byteLength(line) > LONGEST_LINE / 2)
  }
})

t.test('a line break in a name does not make a second line', async (t) => {
  const around = { ...ENFORCE, userName: () => 'a\n{"b":1}' }
  const line = JSON.stringify(blockEvent({ type: 'first', group: kindOf(), blocks: 1 }, around))
  t.notMatch(line, /\n/)
})

t.test(
  'no field controls a terminal, also after its JSON is decoded, and nothing of it is lost',
  async (t) => {
    const evil = '/tmp/\x1b]0;x\x07\n\x9b2J\u202e\u2028\u200b\u05d0\ud800'
    const escaped = '/tmp/\\x1b]0;x\\x07\\x0a\\x9b2J\\u{202e}\\u{2028}\\u{200b}\\u{5d0}\\u{d800}'
    const given = {
      rule: evil,
      who: { attribution: 'found', unit: `${evil}.service`, container: evil, executable: evil },
    } as const
    const event = blockEvent(
      { type: 'first', group: kindOf(given), blocks: 1 },
      { ...ENFORCE, userName: () => evil },
    )
    for (const [key, value] of Object.entries(event)) t.match(String(value ?? ''), /^[\x20-\x7e]*$/, key)
    t.equal(event['process.executable'], escaped)
    t.match(event.message, `blocked ${escaped} (${escaped} in ${escaped}.service) -> `)
    t.match(
      blockEvent({ type: 'suppressed', uid: 33, blocks: 1, ms: 1 }, { ...ENFORCE, userName: () => evil })
        .message,
      /^[\x20-\x7e]*$/,
    )
  },
)
