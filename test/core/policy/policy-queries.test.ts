import t from 'tap'
import type { QueryPolicy } from '../../../src/core/dns/query-policy.js'
import { IPPROTO_TCP, IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import { type Packet, TCPHDR_ACK } from '../../../src/core/packet/packet.js'
import type { Sender } from '../../../src/core/packet/sender.js'
import {
  CALLBACK,
  CANARY,
  decide,
  isByContent,
  NAME_NOT_ALLOWED,
  NOT_ALLOWLISTED,
  type Policy,
  REPLY,
  SESSION,
} from '../../../src/core/policy/policy.js'
import { type Decision, REASONS } from '../../../src/core/policy/rule.js'
import { clients } from '../clients.js'
import { ipv4, tcp, words } from '../packets.js'
import { framed, query } from '../queries.js'
import { policy, prefix, rule } from '../rules.js'
import { NOW, read, tcp4, udp4, WWW_DATA } from './judging.js'

/** ASKING enforces names: the names of the rules and `host.example` may be asked for. */
const ASKING: QueryPolicy = { isAllowed: (name) => name === 'host.example', reverse: false, search: [] }
const RESOLVER = { reason: 'resolver', name: 'resolver', ports: [{ first: 53, last: 53 }] } as const

function ask(
  name: string,
  rules: Policy['rules'] = [],
  given: Partial<Policy> = { queryPolicy: ASKING },
): Decision {
  const packet = udp4({ destinationPort: 53, payload: query(name) })
  return decide(policy([rule(RESOLVER), ...rules], given), packet, WWW_DATA, clients(), NOW)
}

t.test('while names are enforced, only allowed names may be asked for', async (t) => {
  const rules = [rule({ names: ['a.example.org'], domains: ['example.net'] })]
  for (const name of ['a.example.org', 'x.y.example.net', 'host.example', 'A.Example.ORG'])
    t.match(ask(name, rules), { verdict: 'accept', reason: 'resolver' }, name)
  for (const name of ['example.org', 'b.example.org', 'x.a.example.org', 'example.net', ''])
    t.equal(ask(name, rules), NAME_NOT_ALLOWED, name)
  t.equal(ask('b.example.org', rules, {}).reason, 'resolver', 'names are not enforced')
})

t.test('a query that is not allowed is blocked, even when a later rule allows the address', async (t) => {
  const everywhere = rule({ name: 'everywhere' })
  t.equal(ask('b.example.org', [everywhere]), NAME_NOT_ALLOWED)
  t.match(NAME_NOT_ALLOWED, { verdict: 'block', rule: undefined, remember: false })
  t.equal(REASONS[NAME_NOT_ALLOWED.reasonIndex], 'name-not-allowed')
})

t.test(
  'the content of queries that are judged by name must be sent as judged, like that of time requests',
  async (t) => {
    const enforced = policy([], { queryPolicy: ASKING })
    t.equal(isByContent(enforced, ask('host.example')), true)
    t.equal(isByContent(enforced, REPLY), true, 'an answer must stay an answer')
    t.equal(isByContent(policy([]), ask('b.example.org', [], {})), false, 'any query may be sent')
    const time = rule({ reason: 'time', name: 'time', protocol: 'udp' })
    t.equal(isByContent(policy([]), time.accept), true)
    const tls = { name: 'tls', protocol: 'tcp', ports: [{ first: 853, last: 853 }] } as const
    for (const reason of ['time', 'resolver'] as const)
      t.equal(isByContent(enforced, rule({ ...tls, reason }).accept), false, 'TLS cannot be read')
    for (const decision of [NAME_NOT_ALLOWED, SESSION, rule({ name: 'any' }).accept])
      t.equal(isByContent(enforced, decision), false)
  },
)

t.test(
  'a resolver that looks like a client is still sent only allowed queries: its address may be forged',
  async (t) => {
    const host = clients([
      {
        service: { protocol: 'tcp', port: 21 },
        protocol: 'udp',
        ports: [{ first: 53, last: 53 }],
        perSession: 9,
      },
    ])
    host.services.udp[53] = 1
    const from = words('192.0.2.1')
    const resolver = words('198.51.100.2')
    host.sessions.seen(4, IPPROTO_UDP, from, 53, resolver, 53, host.now)
    host.socket = 'established'
    host.callbacks.seen(4, IPPROTO_TCP, from, 21, resolver, 50000, host.now)
    for (const sourcePort of [53, 40000]) {
      const packet = udp4({ sourcePort, destinationPort: 53, payload: query('b.example.org') })
      const judged = (given: Partial<Policy>) =>
        decide(policy([rule(RESOLVER)], given), packet, WWW_DATA, host, NOW)
      t.equal(judged({}), sourcePort === 53 ? SESSION : CALLBACK, 'names are not enforced')
      t.equal(judged({ queryPolicy: ASKING }), NAME_NOT_ALLOWED)
    }
  },
)

t.test(
  'while names are enforced, the canary still comes first, and other packets are judged as usual',
  async (t) => {
    const canary = { family: 4, words: words('198.51.100.2'), port: 53 } as const
    const rules = [rule(RESOLVER), rule({ name: 'other', prefixes: [prefix('203.0.113.0/24')] })]
    const made = policy(rules, { queryPolicy: ASKING, canary })
    const judged = (packet: Packet) => decide(made, packet, WWW_DATA, clients(), NOW)
    t.equal(judged(tcp4({ destinationPort: 53 })), CANARY)
    t.equal(judged(read(ipv4({ destination: '203.0.113.9' }, tcp()))), rules[1]!.accept)
    t.equal(judged(read(ipv4({ destination: '192.0.2.9' }, tcp()))), NOT_ALLOWLISTED)
  },
)

t.test('a packet that another rule allows is not read as a query', async (t) => {
  for (const reason of ['dhcp', 'mirror', 'rule'] as const) {
    const one = rule({ ...RESOLVER, reason })
    const packet = udp4({ destinationPort: 53, payload: query('b.example.org') })
    t.equal(
      decide(policy([one], { queryPolicy: ASKING }), packet, WWW_DATA, clients(), NOW),
      one.accept,
      reason,
    )
  }
})

t.test(
  'packets to a resolver are allowed before and after the handshake, when they carry only queries',
  async (t) => {
    const judged = (payload?: Uint8Array) => {
      const packet = tcp4({ destinationPort: 53, flags: TCPHDR_ACK, ...(payload && { payload }) })
      return decide(policy([rule(RESOLVER)], { queryPolicy: ASKING }), packet, WWW_DATA, clients(), NOW)
        .reason
    }
    t.equal(judged(), 'resolver')
    t.equal(judged(framed(query('host.example'))), 'resolver')
    t.equal(judged(framed(query('b.example.org'))), 'name-not-allowed')
    t.equal(judged(Uint8Array.of(0)), 'name-not-allowed')
  },
)

t.test("an answer that this host's resolver sends is accepted when the query to it was seen", async (t) => {
  const response = (given: Partial<Sender>, bytes = query('b.example.org', { flags: 0x8180 })) => {
    const packet = udp4({ sourcePort: 53, destinationPort: 53, payload: bytes })
    const sender = { ...WWW_DATA, ...given }
    return decide(policy([rule(RESOLVER)], { queryPolicy: ASKING }), packet, sender, clients(), NOW)
  }
  t.equal(response({ isReply: true }), REPLY)
  t.match(REPLY, { verdict: 'accept', reason: 'session', remember: false })
  t.equal(response({}), NAME_NOT_ALLOWED)
  t.equal(response({ isReply: true }, query('b.example.org')), NAME_NOT_ALLOWED, 'a query is not an answer')
  t.equal(response({ isReply: true }, Uint8Array.of(0, 0, 0x80)), NAME_NOT_ALLOWED, 'a DNS header is longer')
})

t.test("a query for the name of the service's own DNS canary is blocked with reason canary", async (t) => {
  t.equal(ask('canary.checkvalve.invalid'), CANARY)
  t.equal(ask('a.canary.checkvalve.invalid'), NAME_NOT_ALLOWED)
  t.equal(ask('canary.checkvalve.invalid', [], {}).reason, 'resolver', 'any name may be asked for')
})
