/** Writes the chains of DNS queries and answers. */

import { FAMILIES } from '../packet/ip.js'
import type { Policy } from '../policy/policy.js'
import type { Marks } from './marks.js'
import type { RulesetOptions } from './options.js'
import { ANY_USER, hex, RESET, setMark } from './statements.js'
import { IP } from './untracked.js'
import { userMatches } from './user-matches.js'

/**
 * Returns the numbers of the queues for DNS queries and answers, which follow those of new connections. They
 * are two, since a flood of answers, which any host can forge, must not keep queries from being read.
 */
export const namesQueues = ({ first, count }: RulesetOptions['queue']) => ({
  questions: first + count,
  answers: first + count + 1,
})

/**
 * Writes the chain `question` for packets to port 53. When names are enforced, a datagram to another host
 * than a resolver is a reply only from a service port: any host can forge the datagram that it seems to
 * answer.
 */
export const question = (isEnforced: boolean): string[] => [
  `${RESET} return`,
  ...FAMILIES.map((family) => `${IP[family]} daddr @resolvers${family} goto to_resolver`),
  ...(isEnforced ? ['udp sport != @udp_services goto to_be_judged'] : []),
]

/** Matches the queries above the limit per user: a flood must not fill the queue. */
const ABOVE_QUERY_LIMIT = 'limit rate over 500/second burst 100 packets'

/**
 * The maximum number of remembered queries of trusted users; answers to further ones are read as those of
 * other users.
 */
const MAX_ASKING = 65_536

/** The sets of local addresses and ports from which trusted users asked, while an answer may come. */
export const ASKING = FAMILIES.map(
  (family) =>
    `set asking${family} { type inet_proto . ipv${family}_addr . inet_service; size ${MAX_ASKING}; flags dynamic, timeout; timeout 30s; }`,
)

/** The set that counts the queries of each user. */
export const ASKERS = 'set askers { type uid; size 4096; flags dynamic, timeout; timeout 1m; }'

/** Writes the chain `to_resolver`. Queries of trusted users are not limited. */
export function toResolver({ mode, queryPolicy, trustedUsers, ephemeralPorts }: Policy): string[] {
  const flooded = `counter name "flooded" ${mode === 'observe' ? 'accept' : 'drop'}`
  // When any name may be asked for, queries above the limit are judged like other packets.
  const flood = queryPolicy === undefined ? 'return' : flooded
  const trusted = userMatches(trustedUsers, ephemeralPorts, 'ported')
  return [
    ...(mode === 'observe' ? [] : ['ct direction original jump contained']),
    ...trusted.map((match) => `${match} goto ask_for_update`),
    `${ANY_USER} update @askers { meta skuid ${ABOVE_QUERY_LIMIT} } ${flood}`,
    `${ANY_USER} goto ask`,
    `${ABOVE_QUERY_LIMIT} ${flood}`,
    'goto ask',
  ]
}

/**
 * The chain that remembers a query of a trusted user: its answer is read even during a flood of forged
 * answers.
 */
export const askForUpdate = [
  ...FAMILIES.map((family) => `update @asking${family} { meta l4proto . ${IP[family]} saddr . th sport }`),
  'goto ask',
]

/** Writes the chain `ask`, which marks a packet for the queue of queries. */
export const ask = (marks: Marks): string[] => [
  setMark('meta', marks.mask, asked(marks)),
  `ct direction reply meta mark set meta mark | ${hex(marks.reply)}`,
  'accept',
]

/**
 * Answers that are read in a second. More are forged, and must not take the service's time: they go on
 * unread.
 */
const READ_FOR_UPDATES = 20_000
const READ_FOR_OTHERS = 2000

/**
 * Writes the chain `answer` for packets from a resolver: the program that asked gets an answer when it has
 * been read.
 */
export const answer = (marks: Marks, { form, queue }: RulesetOptions): string[] => [
  'iif "lo" return',
  ...FAMILIES.flatMap((family) => {
    const read =
      form === 'native'
        ? `queue flags bypass to ${namesQueues(queue).answers}`
        : `${setMark('meta', marks.mask, asked(marks))} return`
    const from = `${IP[family]} saddr @resolvers${family}`
    const isForUpdate = `meta l4proto . ${IP[family]} daddr . th dport @asking${family}`
    return [
      `${from} ${isForUpdate} ${limitTo(READ_FOR_UPDATES)} ${read}`,
      `${from} ${isForUpdate} return`,
      `${from} ${limitTo(READ_FOR_OTHERS)} ${read}`,
    ]
  }),
]

const limitTo = (rate: number) => `limit rate ${rate}/second burst ${rate} packets`

export const asked = ({ judge, names }: Marks) => (judge | names) >>> 0

/**
 * The set that is not empty while the service judges queries: its own queries keep it so
 * (judging-heartbeat.ts).
 */
export const JUDGING = 'set judging { type inet_service; size 16; flags dynamic, timeout; timeout 5s; }'
