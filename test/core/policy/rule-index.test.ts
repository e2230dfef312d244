/** Proves that the index finds the rules which trying each in turn finds: the same decision for every packet. */

import t, { type Test } from 'tap'
import { Positions } from '../../../src/core/bounded/positions.js'
import {
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  type PortRange,
} from '../../../src/core/packet/ip.js'
import { ntpRequest } from '../../../src/core/packet/ntp.js'
import type { Packet } from '../../../src/core/packet/packet.js'
import type { Sender } from '../../../src/core/packet/sender.js'
import { explain } from '../../../src/core/policy/explain.js'
import { decide, NOT_ALLOWLISTED, type Policy } from '../../../src/core/policy/policy.js'
import type { Rule, RuleSpec } from '../../../src/core/policy/rule.js'
import { RuleIndex } from '../../../src/core/policy/rule-index.js'
import { clients } from '../clients.js'
import { icmp, ipv4, ipv6, tcp, udp } from '../packets.js'
import { v4, v6 } from '../policies.js'
import { query } from '../queries.js'
import { seededRandom } from '../random.js'
import { policy, prefix, rule } from '../rules.js'
import { NOW, read, tcp4, WWW_DATA } from './judging.js'

type Random = (limit: number) => number
const oneOf = <T>(random: Random, all: readonly T[]): T => all[random(all.length)]!
const someOf = <T>(random: Random, all: readonly T[]): T[] => all.filter(() => random(all.length) === 0)

const port = (first: number, last = first): PortRange => ({ first, last })
const PORTS = [0, 1, 53, 80, 123, 443, 444, 32_767, 32_768, 65_535]
const RANGES = [
  [],
  ...PORTS.slice(1).map((each) => [port(each)]),
  [port(1, 65_535)],
  [port(53, 443)],
  [port(443, 444), port(80), port(400, 500)],
  [port(32_768, 65_535)],
  [port(444, 32_768)],
]
const PREFIXES = [
  ...['0.0.0.0/0', '198.51.0.0/16', '198.51.100.0/24', '198.51.100.2/31', '198.51.100.2/32', '128.0.0.0/1'],
  ...['::/0', '2001:db8:2::/48', '2001:db8::/32', '2001:db8:2::2/128', '2001:db8:2::/127'],
].map(prefix)
const HOSTS = [v4(198, 51, 100, 2), v4(198, 51, 100, 3), v4(203, 0, 113, 2), v6(0x20000, 2), v6(0x20000, 3)]
const ADDRESSES4 = ['198.51.100.2', '198.51.100.3', '198.51.101.1', '203.0.113.2', '10.0.0.1']
const ADDRESSES6 = ['2001:db8:2::2', '2001:db8:2::3', '2001:db8:3::1', 'fe80::1']

function randomSpec(random: Random, number: number): Partial<RuleSpec> {
  return {
    name: `rule ${number}`,
    reason: oneOf(random, ['rule', 'rule', 'mirror', 'resolver', 'time'] as const),
    protocol: oneOf(random, ['tcp', 'udp', 'icmp', 'any', 'any'] as const),
    ports: oneOf(random, RANGES),
    sourcePort: oneOf(random, [undefined, undefined, undefined, 123]),
    users: oneOf(random, [undefined, undefined, [33], [0, 33], []]),
    units: oneOf(random, [undefined, undefined, undefined, ['web.service']]),
    expires: oneOf(random, [undefined, undefined, NOW, NOW + 1]),
    prefixes: someOf(random, PREFIXES),
  }
}

/** Adds an address to a rule or removes it, as learning does, in any order. */
function learn(random: Random, rules: readonly Rule[]): void {
  if (rules.length === 0) return
  const set = oneOf(random, rules)[oneOf(random, ['addresses', 'formerAddresses'] as const)]
  if (random(2) === 0) set.add(oneOf(random, HOSTS))
  else set.remove(oneOf(random, HOSTS))
}

function randomPackets(random: Random, count: number): Packet[] {
  return Array.from({ length: count }, () => {
    const ports = { sourcePort: oneOf(random, [123, 40_000]), destinationPort: oneOf(random, PORTS) }
    const payload = oneOf(random, [ntpRequest(), query('a.example.org'), new Uint8Array(3)])
    const six = random(2) === 0
    const [protocol, content] = oneOf(random, [
      [IPPROTO_TCP, tcp(ports)],
      [IPPROTO_TCP, tcp(ports)],
      [IPPROTO_UDP, udp({ ...ports, payload })],
      [IPPROTO_UDP, udp({ ...ports, payload })],
      [six ? IPPROTO_ICMPV6 : IPPROTO_ICMP, icmp(six ? 128 : 8)],
      [47, new Uint8Array(24)],
    ] as const)
    const destination = oneOf(random, six ? ADDRESSES6 : ADDRESSES4)
    return read((six ? ipv6 : ipv4)({ destination, protocol }, content))
  })
}

function randomSender(random: Random): Sender {
  const isOf = random(2) === 0
  return {
    ...WWW_DATA,
    uid: oneOf(random, [33, 33, 0, 7, -1]),
    known: random(4) === 0,
    isOf: () => isOf,
  }
}

/** Returns a policy that tries each rule in turn: its index finds all of them. */
function inTurn(made: Policy): Policy {
  const all = new Positions(made.rules.length)
  for (const i of made.rules.keys()) all.add(i)
  return { ...made, index: { find: () => all } }
}

/** A host without clients, whose state no packet of these tests changes. */
const HOST = clients()

/** Judges a packet with the index, in turn and by `explain`. @returns the decision, which must be the same */
function judgedAlike(t: Test, made: Policy, packet: Packet, sender: Sender): string {
  const decision = decide(made, packet, sender, HOST, NOW)
  const wanted = decide(inTurn(made), packet, sender, HOST, NOW)
  if (decision !== wanted) t.fail(`${decision.reason} of ${decision.rule?.spec.name}, not ${wanted.reason}`)
  if (explain(made, packet, sender, HOST, NOW).decision !== wanted) t.fail('explain decides otherwise')
  return decision.reason
}

t.test('each packet gets the decision that it gets when the rules are tried in turn', async (t) => {
  const random = seededRandom(7)
  const packets = randomPackets(random, 1000)
  const reasons = new Set<string>()
  for (let round = 0; round < 3000; round++) {
    const rules = Array.from({ length: random(20) }, (_, i) => rule(randomSpec(random, i)))
    for (let i = 0; i < 10; i++) learn(random, rules)
    const asking = { isAllowed: () => round % 8 === 0, reverse: false, search: [] }
    const used = { has: (name: string) => name.endsWith('1') }
    const made = policy(rules, { used, queryPolicy: round % 4 === 0 ? asking : undefined })
    for (let n = 0; n < 20; n++) {
      learn(random, rules)
      const sender = randomSender(random)
      reasons.add(judgedAlike(t, made, oneOf(random, packets), sender))
    }
  }
  t.same(
    [...reasons].sort(),
    [
      'address-expired',
      'mirror',
      'name-not-allowed',
      'not-allowlisted',
      'not-ntp',
      'resolver',
      'rule',
      'time',
    ],
    'the packets had all decisions',
  )
})

t.test('an address is found as soon as a rule has it, and no longer than that', async (t) => {
  const [one, other] = [rule({ name: 'one', prefixes: [] }), rule({ name: 'other', prefixes: [] })]
  const host = HOSTS[0]!
  one.addresses.add(host)
  const made = policy([one, other])
  const ruleOf = () => decide(made, tcp4(), WWW_DATA, HOST, NOW).rule?.spec.name
  t.equal(ruleOf(), 'one', 'it had the address before the policy was made')
  other.addresses.add(host)
  other.addresses.add(host)
  one.addresses.remove(host)
  t.equal(ruleOf(), 'other')
  other.addresses.remove(host)
  t.equal(ruleOf(), 'other', 'another name of the rule has the address')
  other.formerAddresses.add(host)
  other.addresses.remove(host)
  t.equal(decide(made, tcp4(), WWW_DATA, HOST, NOW), other.expired)
  other.formerAddresses.remove(host)
  t.equal(decide(made, tcp4(), WWW_DATA, HOST, NOW), NOT_ALLOWLISTED)
  other.addresses.add(host)
  t.equal(ruleOf(), 'other', 'it is learned again')
})

/** Counts the rules that a packet meets. */
function metBy(index: RuleIndex, packet: Packet): number {
  const found = index.find(packet)
  let count = 0
  for (let i = found.from(0); i >= 0; i = found.from(i + 1)) count++
  return count
}

t.test('of 10,000 rules a packet meets only those with its protocol, port and address', async (t) => {
  const numbers = Array.from({ length: 10_000 }, (_, i) => i)
  const byAddress = numbers.map((i) => rule({ prefixes: [v4(198, 18, i >> 8, i & 255)], ports: [port(443)] }))
  const byPort = numbers.map((i) => rule({ ports: [port(i + 1)] }))
  const byName = numbers.map((i) => {
    const made = rule({ prefixes: [] })
    made.addresses.add(v4(198, 18, i >> 8, i & 255))
    return made
  })
  const to = (destination: string) => read(ipv4({ destination }, tcp({ destinationPort: 443 })))
  for (const index of [byAddress, byName].map((rules) => new RuleIndex(rules))) {
    t.equal(metBy(index, to('198.18.1.7')), 1)
    t.equal(metBy(index, to('198.51.100.2')), 0)
  }
  t.equal(metBy(new RuleIndex(byPort), to('198.51.100.2')), 1)
  t.equal(metBy(new RuleIndex(byPort), to('203.0.113.1')), 0)
  const udpOnly = numbers.map(() => rule({ protocol: 'udp' }))
  t.equal(metBy(new RuleIndex(udpOnly), to('198.51.100.2')), 0)
})
