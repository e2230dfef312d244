import t from 'tap'
import {
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  type Prefix,
} from '../../../src/core/packet/ip.js'
import { decode, Packet } from '../../../src/core/packet/packet.js'
import type { Sender } from '../../../src/core/packet/sender.js'
import { explain, missesOf, nearest } from '../../../src/core/policy/explain.js'
import {
  assemble,
  compile,
  decide,
  fits,
  type Policy,
  type Protocol,
  type Rule,
  type RuleSpec,
} from '../../../src/core/policy/policy.js'
import { verdictOfKernel } from '../../../src/core/ruleset/fallback.js'
import { readOnly } from '../../../src/core/session/client-replies.js'
import { type Clients, clients, EPHEMERAL_PORTS } from '../clients.js'
import { icmp, ipv4, ipv6, tcp, udp, words } from '../packets.js'
import { v4, v6 } from '../policies.js'
import { query } from '../queries.js'
import { seededRandom } from '../random.js'

const NOW = 1_800_000_000_000
const WWW: Sender = {
  uid: 33,
  known: false,
  isReply: false,
  device: 0,
  isOf: (units) => units.includes('web.service'),
}

function read(bytes: Uint8Array): Packet {
  const packet = new Packet()
  packet.single = true
  const malformed = decode(bytes, 0, bytes.length, bytes.length, packet)
  if (malformed) throw new Error(malformed)
  return packet
}

/** Returns a rule for TCP to one address, except what is given. */
function rule(given: Partial<RuleSpec> = {}): Rule {
  const base = { reason: 'rule', name: 'r', protocol: 'tcp', ports: [], names: [], domains: [] } as const
  return compile({ ...base, prefixes: [v4(198, 51, 100, 2)], ...given })
}

function policy(rules: readonly Rule[], given: Partial<Policy> = {}): Policy {
  const base = {
    mode: 'enforce',
    canary: undefined,
    ephemeralPorts: EPHEMERAL_PORTS,
    trustedUsers: [],
  } as const
  return assemble({ ...base, queryPolicy: undefined, rules, ...given })
}

const port = (first: number, last = first) => ({ first, last })
const call = (options: Parameters<typeof tcp>[0] = {}) => read(ipv4({}, tcp(options)))
const missesAt = (one: Rule, packet: Packet, sender = WWW) =>
  missesOf(policy([one]), one, packet, sender, NOW)

t.test('each condition that a packet misses is named, and no other', async (t) => {
  const table: [Partial<RuleSpec>, string[]][] = [
    [{}, []],
    [{ protocol: 'udp' }, ['protocol']],
    [{ protocol: 'icmp' }, ['protocol']],
    [{ ports: [port(80), port(8000, 8080)] }, ['port']],
    [{ ports: [port(400, 500)] }, []],
    [{ sourcePort: 20 }, ['source-port']],
    [{ users: [0, 42] }, ['user']],
    [{ users: [] }, ['user']],
    [{ users: [33] }, []],
    [{ units: ['cron.service'] }, ['unit']],
    [{ units: ['cron.service', 'web.service'] }, []],
    [{ expires: NOW }, ['expired']],
    [{ expires: NOW + 1 }, []],
    [{ prefixes: [v4(203, 0, 113, 0, 24)] }, ['destination']],
    [
      { protocol: 'udp', ports: [port(53)], users: [0], expires: NOW, prefixes: [] },
      ['protocol', 'port', 'user', 'expired', 'destination'],
    ],
  ]
  for (const [given, misses] of table) t.same(missesAt(rule(given), call()), misses, JSON.stringify(given))
})

t.test(
  'for root from a port that the kernel did not choose, the miss is the port and not the user',
  async (t) => {
    const ofRoot = rule({ users: [0] })
    const root = { ...WWW, uid: 0 }
    t.same(missesAt(ofRoot, call({ sourcePort: 40000 }), root), [])
    t.same(missesAt(ofRoot, call({ sourcePort: 80 }), root), ['handed-on'])
    t.same(missesAt(rule({ users: [0], sourcePort: 80 }), call({ sourcePort: 80 }), root), [])
    t.same(missesAt(ofRoot, call({ sourcePort: 80 })), ['user'])
  },
)

t.test('a former address of a name is another miss than a destination that the name never had', async (t) => {
  const named = rule({ prefixes: [], names: ['api.example.org'] })
  t.same(missesAt(named, call()), ['destination'])
  named.formerAddresses.add(v4(198, 51, 100, 2))
  t.same(missesAt(named, call()), ['former'])
  t.same(missesAt(named, call(), { ...WWW, known: true }), [], 'connections from then go on')
  named.addresses.add(v4(198, 51, 100, 2))
  t.same(missesAt(named, call()), [])
})

t.test('near are the rules with the destination, those with the fewest misses first', async (t) => {
  const both = rule({ name: 'both', users: [0], ports: [port(80)] })
  const user = rule({ name: 'user', users: [0] })
  const elsewhere = rule({ name: 'elsewhere', prefixes: [v4(203, 0, 113, 1)] })
  const far = rule({ name: 'far', protocol: 'udp', users: [0], ports: [port(53)] })
  const names = (...rules: Rule[]) =>
    nearest(explain(policy(rules), call(), WWW, clients(), NOW).candidates).map(({ rule }) => rule.spec.name)
  t.same(names(both, far, elsewhere, user), ['user', 'both'])
  const resolver = rule({ name: 'resolver', reason: 'resolver', ports: [port(53)] })
  t.same(names(resolver, user), ['user', 'resolver'], 'of two, that which can be changed')
  const ping = rule({ name: 'ping', protocol: 'icmp' })
  t.same(names(ping), [], 'what may be pinged is no word of anything else')
  t.same(names(far, elsewhere), ['elsewhere'], 'and where none does, those that only lead elsewhere')
  const mirror = rule({ name: 'mirrors', reason: 'mirror', prefixes: [v4(203, 0, 113, 1)] })
  t.same(names(far, mirror), [], 'but a mirror is no place to put an address of one’s own')
  t.same(names(rule({ name: 'fits' })), [], 'and what fits is in nobody’s way')
})

t.test(
  "the verdict of the kernel's copy: rules without units, and trusted users only when names are enforced",
  async (t) => {
    const kernel = (
      rules: Rule[],
      given: Partial<Policy> = {},
      fallback: 'static' | 'closed' | 'open' = 'static',
    ) => {
      const made = policy(rules, given)
      const { candidates } = explain(made, call({ destinationPort: 53 }), WWW, clients(), NOW)
      return verdictOfKernel(made, fallback, candidates, WWW)
    }
    const asking = { isAllowed: () => true, reverse: false, search: [] }
    const resolver = rule({ reason: 'resolver' })
    t.equal(kernel([rule()]), 'accept')
    t.equal(kernel([]), 'block')
    t.equal(kernel([rule({ users: [0] })]), 'block')
    t.equal(kernel([rule({ units: ['web.service'] })]), 'block')
    t.equal(kernel([rule()], {}, 'closed'), 'block')
    t.equal(kernel([], {}, 'open'), 'accept')
    t.equal(kernel([], { mode: 'observe' }, 'closed'), 'accept')
    t.equal(kernel([resolver]), 'accept')
    t.equal(kernel([resolver], { queryPolicy: asking }), 'block')
    t.equal(kernel([resolver], { queryPolicy: asking, trustedUsers: [33] }), 'accept')
  },
)

t.test('explaining a callback does not count it, and removes no closed session', async (t) => {
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
  t.equal(judged(), 'not-allowlisted', 'a packet has used it up')
})

// The following tests hold for any policy, packet and host.

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
  device: 0,
  isOf: (units) => units.includes('web.service'),
})

/** Returns a host with random clients, the same host for the same numbers. */
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

t.test('the explained decision is that of decide, and a rule without misses is one that fits', async (t) => {
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
    'canary',
    'session',
    'callback',
    'resolver',
    'name-not-allowed',
    'mirror',
    'rule',
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
  t.same([...seen].sort(), [...expected, ...misses].sort(), 'and the rounds had all kinds of both')
})

t.test('explaining changes nothing: the next packet gets the same verdict as without it', async (t) => {
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
