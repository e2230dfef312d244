import t from 'tap'
import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import { type Packet, TCPHDR_ACK, TCPHDR_SYN } from '../../../src/core/packet/packet.js'
import type { Sender } from '../../../src/core/packet/sender.js'
import {
  CALLBACK,
  CANARY,
  decide,
  MALFORMED,
  NAME_NOT_ALLOWED,
  NOT_ALLOWLISTED,
  type Policy,
  SESSION,
} from '../../../src/core/policy/policy.js'
import { REASONS, type RuleSpec } from '../../../src/core/policy/rule.js'
import { clients } from '../clients.js'
import { icmp, ipv4, ipv6, tcp, udp, words } from '../packets.js'
import { policy, prefix, rule } from '../rules.js'
import { judge, NO_USER, NO_USER_APPROVED, NOW, read, tcp4, udp4, WWW_DATA } from './judging.js'

t.test('a packet that no rule allows is blocked, and the decision has the index of its reason', async (t) => {
  t.equal(judge([], tcp4()), NOT_ALLOWLISTED)
  t.equal(judge([rule({ prefixes: [prefix('203.0.113.0/24')] })], tcp4()), NOT_ALLOWLISTED)
  for (const each of [MALFORMED, CANARY, SESSION, CALLBACK, NAME_NOT_ALLOWED, NOT_ALLOWLISTED])
    t.equal(REASONS[each.reasonIndex], each.reason)
})

t.test(
  'a packet that a rule allows is accepted with the reason of the rule, and the decision names the rule',
  async (t) => {
    for (const reason of ['resolver', 'dhcp', 'mirror', 'rule'] as const) {
      const one = rule({ reason, name: `the ${reason} rule` })
      const decision = judge([one], tcp4())
      t.match(decision, { verdict: 'accept', reason, reasonIndex: REASONS.indexOf(reason) })
      t.equal(decision.rule, one)
    }
  },
)

t.test('the first rule that fits decides', async (t) => {
  const elsewhere = rule({ name: 'elsewhere', prefixes: [prefix('203.0.113.0/24')] })
  const first = rule({ name: 'first', reason: 'mirror' })
  const second = rule({ name: 'second' })
  t.equal(judge([elsewhere, first, second], tcp4()).rule, first)
  t.equal(judge([elsewhere, second, first], tcp4()).rule, second)
})

t.test('the canary is decided before a session, and a session before any rule', async (t) => {
  const host = clients()
  host.services.tcp[443] = 1
  host.sessions.seen(4, IPPROTO_TCP, words('192.0.2.1'), 443, words('198.51.100.2'), 9, host.now)
  const answer = tcp4({ sourcePort: 443, destinationPort: 9, flags: TCPHDR_ACK })
  const canary = { family: 4, words: words('198.51.100.2'), port: 9 } as const
  t.equal(decide(policy([rule()], { canary }), answer, WWW_DATA, host, NOW), CANARY)
  t.equal(decide(policy([rule()]), answer, WWW_DATA, host, NOW), SESSION)
  t.equal(decide(policy([rule()]), answer, WWW_DATA, clients(), NOW).reason, 'rule')
})

t.test(
  'only a packet with the address, port and protocol of the canary is blocked as the canary',
  async (t) => {
    const everywhere = rule({ prefixes: [prefix('0.0.0.0/0'), prefix('::/0')] })
    const judged = (canary: Policy['canary'], packet: Packet) =>
      decide(policy([everywhere], { canary }), packet, WWW_DATA, clients(), NOW)
    const four = { family: 4, words: words('192.0.2.9'), port: 9 } as const
    const to4 = (destination: string, port: number) =>
      read(ipv4({ destination }, tcp({ destinationPort: port })))
    t.equal(judged(four, to4('192.0.2.9', 9)), CANARY)
    t.equal(judged(four, to4('192.0.2.9', 10)).verdict, 'accept')
    t.equal(judged(four, to4('192.0.2.8', 9)).verdict, 'accept')
    const datagram = ipv4({ destination: '192.0.2.9', protocol: IPPROTO_UDP }, udp({ destinationPort: 9 }))
    t.equal(judged(four, read(datagram)).verdict, 'accept')

    const six = { family: 6, words: words('2001:db8:2::9'), port: 9 } as const
    const to6 = (destination: string) => read(ipv6({ destination }, tcp({ destinationPort: 9 })))
    t.equal(judged(six, to6('2001:db8:2::9')), CANARY)
    for (const other of ['2001:db9:2::9', '2001:db8:3::9', '2001:db8:2:0:0:1::9', '2001:db8:2::8'])
      t.equal(judged(six, to6(other)).verdict, 'accept', other)
    const sameWords = { family: 6, words: words('192.0.2.9'), port: 9 } as const
    const further = (packet: Packet) => {
      const made = policy([everywhere], { canary: four })
      made.moreCanaries = [six]
      return decide(made, packet, WWW_DATA, clients(), NOW)
    }
    t.equal(further(to6('2001:db8:2::9')), CANARY, 'a further canary')
    t.equal(further(to4('192.0.2.9', 9)), CANARY)
    t.equal(further(to6('2001:db8:2::8')).verdict, 'accept')
    t.equal(
      judged(sameWords, to4('192.0.2.9', 9)).verdict,
      'accept',
      'the address belongs to the other family',
    )
  },
)

t.test(
  'a rule with units accepts only packets of their processes, and the unit is looked up last',
  async (t) => {
    const rules = [rule({ units: ['web.service', 'db.slice'] })]
    const asked: (readonly string[])[] = []
    const from = (yes: boolean): Sender => ({
      ...WWW_DATA,
      isOf: (units) => {
        asked.push(units)
        return yes
      },
    })
    t.equal(judge(rules, tcp4(), from(true)).reason, 'rule')
    t.equal(judge(rules, tcp4(), from(false)), NOT_ALLOWLISTED)
    t.same(asked, Array(2).fill(['web.service', 'db.slice']))
    const elsewhere = read(ipv4({ destination: '203.0.113.1' }, tcp({})))
    t.equal(judge(rules, elsewhere, from(true)), NOT_ALLOWLISTED)
    t.equal(judge([rule({ units: ['web.service'], users: [7] })], tcp4(), from(true)), NOT_ALLOWLISTED)
    t.equal(asked.length, 2, 'the kernel is not asked when another condition fails')
    t.equal(
      judge(rules, tcp4(), { ...from(true), uid: -1 }),
      NOT_ALLOWLISTED,
      'a packet without a user has no socket',
    )
    t.equal(judge(rules, tcp4(), NO_USER_APPROVED).reason, 'rule', 'an approved connection continues')
  },
)

t.test(
  'the unit of a UDP packet is looked up for each packet: its port may soon belong to another unit',
  async (t) => {
    t.equal(rule({ units: ['web.service'] }).accept.remember, false)
    t.equal(rule({ units: ['web.service'] }).acceptTcp.remember, true)
  },
)

t.test('a rule with users allows only these users', async (t) => {
  const rules = [rule({ users: [0, 42] })]
  t.equal(judge(rules, tcp4(), { ...WWW_DATA, uid: 0 }).reason, 'rule')
  t.equal(judge(rules, tcp4(), { ...WWW_DATA, uid: 42 }).reason, 'rule')
  t.equal(judge(rules, tcp4(), { ...WWW_DATA, uid: 33 }), NOT_ALLOWLISTED)
  t.equal(
    judge(rules, tcp4(), { ...WWW_DATA, uid: 33, known: true }),
    NOT_ALLOWLISTED,
    'a known connection does not replace the user',
  )
  t.equal(judge([rule({ users: [] })], tcp4()), NOT_ALLOWLISTED, 'an empty list of users allows no user')
})

t.test('a packet without a user fits a rule with users only on a connection approved before', async (t) => {
  const rules = [rule({ users: [0] })]
  t.equal(judge(rules, tcp4(), NO_USER), NOT_ALLOWLISTED)
  t.equal(judge(rules, tcp4(), NO_USER_APPROVED).reason, 'rule')
  t.equal(judge([rule()], tcp4(), NO_USER).reason, 'rule', 'a rule without users needs no user')
})

t.test('a rule with ports allows only these ports, both ends of a range included', async (t) => {
  const rules = [
    rule({
      ports: [
        { first: 80, last: 80 },
        { first: 8000, last: 8010 },
      ],
    }),
  ]
  for (const port of [80, 8000, 8005, 8010])
    t.equal(judge(rules, tcp4({ destinationPort: port })).reason, 'rule', `port ${port} is allowed`)
  for (const port of [79, 81, 7999, 8011, 0, 65535])
    t.equal(judge(rules, tcp4({ destinationPort: port })), NOT_ALLOWLISTED, `port ${port} is blocked`)
  t.equal(judge(rules, udp4({ destinationPort: 8000 })).reason, 'rule')
})

t.test('a rule with ports never fits a protocol that has none', async (t) => {
  const anyPort = [rule({ ports: [{ first: 0, last: 65535 }] })]
  const ping = read(ipv4({ protocol: IPPROTO_ICMP }, icmp(8)))
  const sctp = read(ipv4({ protocol: 132 }, tcp()))
  t.equal(judge(anyPort, ping), NOT_ALLOWLISTED)
  t.equal(judge(anyPort, sctp), NOT_ALLOWLISTED)
  t.equal(judge([rule()], sctp).reason, 'rule', 'a rule without ports fits any protocol')
})

t.test('a rule allows only its protocol; icmp means the ICMP of the packet’s own family', async (t) => {
  const packets = {
    tcp: tcp4(),
    udp: udp4(),
    icmp: read(ipv4({ protocol: IPPROTO_ICMP }, icmp(8))),
    icmpv6: read(ipv6({ protocol: IPPROTO_ICMPV6 }, icmp(128))),
    'ICMPv6 in IPv4': read(ipv4({ protocol: IPPROTO_ICMPV6 }, icmp(128))),
    'ICMP in IPv6': read(ipv6({ protocol: IPPROTO_ICMP }, icmp(8))),
  }
  const passing = (protocol: RuleSpec['protocol']) =>
    Object.entries(packets)
      .filter(([, packet]) => judge([rule({ protocol })], packet).verdict === 'accept')
      .map(([name]) => name)
  t.same(passing('tcp'), ['tcp'])
  t.same(passing('udp'), ['udp'])
  t.same(passing('icmp'), ['icmp', 'icmpv6'])
  t.same(passing('any'), Object.keys(packets))
})

t.test('a rule with a source port allows only packets from that port', async (t) => {
  const rules = [rule({ protocol: 'udp', sourcePort: 68 })]
  t.equal(judge(rules, udp4({ sourcePort: 68 })).reason, 'rule')
  t.equal(judge(rules, udp4({ sourcePort: 69 })), NOT_ALLOWLISTED)
})

t.test('a rule matches nothing from the millisecond of its expiry on', async (t) => {
  const rules = [rule({ expires: NOW })]
  t.equal(judge(rules, tcp4(), WWW_DATA, NOW - 1).reason, 'rule')
  t.equal(judge(rules, tcp4(), WWW_DATA, NOW), NOT_ALLOWLISTED)
  t.equal(judge(rules, tcp4(), WWW_DATA, NOW + 1), NOT_ALLOWLISTED)
})

t.test(
  'a rule with names allows nothing until addresses are learned, then only these addresses',
  async (t) => {
    const named = rule({ prefixes: [], names: ['mirror.example.org'] })
    t.equal(judge([named], tcp4()), NOT_ALLOWLISTED)
    named.addresses.add(prefix('198.51.100.2'))
    t.equal(judge([named], tcp4()), named.acceptTcp)
    t.equal(judge([named], read(ipv4({ destination: '198.51.100.3' }, tcp()))), NOT_ALLOWLISTED)
    named.addresses.remove(prefix('198.51.100.2'))
    t.equal(judge([named], tcp4()), NOT_ALLOWLISTED, 'the address was removed')
  },
)

t.test('a reply to a client is accepted with reason session, and needs no rule', async (t) => {
  const host = clients()
  host.services.tcp[443] = 1
  const answer = tcp4({ sourcePort: 443, destinationPort: 51000, flags: TCPHDR_ACK })
  t.equal(decide(policy(), answer, WWW_DATA, host, NOW), NOT_ALLOWLISTED)
  host.socket = 'established'
  t.equal(decide(policy(), answer, WWW_DATA, host, NOW), SESSION)
})

t.test('the kernel’s own SYN-ACK is accepted and not remembered: the client may not exist', async (t) => {
  const host = clients()
  host.services.tcp[443] = 1
  const handshake = tcp4({ sourcePort: 443, destinationPort: 51000, flags: TCPHDR_SYN | TCPHDR_ACK })
  const decision = decide(policy(), handshake, NO_USER, host, NOW)
  t.match(decision, { verdict: 'accept', reason: 'session', remember: false })
  t.equal(SESSION.remember, true)
})

t.test('a callback is tried after the sessions and before the rules', async (t) => {
  const service = { protocol: 'tcp', port: 21 } as const
  const host = clients([{ service, protocol: 'tcp', ports: [{ first: 1024, last: 65535 }], perSession: 1 }])
  host.socket = 'established'
  host.callbacks.seen(4, IPPROTO_TCP, words('192.0.2.1'), 21, words('198.51.100.2'), 50000, host.now)
  const call = tcp4({ sourcePort: 20, destinationPort: 2000 })
  t.equal(decide(policy([rule()]), call, WWW_DATA, host, NOW), CALLBACK)
  t.equal(
    decide(policy([rule()]), call, WWW_DATA, host, NOW).reason,
    'rule',
    'the session allowed one callback',
  )
  t.equal(decide(policy(), call, WWW_DATA, host, NOW), NOT_ALLOWLISTED)
})

t.test(
  'an accepted UDP packet of a rule with users is not remembered: another user could inherit its socket',
  async (t) => {
    const remembered = (users?: number[]) => {
      const { accept, acceptTcp } = rule({ protocol: 'any', users })
      return [accept.remember, acceptTcp.remember]
    }
    t.same(remembered(), [true, true])
    t.same(remembered([0]), [false, true])
    for (const bound of [{ users: [WWW_DATA.uid] }, { units: ['web.service'] }]) {
      const decision = judge([rule({ protocol: 'any', ...bound })], tcp4(), { ...WWW_DATA, isOf: () => true })
      t.match(
        decision,
        { reason: 'rule', remember: true },
        'TCP is remembered: a closed TCP socket has no user',
      )
    }
    t.equal(SESSION.remember, true)
    t.equal(NOT_ALLOWLISTED.remember, false)
  },
)

t.test('a former address of a name fits only a connection that was approved before', async (t) => {
  const named = rule({ prefixes: [], names: ['mirror.example.org'], users: [33] })
  named.formerAddresses.add(prefix('198.51.100.2'))
  const known = { ...WWW_DATA, known: true }
  t.equal(judge([named], tcp4(), WWW_DATA), named.expired, 'no new connection is allowed')
  t.equal(judge([named], tcp4(), known), named.acceptTcp)
  t.equal(judge([named], tcp4(), NO_USER_APPROVED), named.acceptTcp)
  t.equal(
    judge([named], tcp4(), { ...known, uid: 34 }),
    NOT_ALLOWLISTED,
    'the other conditions must still fit',
  )
  t.equal(judge([named], read(ipv4({ destination: '198.51.100.3' }, tcp())), known), NOT_ALLOWLISTED)
  named.addresses.add(prefix('198.51.100.2'))
  t.equal(judge([named], tcp4(), WWW_DATA), named.acceptTcp, 'the name has the address again')
})

t.test('each rule has its own learned addresses', async (t) => {
  const one = rule({ prefixes: [], names: ['a.example.org'] })
  const other = rule({ prefixes: [], names: ['b.example.org'], name: 'other' })
  other.addresses.add(prefix('198.51.100.2'))
  t.equal(judge([one, other], tcp4()), other.acceptTcp)
  t.equal(one.addresses.size + one.formerAddresses.size, 0)
})

t.test('a policy finds its rules by a name, and by the domains above the name', async (t) => {
  const exact = rule({ name: 'exact', names: ['a.example.org'] })
  const wild = rule({ name: 'wild', domains: ['example.org'] })
  const { names } = policy([exact, wild, rule({ name: 'addresses' })])
  t.same(names.find('a.example.org'), [exact, wild])
  t.same(names.find('b.example.org'), [wild])
  t.same(names.find('example.org'), [])
})

t.test('IPv4 0.0.0.0/0 and IPv6 ::/0 are different rules', async (t) => {
  const four = rule({ prefixes: [prefix('0.0.0.0/0')] })
  t.equal(judge([four], read(ipv6({}, tcp()))), NOT_ALLOWLISTED)
})
