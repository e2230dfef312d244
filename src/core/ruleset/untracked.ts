/**
 * Writes the rules for untracked packets: the operator excluded them (NOTRACK), or connection tracking is
 * near its limit. Untracked connections have no mark, so their state is kept in sets.
 */

import { FAMILIES, type Family } from '../packet/ip.js'
import type { Policy } from '../policy/policy.js'
import type { Pressure } from './conntrack-pressure.js'
import { cutApproved } from './containment-chains.js'
import type { RulesetOptions } from './options.js'

/**
 * The maximum number of untracked clients and connections in the sets; packets of further ones are judged one
 * by one.
 */
const MAX_UNTRACKED = 131_072
/** Seconds without a packet after which an approved untracked connection is judged again. */
const UNTRACKED_TIMEOUT = 300

/** The set of the ports of root's services, now or since the start. */
const ROOT_SERVICES = 'set root_services { type inet_proto . inet_service; }'

/**
 * The sets of service ports, of connections that this host opened, and of untracked clients and connections.
 */
export const SOCKET_SETS = [
  'set tcp_services { type inet_service; }',
  'set udp_services { type inet_service; }',
  ROOT_SERVICES,
  ...(['4', '6'] as const).flatMap((v) => {
    const ends = `ipv${v}_addr . inet_service . ipv${v}_addr . inet_service`
    return [
      `set opened${v} { type ${ends}; }`,
      `set clients${v} { type inet_proto . ipv${v}_addr . inet_service . inet_service; size ${MAX_UNTRACKED}; flags dynamic, timeout; }`,
      `set approved${v} { type ${ends}; size ${MAX_UNTRACKED}; flags dynamic, timeout; }`,
    ]
  }),
]

/** Matches a bare SYN, which opens a connection and is never a reply; and every other TCP packet. */
export const A_CALL = 'tcp flags & (syn | ack) == syn'
export const NOT_A_CALL = 'tcp flags & (syn | ack) != syn'

/** The keyword of nftables for the header of a family. */
export const IP = { 4: 'ip', 6: 'ip6' } as const

/** Both ends of an outgoing packet, as the sets have them. */
export const ENDS = {
  4: 'ip saddr . tcp sport . ip daddr . tcp dport',
  6: 'ip6 saddr . tcp sport . ip6 daddr . tcp dport',
} as const

/** A client as the sets have it, in a packet from the client and in one to the client. */
const FROM_CLIENT = {
  4: 'meta l4proto . ip saddr . th sport . th dport',
  6: 'meta l4proto . ip6 saddr . th sport . th dport',
} as const
const TO_CLIENT = {
  4: 'meta l4proto . ip daddr . th dport . th sport',
  6: 'meta l4proto . ip6 daddr . th dport . th sport',
} as const

const update = (family: Family, seconds: number) =>
  `update @clients${family} { ${FROM_CLIENT[family]} timeout ${Math.ceil(seconds)}s }`

/**
 * Matches port 53 at the other end, by its offset in the packet, for any protocol. A match for the protocol
 * would double the cost for each packet of a web server; the service ignores other protocols.
 */
const FROM_PORT_53 = '@th,0,16 53'
export const TO_PORT_53 = '@th,16,16 53'

/** Matches an IPv6 packet from an address that is not this host's: any user may send one (IPV6_FREEBIND). */
export const FORGED = 'meta nfproto ipv6 fib saddr type != local'

/** Writes the chain `arrive` for incoming packets. */
export function arrive({ udpTimeout, pressure, watchNames }: RulesetOptions, { mode }: Policy): string[] {
  return [
    ...(watchNames ? [`${FROM_PORT_53} jump answer`] : []),
    ...(pressure === 'none' ? [] : ['iif "lo" notrack accept']),
    ...(mode === 'observe' ? [`iif "lo" ${FORGED} accept`] : []),
    ...(pressure === 'full' ? FAMILIES.flatMap((family) => excludeClients(family, udpTimeout)) : []),
    'ct state untracked jump note_client',
  ]
}

/**
 * Writes the chain `note_client`, which remembers untracked UDP clients: UDP has no sockets per client to
 * look up.
 */
export const noteClient = (udpTimeout: number) =>
  FAMILIES.map((family) => `udp dport @udp_services ${update(family, udpTimeout)}`)

/**
 * Seconds that a client is remembered when connection tracking is full: after its SYN, and after its further
 * packets.
 */
const SYN_TIMEOUT = 60
const CLIENT_TIMEOUT = 3600

/**
 * Excludes new clients from connection tracking, which would drop them. Clients that it tracks already stay
 * tracked.
 */
function excludeClients(family: Family, udpTimeout: number): string[] {
  return [
    `fib daddr type local udp dport @udp_services ${update(family, udpTimeout)} notrack accept`,
    `fib daddr type local tcp dport @tcp_services ${A_CALL} ${update(family, SYN_TIMEOUT)} notrack accept`,
    `tcp dport @tcp_services ${FROM_CLIENT[family]} @clients${family} ${update(family, CLIENT_TIMEOUT)} notrack accept`,
  ]
}

/** Writes the chain `leave` for outgoing packets: it excludes the same clients. */
export function leave(pressure: Pressure, { mode }: Policy): string[] {
  return [
    ...(mode === 'observe' ? [`oif "lo" ${FORGED} notrack accept`] : []),
    ...(pressure === 'none' ? [] : ['oif "lo" notrack accept']),
    ...(pressure === 'full'
      ? FAMILIES.map((family) => `${TO_CLIENT[family]} @clients${family} notrack accept`)
      : []),
  ]
}

/** Writes the statement that remembers an approved untracked connection. */
export const rememberApproved = (family: Family) =>
  `update @approved${family} { ${ENDS[family]} timeout ${UNTRACKED_TIMEOUT}s }`

/** Accepts the kernel's own replies: no unprivileged user can send such ICMP. */
const KERNEL_REPLIES = [
  'icmp type { echo-reply, destination-unreachable, time-exceeded, parameter-problem, timestamp-reply } accept',
  'icmpv6 type { echo-reply, destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept',
]

/** Writes the chain `untracked`: it accepts what the sets know, since untracked connections have no mark. */
export const untracked = (options: RulesetOptions, policy: Policy): string[] => [
  ...FAMILIES.flatMap((family) =>
    ['meta l4proto udp', NOT_A_CALL].map(
      (match) => `${match} ${TO_CLIENT[family]} @clients${family} counter name "reply" accept`,
    ),
  ),
  ...FAMILIES.flatMap((family) =>
    cutApproved(options, policy, `${NOT_A_CALL} ${ENDS[family]} @approved${family}`),
  ),
  ...FAMILIES.map(
    (family) =>
      `${NOT_A_CALL} ${ENDS[family]} @approved${family} ${rememberApproved(family)} counter name "approved" accept`,
  ),
  ...KERNEL_REPLIES,
]
