/** The rules of the three chains that a packet passes on its way out, and of what lies between them. */

import { FAMILIES } from '../packet/ip.js'
import type { Policy } from '../policy/policy.js'
import type { Marks } from './marks.js'
import type { RulesetOptions } from './options.js'
import { A_CALL, ENDS, FORGED, IP, rememberApproved, TO_PORT_53 } from './untracked.js'
import { userMatches } from './user-matches.js'

const hex = (value: number) => `0x${value.toString(16).padStart(8, '0')}`

/** Rewrites the bits of the mask and leaves the others. */
const setMark = (what: 'meta' | 'ct', mask: number, value: number) =>
  `${what} mark set ${what} mark & ${hex(~mask >>> 0)} | ${hex(value)}`

/**
 * Nearly all that a web server sends are replies: their rule comes as early as can be.
 * @param isEnforced whether names are: then a question that looks like a reply is none
 */
export function judge(
  marks: Marks,
  { hasOpened, watchNames }: RulesetOptions,
  isEnforced: boolean,
): string[] {
  const reply = 'ct state established,related ct direction reply counter name "reply" accept'
  const approved = `ct mark & ${hex(marks.mask)} == ${hex(marks.approvedNow)} counter name "approved" accept`
  // Connection tracking may know what this host has opened by a packet of the other end only, and call it a reply.
  const opened = hasOpened
    ? FAMILIES.map((family) => `${ENDS[family]} @opened${family} goto to_be_judged`)
    : []
  const question = toQuestion(watchNames)
  return [
    'oif "lo" goto loopback',
    `${A_CALL} goto call`,
    ...(hasOpened || isEnforced ? [...question, approved, ...opened, reply] : [reply, ...question, approved]),
    'ct state untracked jump untracked',
    'ct state related icmp type { destination-unreachable, time-exceeded, parameter-problem } accept',
    'ct state related icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept',
    'icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } accept',
    'icmpv6 type { mld-listener-report, mld-listener-done, mld2-listener-report } accept',
    'ip protocol igmp accept',
    'goto to_be_judged',
  ]
}

/** Each of them, also on a connection that is approved. */
const toQuestion = (watchNames: boolean) => (watchNames ? [`${TO_PORT_53} jump question`] : [])

/**
 * A bare SYN is judged, whatever connection tracking takes it for. A forged SYN of somebody else makes it a reply
 * (simultaneous open, RFC 9293, section 3.5); and whoever takes over the port of an approved caller is not approved.
 */
export const call = (marks: Marks, { watchNames }: RulesetOptions): string[] => [
  ...toQuestion(watchNames),
  setMark('meta', marks.mask, marks.judge),
]

/**
 * Any user may bind a foreign IPv6 address (IPV6_FREEBIND) and send from it to this host: conntrack would take that for a
 * client that came in, and all that is sent to the real owner of the address for replies. Where nothing is blocked it is not
 * tracked, and so is nobody's client when that changes.
 */
export const loopback = ({ mode }: Policy): string[] => [
  `${FORGED} counter name "forged" ${mode === 'observe' ? 'accept' : 'drop'}`,
  'accept',
]

export function toBeJudged(marks: Marks): string[] {
  return [
    setMark('meta', marks.mask, marks.judge),
    `ct mark & ${hex(marks.stateMask)} == ${hex(marks.approved)} meta mark set meta mark | ${hex(marks.known)}`,
  ]
}

/**
 * The queues for what is asked of resolvers and for what they answer, behind those for everything else. Two, since a flood
 * of answers, which anybody may forge, must not keep questions from being read.
 */
export const namesQueues = ({ first, count }: RulesetOptions['queue']) => ({
  questions: first + count,
  answers: first + count + 1,
})

/**
 * What goes to a resolver; and where names are enforced, no datagram to another one is a reply but from a service: anybody may
 * forge the datagram that it seems to answer.
 */
export const question = (isEnforced: boolean): string[] => [
  ...FAMILIES.map((family) => `${IP[family]} daddr @resolvers${family} goto to_resolver`),
  ...(isEnforced ? ['udp sport != @udp_services goto to_be_judged'] : []),
]

/** So many questions of one user are read in a second: a flood must not fill the queue. */
const ASKED = 'limit rate over 500/second burst 100 packets'
/** Whatever user: a packet may have none. */
const ANY_USER = 'meta skuid 0-4294967295'

/** More flows than that at once are read as those of others are. */
const ASKING_AT_MOST = 65_536

/** Local ends from which those who update have asked, for as long as an answer is waited for. */
export const ASKING = FAMILIES.map(
  (family) =>
    `set asking${family} { type inet_proto . ipv${family}_addr . inet_service; size ${ASKING_AT_MOST}; flags dynamic, timeout; timeout 30s; }`,
)

export const ASKERS = 'set askers { type uid; size 4096; flags dynamic, timeout; timeout 1m; }'

/** Those who update, and the host's own resolvers, ask as often as they like. */
export function toResolver({ mode, queryPolicy, trustedUsers, ephemeralPorts }: Policy): string[] {
  const unread = `counter name "flooded" ${mode === 'observe' ? 'accept' : 'drop'}`
  // Where any name may be asked for, what is more is judged like everything else.
  const flood = queryPolicy === undefined ? 'return' : unread
  const free = userMatches(trustedUsers, ephemeralPorts, 'ported')
  return [
    ...free.map((who) => `${who} goto ask_for_update`),
    `${ANY_USER} update @askers { meta skuid ${ASKED} } ${flood}`,
    `${ANY_USER} goto ask`,
    `${ASKED} ${flood}`,
    'goto ask',
  ]
}

/** From where they ask: their answers are read whatever floods there are. */
export const askForUpdate = [
  ...FAMILIES.map((family) => `update @asking${family} { meta l4proto . ${IP[family]} saddr . th sport }`),
  'goto ask',
]

export const ask = (marks: Marks): string[] => [
  setMark('meta', marks.mask, asked(marks)),
  `ct direction reply meta mark set meta mark | ${hex(marks.reply)}`,
  'accept',
]

/** So many packets from resolvers are read in a second: more are forged, and must not take the service's time. They go on. */
const READ_FOR_UPDATES = 20_000
const READ_FOR_OTHERS = 2000

/** What comes from one; the program that has asked gets it when it has been read. */
export const answer = (marks: Marks, { form, queue }: RulesetOptions): string[] => [
  'iif "lo" return',
  ...FAMILIES.flatMap((family) => {
    const hold =
      form === 'native'
        ? `queue flags bypass to ${namesQueues(queue).answers}`
        : `${setMark('meta', marks.mask, asked(marks))} return`
    const from = `${IP[family]} saddr @resolvers${family}`
    const isForUpdate = `meta l4proto . ${IP[family]} daddr . th dport @asking${family}`
    return [
      `${from} ${isForUpdate} ${limitTo(READ_FOR_UPDATES)} ${hold}`,
      `${from} ${isForUpdate} return`,
      `${from} ${limitTo(READ_FOR_OTHERS)} ${hold}`,
    ]
  }),
]

const limitTo = (rate: number) => `limit rate ${rate}/second burst ${rate} packets`

const asked = ({ judge, names }: Marks) => (judge | names) >>> 0

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

/** Not empty while the service judges what goes to resolvers: it does so each second by itself (src/heartbeat.ts). */
export const JUDGING = 'set judging { type inet_service; size 16; flags dynamic, timeout; timeout 5s; }'

/** @param isEnforced whether names are */
export function verdict(marks: Marks, block: RulesetOptions['block'], isEnforced: boolean): string[] {
  const clear = `meta mark set meta mark & ${hex(~marks.mask >>> 0)}`
  const is = (value: number) => `meta mark & ${hex(marks.mask)} == ${hex(value)}`
  const judged = FAMILIES.map(
    (family) =>
      `${TO_PORT_53} ${IP[family]} daddr @resolvers${family} meta mark & ${hex(marks.stateMask)} != ${hex(marks.judge)} update @judging { th dport }`,
  )
  // A packet that was judged while these rules came has the mark of the generation before. It passes, and is not remembered.
  const pass = [marks.approvedOnce, marks.approvedNow, marks.approvedBefore]
  const refuse = block === 'reject' ? 'reject with icmpx admin-prohibited' : 'drop'
  return [
    `meta mark & ${hex(marks.mask)} == 0x00000000 accept`,
    ...(isEnforced ? judged : []),
    // Two rules: reading the mark of a connection that is not tracked ends a rule.
    `${is(marks.approvedNow)} ${setMark('ct', marks.mask, marks.approvedNow)}`,
    ...FAMILIES.map((family) => `${is(marks.approvedNow)} ct state untracked ${rememberApproved(family)}`),
    `meta mark & ${hex(marks.mask)} { ${pass.map(hex).join(', ')} } ${clear} accept`,
    `${is(marks.blocked)} ${clear} counter name "blocked" ${refuse}`,
    // Not judged.
    `${clear} jump undecided`,
  ]
}
