/**
 * The kernel's rules for what connection tracking does not follow: because the operator does not want it to (NOTRACK), or
 * because there is no room. What is not tracked has no mark, so what must be remembered of it is in sets.
 */

import { FAMILIES, type Family } from '../packet/ip.js'
import type { Policy } from '../policy/policy.js'
import type { Pressure } from './conntrack-pressure.js'
import type { RulesetOptions } from './options.js'

/** More untracked clients and connections than that are judged one by one. */
const UNTRACKED_AT_MOST = 131_072
/** Seconds until an untracked connection that the service has approved is judged again, if it is silent. */
const UNTRACKED_TIMEOUT = 300

export const SOCKET_SETS = [
  'set tcp_services { type inet_service; }',
  'set udp_services { type inet_service; }',
  ...(['4', '6'] as const).flatMap((v) => {
    const ends = `ipv${v}_addr . inet_service . ipv${v}_addr . inet_service`
    return [
      `set opened${v} { type ${ends}; }`,
      `set clients${v} { type inet_proto . ipv${v}_addr . inet_service . inet_service; size ${UNTRACKED_AT_MOST}; flags dynamic, timeout; }`,
      `set approved${v} { type ${ends}; size ${UNTRACKED_AT_MOST}; flags dynamic, timeout; }`,
    ]
  }),
]

/** A bare SYN starts a connection, and is never an answer. */
export const A_CALL = 'tcp flags & (syn | ack) == syn'
export const NOT_A_CALL = 'tcp flags & (syn | ack) != syn'

/** nft's word for the header of a family. */
export const IP = { 4: 'ip', 6: 'ip6' } as const

/** Both ends of a packet that goes out, as the sets have them. */
export const ENDS = {
  4: 'ip saddr . tcp sport . ip daddr . tcp dport',
  6: 'ip6 saddr . tcp sport . ip6 daddr . tcp dport',
} as const

/** A client as the sets have it, seen from its own packets and from those that go to it. */
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
 * Port 53 at the other end, of whatever has ports. By its place in the packet: to ask for the protocol first would cost each
 * packet of a web server as much again, and what is of another protocol is found out by the service.
 */
const FROM_PORT_53 = '@th,0,16 53'
export const TO_PORT_53 = '@th,16,16 53'

/** Over loopback, from an address that is not this host's. */
export const FORGED = 'meta nfproto ipv6 fib saddr type != local'

export function arrive({ udpTimeout, pressure, watchNames }: RulesetOptions, { mode }: Policy): string[] {
  return [
    ...(watchNames ? [`${FROM_PORT_53} jump answer`] : []),
    ...(pressure === 'none' ? [] : ['iif "lo" notrack accept']),
    ...(mode === 'observe' ? [`iif "lo" ${FORGED} accept`] : []),
    ...(pressure === 'full' ? FAMILIES.flatMap((family) => unfollowed(family, udpTimeout)) : []),
    'ct state untracked jump note_client',
  ]
}

/** Whom connection tracking does not follow, the kernel itself must remember: UDP has no sockets to ask. */
export const noteClient = (udpTimeout: number) =>
  FAMILIES.map((family) => `udp dport @udp_services ${update(family, udpTimeout)}`)

/** Seconds that a client is remembered which connection tracking has no room for: until it has answered, and after. */
const UNFOLLOWED_CALL = 60
const UNFOLLOWED = 3600

/** New clients that connection tracking must not see, for it would drop them. Those that it knows it keeps. */
function unfollowed(family: Family, udpTimeout: number): string[] {
  return [
    `fib daddr type local udp dport @udp_services ${update(family, udpTimeout)} notrack accept`,
    `fib daddr type local tcp dport @tcp_services ${A_CALL} ${update(family, UNFOLLOWED_CALL)} notrack accept`,
    `tcp dport @tcp_services ${FROM_CLIENT[family]} @clients${family} ${update(family, UNFOLLOWED)} notrack accept`,
  ]
}

/** The same for what goes to them. */
export function leave(pressure: Pressure, { mode }: Policy): string[] {
  return [
    ...(mode === 'observe' ? [`oif "lo" ${FORGED} notrack accept`] : []),
    ...(pressure === 'none' ? [] : ['oif "lo" notrack accept']),
    ...(pressure === 'full'
      ? FAMILIES.map((family) => `${TO_CLIENT[family]} @clients${family} notrack accept`)
      : []),
  ]
}

export const rememberApproved = (family: Family) =>
  `update @approved${family} { ${ENDS[family]} timeout ${UNTRACKED_TIMEOUT}s }`

/**
 * What the kernel itself answers, tracked or not: no ordinary user can send such ICMP, and a RST that a user's socket
 * sends is judged.
 */
const OF_THE_KERNEL = [
  'icmp type { echo-reply, destination-unreachable, time-exceeded, parameter-problem, timestamp-reply } accept',
  'icmpv6 type { echo-reply, destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept',
  'tcp flags & rst == rst meta skuid 0-4294967295 return',
  'tcp flags & rst == rst counter name "reply" accept',
]

/** What is not tracked has no mark: what was approved is in sets instead. */
export const UNTRACKED = [
  ...FAMILIES.flatMap((family) =>
    ['meta l4proto udp', NOT_A_CALL].map(
      (what) => `${what} ${TO_CLIENT[family]} @clients${family} counter name "reply" accept`,
    ),
  ),
  ...FAMILIES.map(
    (family) =>
      `${NOT_A_CALL} ${ENDS[family]} @approved${family} ${rememberApproved(family)} counter name "approved" accept`,
  ),
  ...OF_THE_KERNEL,
]
