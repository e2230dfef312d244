/** Writes the rules of the chains that an outgoing packet passes, and of those that they jump to. */

import { FAMILIES } from '../packet/ip.js'
import type { Policy } from '../policy/policy.js'
import { cutApproved, rememberBlocked } from './containment-chains.js'
import type { Marks } from './marks.js'
import type { RulesetOptions } from './options.js'
import { asked, namesQueues } from './query-chains.js'
import { hex, RESET, setMark } from './statements.js'
import { A_CALL, ENDS, FORGED, IP, NOT_A_CALL, rememberApproved, TO_PORT_53 } from './untracked.js'

/**
 * Drops packets with a source route (RFC 791, RFC 8754): their destination is not where they go. Only IPv4 packets
 * with options are looked at more closely.
 */
const SOURCE_ROUTED = [
  'meta nfproto ipv6 exthdr rt exists',
  'ip hdrlength > 5 ip option lsrr exists',
  'ip hdrlength > 5 ip option ssrr exists',
].map((match) => `${match} counter name "source_routed" drop`)

/**
 * Sends a packet to this host on its way when another program has made it one (DNAT), or it stays in a VRF. Any other
 * packet to an address of this host by a device of the network goes out on its wire (SO_BINDTODEVICE, IP_UNICAST_IF):
 * whoever listens there may have that address, too.
 */
const TO_THIS_HOST = ['ct status dnat', 'meta oifkind "vrf"'].map(
  (match) => `${match} fib daddr type local goto staying`,
)

/**
 * Drops ICMP errors to resolvers when names are enforced: an error quotes the packet that caused it, and that may be the
 * answer to a blocked query, whose socket is closed.
 */
const ERRORS_TO_RESOLVERS = [
  'icmp type { destination-unreachable, time-exceeded, parameter-problem } ip daddr @resolvers4 drop',
  'icmpv6 type { destination-unreachable, time-exceeded, parameter-problem } ip6 daddr @resolvers6 drop',
]

/**
 * Accepts the kernel's reports of multicast groups, which routers and switches need, at the rate at which hosts send
 * them: any user may join groups, and their addresses are data.
 */
const reports = ({ mode }: Policy): string[] =>
  [
    'icmpv6 type { mld-listener-report, mld-listener-done, mld2-listener-report }',
    'ip protocol igmp',
  ].flatMap((match) =>
    mode === 'observe'
      ? `${match} accept`
      : [
          `${match} limit rate 512 bytes/second burst 8192 bytes accept`,
          `${match} counter name "flooded" drop`,
        ],
  )

/**
 * Writes the chain `judge`. Nearly all packets of a web server are replies, so their rule comes as early as
 * possible. The device `lo` is that of the route before destination NAT: the destination decides.
 */
export function judge(marks: Marks, options: RulesetOptions, policy: Policy): string[] {
  const { hasOpened, watchNames } = options
  const { mode, queryPolicy } = policy
  // When names are enforced, a query that looks like a reply is judged.
  const isEnforced = queryPolicy !== undefined
  const reply = 'ct state established,related ct direction reply counter name "reply" accept'
  const isApproved = `ct mark & ${hex(marks.mask)} == ${hex(marks.approvedNow)}`
  const approved = [
    ...cutApproved(options, policy, `ct direction original ${isApproved}`),
    `${isApproved} counter name "approved" accept`,
  ]
  // When connection tracking first saw a packet of the other end, it calls the packets of this host replies.
  const opened = hasOpened
    ? FAMILIES.map((family) => `${ENDS[family]} @opened${family} goto to_be_judged`)
    : []
  const question = toQuestion(watchNames)
  return [
    ...(mode === 'observe' ? [] : SOURCE_ROUTED),
    'oif "lo" fib daddr type != unicast goto loopback',
    `${FORGED} jump foreign`,
    `${A_CALL} goto call`,
    ...(isEnforced && mode === 'enforce' ? ERRORS_TO_RESOLVERS : []),
    ...(hasOpened || isEnforced
      ? [...question, ...approved, ...opened, reply]
      : [reply, ...question, ...approved]),
    'meta nfproto ipv4 fib saddr type != local jump foreign',
    ...TO_THIS_HOST,
    'ct state untracked jump untracked',
    'ct state related icmp type { destination-unreachable, time-exceeded, parameter-problem } accept',
    'ct state related icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept',
    'icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } accept',
    ...reports(policy),
    ...(mode === 'observe' ? [] : MAY_BE_CONTAINED),
    'goto to_be_judged',
  ]
}

/**
 * Sends what opens no TCP connection to the chain `contained`. A datagram from a service port may answer a client that
 * connection tracking has forgotten.
 */
const MAY_BE_CONTAINED = ['udp sport @udp_services goto to_be_judged', 'meta l4proto != tcp jump contained']

/** Sends each query to its chain, also on an approved connection. */
const toQuestion = (watchNames: boolean) => (watchNames ? [`${TO_PORT_53} jump question`] : [])

/**
 * Writes the chain `call`: a bare SYN is always judged. A forged SYN of an attacker makes it a reply for
 * connection tracking (simultaneous open, RFC 9293, section 3.5), and a user who takes over the port of an
 * approved connection is not approved.
 */
export const call = (marks: Marks, { watchNames }: RulesetOptions, { mode }: Policy): string[] => [
  'meta nfproto ipv4 fib saddr type != local jump foreign',
  ...TO_THIS_HOST,
  ...(mode === 'observe' ? [] : ['jump contained']),
  ...toQuestion(watchNames),
  'jump ownerless',
  setMark('meta', marks.mask, marks.judge),
]

/**
 * Writes the chain `loopback`. Any user may bind a foreign IPv6 address (IPV6_FREEBIND) and send from it to
 * this host: conntrack would take that for a client, and all packets to the real owner of the address for
 * replies. A reset makes no client: the chain `refuse` sends those. In mode observe such packets are not tracked, so
 * that there is no false client when the mode changes.
 */
export const loopback = ({ mode }: Policy): string[] => [
  ...(mode === 'observe'
    ? [`${FORGED} counter name "forged" accept`]
    : [`${FORGED} ${RESET} accept`, `${FORGED} counter name "forged" drop`]),
  'accept',
]

/** Writes the chain `staying`. The device of a packet that DNAT has changed is known after the last hook only. */
export const staying = (marks: Marks, { mode }: Policy): string[] => [
  ...(mode === 'observe' ? [] : [setMark('meta', marks.mask, marks.staying)]),
  'goto loopback',
]

/** Writes the chain `depart`: a packet that was to stay on this host does not leave. */
export const depart = (marks: Marks): string[] => [
  `meta mark & ${hex(marks.mask)} != ${hex(marks.staying)} accept`,
  `meta mark set meta mark & ${hex(~marks.mask >>> 0)}`,
  'oif "lo" accept',
  'meta oifkind "vrf" accept',
  'counter name "forged" drop',
]

/**
 * Writes the chain `foreign` for packets whose source is not an address of this host: they go to the service, which
 * logs them, and are dropped. A refusal would be sent to that source, with bytes of the packet in it.
 * It returns what the kernel and a DHCP client send before there is an address (RFC 2131, RFC 4862, RFC 9777),
 * packets of connections to an address that this host had until recently, and those of a transparent proxy.
 */
export const foreign = (marks: Marks, { transparentUsers }: Policy): string[] => [
  'ip saddr 0.0.0.0 udp sport 68 udp dport 67 return',
  'ip saddr 0.0.0.0 ip protocol igmp return',
  'ip6 saddr :: icmpv6 type { nd-neighbor-solicit, nd-router-solicit, mld-listener-report, mld2-listener-report } return',
  ...FAMILIES.map((family) => `ct state established ${IP[family]} saddr @former${family} return`),
  ...(transparentUsers.length > 0
    ? [
        `meta skuid { ${transparentUsers.join(', ')} } return`,
        // The kernel's own packets for a proxy's clients have no user.
        'ct state established,related ct direction reply return',
      ]
    : []),
  setMark('meta', marks.mask, (marks.judge | marks.foreign) >>> 0),
  'accept',
]

/** The addresses that this host had until recently: the service adds them with a timeout. */
export const FORMER_SETS = FAMILIES.map(
  (family) => `set former${family} { type ipv${family}_addr; flags timeout; timeout 5m; size 4096; }`,
)

/**
 * Writes the chain `to_be_judged`, which marks a packet for the queue. A reset needs no verdict (RFC 9293, 3.10.7.1): the
 * kernel answers a segment of no connection by it, or ends a connection. No program can give it content, and it opens
 * nothing.
 */
export function toBeJudged(marks: Marks): string[] {
  return [
    `${RESET} counter name "resets" accept`,
    'jump ownerless',
    setMark('meta', marks.mask, marks.judge),
    `ct mark & ${hex(marks.stateMask)} == ${hex(marks.approved)} meta mark set meta mark | ${hex(marks.known)}`,
  ]
}

/** Writes the chain `enqueue` of the native form. */
export function enqueue(marks: Marks, { queue, watchNames }: RulesetOptions): string[] {
  const { first, count } = queue
  const target =
    count === 1 ? `flags bypass to ${first}` : `flags bypass,fanout to ${first}-${first + count - 1}`
  const is = (mark: number) => `meta mark & ${hex((marks.stateMask | marks.names) >>> 0)} == ${hex(mark)}`
  return [
    ...(watchNames ? [`${is(asked(marks))} queue flags bypass to ${namesQueues(queue).questions}`] : []),
    `${is(marks.judge)} queue ${target}`,
  ]
}

/**
 * Writes the chain `refuse`, for packets that do not leave. A refusal goes to addresses of this host only. The program
 * sees `connection refused` at once: by a reset, since the kernel limits its ICMP errors and a lost one costs a second. A
 * client's connection is no program's call, and outlives a packet that was judged wrongly.
 */
export const refuse = (block: RulesetOptions['block']): string[] =>
  block === 'drop'
    ? ['drop']
    : [
        'fib saddr type != local drop',
        `tcp sport @tcp_services ${NOT_A_CALL} drop`,
        'meta l4proto tcp reject with tcp reset',
        'meta l4proto udp reject with icmpx port-unreachable',
        'reject with icmpx admin-prohibited',
      ]

/**
 * Writes the chain `pass`, for packets that the fallback accepts. A TCP connection is remembered as approved before: what
 * its closed socket still sends has no user, and is judged when the service is back. Reading the mark of an untracked
 * connection ends a rule, so that the last one accepts.
 */
export const pass = (marks: Marks): string[] => [
  `meta l4proto tcp ct mark & ${hex(marks.stateMask)} == 0x00000000 ${setMark('ct', marks.mask, marks.approvedOnce)}`,
  'accept',
]

/** Writes the chain `verdict`, which carries out the verdict in a packet's mark. */
export function verdict(marks: Marks, { mode, queryPolicy }: Policy): string[] {
  const isEnforced = queryPolicy !== undefined
  const unjudged = (marks.judge | marks.foreign) >>> 0
  const clear = `meta mark set meta mark & ${hex(~marks.mask >>> 0)}`
  const is = (value: number) => `meta mark & ${hex(marks.mask)} == ${hex(value)}`
  const judged = FAMILIES.map(
    (family) =>
      `${TO_PORT_53} ${IP[family]} daddr @resolvers${family} meta mark & ${hex(marks.stateMask)} != ${hex(marks.judge)} update @judging { th dport }`,
  )
  // A packet that was judged while these rules were loaded has the mark of the generation before: it passes
  // once.
  const pass = [marks.approvedOnce, marks.approvedNow, marks.approvedBefore]
  return [
    `meta mark & ${hex(marks.mask)} == 0x00000000 accept`,
    `${is(marks.staying)} accept`,
    ...(isEnforced ? judged : []),
    // Two rules, since reading the mark of an untracked connection ends a rule.
    `${is(marks.approvedNow)} ${setMark('ct', marks.mask, marks.approvedNow)}`,
    ...FAMILIES.map((family) => `${is(marks.approvedNow)} ct state untracked ${rememberApproved(family)}`),
    `meta mark & ${hex(marks.mask)} { ${pass.map(hex).join(', ')} } ${clear} accept`,
    ...rememberBlocked(marks),
    `meta mark & ${hex(marks.mask)} { ${[marks.blocked, marks.repeatable].map(hex).join(', ')} } ${clear} counter name "blocked" goto refuse`,
    `${is(marks.dropped)} ${clear} counter name "blocked" drop`,
    ...(mode === 'observe' ? [] : [`${is(unjudged)} ${clear} counter name "forged" drop`]),
    // The packet was not judged.
    `${clear} jump undecided`,
  ]
}
