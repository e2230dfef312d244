/** The rules of the three chains that a packet passes on its way out, and of what lies between them. */
import type { Marks } from './marks.js'
import type { RulesetOptions } from './ruleset-options.js'
import { FAMILIES } from './types.js'
import { ENDS, IP, rememberApproved, TO_PORT_53 } from './untracked.js'

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
  // Each of them, also on a connection that is approved.
  const question = watchNames ? [`${TO_PORT_53} jump question`] : []
  return [
    'oif "lo" goto loopback',
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

/**
 * Any user may bind a foreign IPv6 address (IPV6_FREEBIND) and send from it to this host: conntrack would take that for a
 * client that came in, and all that is sent to the real owner of the address for replies.
 */
export const LOOPBACK = ['meta nfproto ipv6 fib saddr type != local counter name "forged" drop', 'accept']

export function toBeJudged(marks: Marks): string[] {
  return [
    setMark('meta', marks.mask, marks.judge),
    `ct mark & ${hex(marks.stateMask)} == ${hex(marks.approved)} meta mark set meta mark | ${hex(marks.known)}`,
  ]
}

/** The queue for what is said to and by resolvers: the one behind those for everything else. */
export const namesQueue = ({ first, count }: RulesetOptions['queue']): number => first + count

/** What goes to a resolver. */
export const question = (marks: Marks): string[] =>
  FAMILIES.map(
    (family) => `${IP[family]} daddr @resolvers${family} ${setMark('meta', marks.mask, asked(marks))} accept`,
  )

/** So many packets from resolvers are read in a second: more are forged, and must not take the service's time. They go on. */
const READ_A_SECOND = 5000

/** What comes from one; the program that has asked gets it when it has been read. */
export const answer = (marks: Marks, { form, queue }: RulesetOptions): string[] => [
  'iif "lo" return',
  ...FAMILIES.map((family) => {
    const hold =
      form === 'native'
        ? `queue flags bypass to ${namesQueue(queue)}`
        : setMark('meta', marks.mask, asked(marks))
    const limit = `limit rate ${READ_A_SECOND}/second burst ${READ_A_SECOND} packets`
    return `${IP[family]} saddr @resolvers${family} ${limit} ${hold}`
  }),
]

const asked = ({ judge, names }: Marks) => (judge | names) >>> 0

export function enqueue(marks: Marks, { queue, watchNames }: RulesetOptions): string[] {
  const { first, count } = queue
  const target =
    count === 1 ? `flags bypass to ${first}` : `flags bypass,fanout to ${first}-${first + count - 1}`
  const is = (mark: number) => `meta mark & ${hex((marks.stateMask | marks.names) >>> 0)} == ${hex(mark)}`
  return [
    ...(watchNames ? [`${is(asked(marks))} queue flags bypass to ${namesQueue(queue)}`] : []),
    `${is(marks.judge)} queue ${target}`,
  ]
}

export function verdict(marks: Marks, block: RulesetOptions['block']): string[] {
  const clear = `meta mark set meta mark & ${hex(~marks.mask >>> 0)}`
  const is = (value: number) => `meta mark & ${hex(marks.mask)} == ${hex(value)}`
  const refuse = block === 'reject' ? 'reject with icmpx admin-prohibited' : 'drop'
  return [
    `meta mark & ${hex(marks.mask)} == 0x00000000 accept`,
    // Two rules: reading the mark of a connection that is not tracked ends a rule.
    `${is(marks.approvedNow)} ${setMark('ct', marks.mask, marks.approvedNow)}`,
    ...FAMILIES.map((family) => `${is(marks.approvedNow)} ct state untracked ${rememberApproved(family)}`),
    `meta mark & ${hex(marks.mask)} { ${hex(marks.approvedOnce)}, ${hex(marks.approvedNow)} } ${clear} accept`,
    `${is(marks.blocked)} ${clear} counter name "blocked" ${refuse}`,
    // Not judged, or judged by an earlier policy.
    `${clear} jump undecided`,
  ]
}
