import t from 'tap'
import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import { Packet } from '../../../src/core/packet/packet.js'
import {
  CALLBACK,
  CANARY,
  compile,
  FOREIGN_SOURCE,
  MALFORMED,
  NAME_NOT_ALLOWED,
  NOT_ALLOWLISTED,
  NOT_NTP,
  QUARANTINED,
  SESSION,
  UNJUDGED_STREAM,
} from '../../../src/core/policy/policy.js'
import { REASONS, type RuleSpec } from '../../../src/core/policy/rule.js'
import { VerdictCounts } from '../../../src/core/record/verdict-counts.js'

function packet(protocol: number = IPPROTO_TCP, family: 4 | 6 = 4): Packet {
  return Object.assign(new Packet(), { protocol, family })
}

const NAMED = { name: 'r', protocol: 'any', ports: [], prefixes: [], names: [], domains: [] } as const
const accept = (reason: RuleSpec['reason']) => compile({ ...NAMED, reason }).accept

t.test('a verdict increments the counter with its labels, and no other', async (t) => {
  const counts = new VerdictCounts()
  counts.add(packet(), 33, NOT_ALLOWLISTED, false)
  counts.add(packet(), 34, NOT_ALLOWLISTED, false)
  counts.add(packet(IPPROTO_UDP, 6), 0, accept('resolver'), false)
  t.same(
    [...counts.counts()],
    [
      { verdict: 'accept', reason: 'resolver', protocol: 'udp', family: 'ipv6', packets: 1 },
      { verdict: 'block', reason: 'not-allowlisted', protocol: 'tcp', family: 'ipv4', packets: 2 },
    ],
  )
})

t.test('each combination of verdict, reason, protocol and family has its own counter', async (t) => {
  const counts = new VerdictCounts()
  const infrastructure = (['resolver', 'time', 'dhcp'] as const).map(accept)
  const rules = (['mirror', 'rule'] as const).map(accept)
  const decisions = [
    ...[MALFORMED, FOREIGN_SOURCE, CANARY, SESSION, CALLBACK, QUARANTINED],
    ...infrastructure,
    NOT_NTP,
    NAME_NOT_ALLOWED,
    UNJUDGED_STREAM,
    ...rules,
    compile({ ...NAMED, reason: 'rule' }).expired,
    NOT_ALLOWLISTED,
  ]
  t.same(
    decisions.map(({ reason }) => reason),
    REASONS,
    'the decisions have every reason',
  )
  const protocols = [IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, 132]
  for (const decision of decisions)
    for (const protocol of protocols)
      for (const family of [4, 6] as const)
        for (const observing of [true, false]) counts.add(packet(protocol, family), 33, decision, observing)
  const found = [...counts.counts()]
  // Accepted packets have one verdict in both modes; blocked ones have a verdict for each.
  t.equal(found.length, (7 + 9 * 2) * 4 * 2)
  t.equal(
    found.reduce((sum, { packets }) => sum + packets, 0),
    16 * 4 * 2 * 2,
  )
  for (const { verdict, packets } of found) t.equal(packets, verdict === 'accept' ? 2 : 1)
})

t.test('ICMP is one protocol in both families; protocols without a name are counted as other', async (t) => {
  const counts = new VerdictCounts()
  for (const protocol of [IPPROTO_ICMP, IPPROTO_ICMPV6, 132, 0, 255])
    counts.add(packet(protocol), 33, NOT_ALLOWLISTED, false)
  t.same(
    [...counts.counts()].map(({ protocol, packets }) => `${protocol} ${packets}`),
    ['icmp 2', 'other 3'],
  )
})

t.test('in mode observe, packets that would be blocked have their own verdict', async (t) => {
  const counts = new VerdictCounts()
  counts.add(packet(), 33, NOT_ALLOWLISTED, true)
  counts.add(packet(), 33, accept('rule'), true)
  t.same(
    [...counts.counts()].map(({ verdict, reason }) => `${verdict} ${reason}`),
    ['accept rule', 'would-block not-allowlisted'],
  )
  t.same([...counts.blocksByUser()], [[33, 1]])
})

t.test('blocks are counted by user, except those of the service’s own canary', async (t) => {
  const counts = new VerdictCounts()
  for (const uid of [33, 33, 1000, -1]) counts.add(packet(), uid, NOT_ALLOWLISTED, false)
  counts.add(packet(), 33, accept('rule'), false)
  counts.add(packet(), 0, CANARY, false)
  t.same(
    [...counts.blocksByUser()],
    [
      [33, 2],
      [1000, 1],
      [-1, 1],
    ],
  )
})

t.test('at most 32 users have a counter; all further users share one, and no block is lost', async (t) => {
  const counts = new VerdictCounts()
  for (let round = 0; round < 3; round++)
    for (let uid = 0; uid < 250; uid++) counts.add(packet(), uid, NOT_ALLOWLISTED, false)
  const users = [...counts.blocksByUser()]
  t.equal(users.length, 33)
  t.same(users.at(-1), [undefined, 654])
  for (const [uid, packets] of users.slice(0, 32)) t.same([uid! < 32, packets], [true, 3])
})

t.test('packets are summed by verdict and reason, over all protocols and families', async (t) => {
  const counts = new VerdictCounts()
  counts.add(packet(IPPROTO_TCP), 33, NOT_ALLOWLISTED, false)
  counts.add(packet(IPPROTO_UDP, 6), 34, NOT_ALLOWLISTED, false)
  counts.add(packet(IPPROTO_UDP, 6), 34, NOT_ALLOWLISTED, true)
  counts.add(packet(), -1, SESSION, false)
  t.same(Object.fromEntries(counts.byReason()), {
    'accept session': 1,
    'block not-allowlisted': 2,
    'would-block not-allowlisted': 1,
  })
})

t.test('packets that the kernel has refused count for their user, and are no verdicts', async (t) => {
  const counts = new VerdictCounts()
  counts.add(packet(IPPROTO_TCP, 4), 33, NOT_ALLOWLISTED, false)
  counts.addRefused(33, 10)
  counts.addRefused(1000, 5)
  t.same(
    [...counts.blocksByUser()],
    [
      [33, 11],
      [1000, 5],
    ],
  )
  t.equal(counts.blocks, 1)
  for (let uid = 2000; uid < 2050; uid++) counts.addRefused(uid, 2)
  t.same([...counts.blocksByUser()].at(-1), [undefined, 2 * (50 - 30)])
})
