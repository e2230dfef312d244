import t from 'tap'
import {
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  type Prefix,
} from '../../../src/core/packet/ip.js'
import type { Packet } from '../../../src/core/packet/packet.js'
import type { Sender } from '../../../src/core/packet/sender.js'
import { explain } from '../../../src/core/policy/explain.js'
import { decide, fits, type Policy } from '../../../src/core/policy/policy.js'
import type { Protocol, Rule } from '../../../src/core/policy/rule.js'
import { readOnly } from '../../../src/core/session/client-replies.js'
import { type Clients, clients } from '../clients.js'
import { icmp, ipv4, ipv6, tcp, udp, words } from '../packets.js'
import { v4, v6 } from '../policies.js'
import { query } from '../queries.js'
import { seededRandom } from '../random.js'
import { call, NOW, policy, port, read, rule, WWW } from './explaining.js'

t.test('explaining a callback does not count it, and does not remove a closed session', async (t) => {
  const callback = {
    service: { protocol: 'tcp', port: 21 },
    protocol: 'tcp',
    ports: [port(443)],
    perSession: 1,
  } as const
  const host = clients([callback])
  host.callbacks.seen(4, IPPROTO_TCP, words('192.0.2.1'), 21, words('198.51.100.2'), 9, host.now)
  const looking = readOnly(host, host.callbacks)
  const judged = () => explain(policy([]), call(), WWW, looking, NOW).decision.reason
  host.socket = 'unknown'
  t.equal(judged(), 'not-allowlisted')
  host.socket = 'established'
  for (let i = 0; i < 5; i++) t.equal(judged(), 'callback')
  t.equal(decide(policy([]), call(), WWW, host, NOW).reason, 'callback')
  t.equal(judged(), 'not-allowlisted', 'a packet has used the callback up')
})

// These tests hold for any policy, packet and host.

const ROUNDS = 4000
type Random = (limit: number) => number
const pick = <T>(random: Random, of: readonly T[]): T => of[random(of.length)]!

const PLACES = [
  v4(198, 51, 100, 2),
  v4(198, 51, 100, 0, 24),
  v4(203, 0, 113, 1),
  v6(2, 2),
  v6(0, 0, 32),
  v4(0, 0, 0, 0, 0),
]
const USERS = [0, 33, 42]
const PORTS = [20, 53, 443, 40000]

const some = <T>(random: Random, of: readonly T[]): T[] => of.filter(() => random(2) === 0)
const perhaps = <T>(random: Random, make: () => T): T | undefined => (random(3) === 0 ? make() : undefined)

function anyRule(random: Random): Rule {
  const protocols: readonly Protocol[] = ['tcp', 'udp', 'icmp', 'any']
  const made = rule({
    reason: pick(random, ['resolver', 'rule', 'mirror'] as const),
    protocol: pick(random, protocols),
    ports: perhaps(random, () => some(random, PORTS).map((first) => port(first, first + random(2)))) ?? [],
    sourcePort: perhaps(random, () => pick(random, PORTS)),
    users: perhaps(random, () => some(random, USERS)),
    units: perhaps(random, () => [pick(random, ['web.service', 'cron.service'])]),
    expires: perhaps(random, () => NOW - 1 + random(3)),
    prefixes: some(random, PLACES),
  })
  const single = (each: Prefix) => each.length === (each.family === 4 ? 32 : 128)
  for (const host of some(random, PLACES.filter(single))) made.addresses.add(host)
  for (const host of some(random, PLACES.filter(single))) made.formerAddresses.add(host)
  return made
}

function anyPolicy(random: Random): Policy {
  const asking = perhaps(random, () => ({
    isAllowed: (name: string) => name === 'allowed.example.org',
    reverse: false,
    search: [],
  }))
  const canary = perhaps(random, () => ({ ...v4(203, 0, 113, 1), port: 443 }))
  return policy(
    Array.from({ length: random(4) }, () => anyRule(random)),
    { queryPolicy: asking, canary },
  )
}

function anyPacket(random: Random): Packet {
  const ports = { sourcePort: pick(random, PORTS), destinationPort: pick(random, PORTS) }
  const six = random(3) === 0
  const bytes = pick(random, [
    () => [IPPROTO_TCP, tcp({ ...ports, flags: pick(random, [0x02, 0x10, 0x12]) })] as const,
    () => {
      const payload = query(pick(random, ['allowed.example.org', 'other.example.org']), {
        flags: pick(random, [0x0100, 0x8000]),
      })
      return [IPPROTO_UDP, udp({ ...ports, payload })] as const
    },
    () => [six ? IPPROTO_ICMPV6 : IPPROTO_ICMP, icmp(8)] as const,
  ])
  const [protocol, payload] = bytes()
  if (six)
    return read(ipv6({ protocol, destination: pick(random, ['2001:db8:2::2', '2001:db8::9']) }, payload))
  return read(
    ipv4({ protocol, destination: pick(random, ['198.51.100.2', '198.51.100.9', '203.0.113.1']) }, payload),
  )
}

const anySender = (random: Random): Sender => ({
  uid: pick(random, [...USERS, -1]),
  known: random(2) === 0,
  isReply: random(2) === 0,
  isForeign: random(8) === 0,
  isQuarantined: false,
  device: 0,
  isOf: (units) => units.includes('web.service'),
})

/** Returns a host with random clients; equal seeds give equal hosts. */
function anyHost(seed: number): Clients {
  const random = seededRandom(seed)
  const callback = {
    service: { protocol: 'tcp', port: 20 },
    protocol: 'tcp',
    ports: [port(443)],
    perSession: 2,
  } as const
  const host = clients(some(random, [callback]))
  host.socket = pick(random, ['established', 'transient', 'none', 'unknown'] as const)
  for (const service of some(random, PORTS)) {
    host.services.tcp[service] = 1
    host.services.udp[service] = 1
    for (const protocol of [IPPROTO_TCP, IPPROTO_UDP] as const)
      for (const remote of some(random, PORTS)) {
        const ends = [
          words('192.0.2.1'),
          service,
          words('198.51.100.2'),
          remote,
          host.now - 61 * random(2),
        ] as const
        host.sessions.seen(4, protocol, ...ends)
        host.callbacks.seen(4, protocol, ...ends)
      }
  }
  return host
}

t.test(
  'the explained decision equals that of decide, and a rule has no misses exactly when it fits',
  async (t) => {
    const random = seededRandom(20_261_126)
    const seen = new Set<string>()
    for (let round = 0; round < ROUNDS; round++) {
      const [made, packet, sender, seed] = [
        anyPolicy(random),
        anyPacket(random),
        anySender(random),
        random(2 ** 31),
      ]
      const decided = decide(made, packet, sender, anyHost(seed), NOW)
      const host = anyHost(seed)
      const { decision, candidates } = explain(made, packet, sender, readOnly(host, host.callbacks), NOW)
      if (decision !== decided)
        throw new Error(`round ${round}: explained ${decision.reason}, decided ${decided.reason}`)
      for (const { rule, misses } of candidates)
        if ((misses.length === 0) !== fits(made, rule, packet, sender, NOW))
          throw new Error(`round ${round}: ${misses.join() || 'no miss'} of ${JSON.stringify(rule.spec)}`)
      seen.add(decision.reason)
      for (const miss of candidates.flatMap(({ misses }) => misses)) seen.add(miss)
    }
    const expected = [
      'foreign-source',
      'canary',
      'session',
      'callback',
      'resolver',
      'name-not-allowed',
      'mirror',
      'rule',
      'address-expired',
      'not-allowlisted',
    ]
    const misses = [
      'protocol',
      'port',
      'source-port',
      'user',
      'handed-on',
      'unit',
      'expired',
      'former',
      'destination',
    ]
    t.same([...seen].sort(), [...expected, ...misses].sort(), 'the rounds had every reason and every miss')
  },
)

t.test('explaining changes nothing: the next packet gets the verdict that it would have had', async (t) => {
  const random = seededRandom(7)
  for (let round = 0; round < ROUNDS; round++) {
    const [made, packet, sender, seed] = [
      anyPolicy(random),
      anyPacket(random),
      anySender(random),
      random(2 ** 31),
    ]
    const [asked, untouched] = [anyHost(seed), anyHost(seed)]
    for (let i = 0; i < 3; i++) explain(made, packet, sender, readOnly(asked, asked.callbacks), NOW)
    for (let i = 0; i < 3; i++) {
      const [one, other] = [asked, untouched].map((host) => decide(made, packet, sender, host, NOW))
      if (one !== other) throw new Error(`round ${round}: ${one!.reason}, not ${other!.reason}`)
    }
    if (asked.sessions.size !== untouched.sessions.size) throw new Error(`round ${round}: other sessions`)
  }
  t.pass()
})
