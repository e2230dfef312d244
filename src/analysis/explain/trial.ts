/** Judges the packets of a query: one for each address of the destination. */

import type { Address } from '../../core/packet/ip.js'
import type { Sender } from '../../core/packet/sender.js'
import { type Candidate, type Explanation, explain } from '../../core/policy/explain.js'
import type { Decision, Rule } from '../../core/policy/rule.js'
import { verdictOfKernel } from '../../core/ruleset/fallback.js'
import { replyKindOf } from '../../core/session/client-replies.js'
import type { ExplainContext } from './context.js'
import { answerOf, type From, packetOf } from './probe-packet.js'
import type { Query } from './query.js'

/** A destination address. */
interface Goal {
  readonly host: Address
  /** End of validity of the address, in milliseconds since the epoch. */
  readonly until?: number
  /** Whether it stands for any address that the name may get, since none is known. */
  readonly isAssumed: boolean
}

/** The result for one address. */
export interface TrialResult extends Goal {
  /** undefined: the address belongs to this host, and packets to it are not judged. */
  readonly decision: Decision | undefined
  readonly candidates: readonly Candidate[]
  /** The verdict of the kernel while the service does not answer. */
  readonly whileSilent: Decision['verdict']
  /** Whether the destination is a client of the source port; undefined when the query has no source port. */
  readonly isClient: boolean | undefined
  /** Why there is no route to the address. */
  readonly noRoute: string | undefined
}

/** A user id that no rule names, and that the kernel does not have. */
const ANYBODY = -2

/**
 * Addresses that stand for any address, since no name has them: Class E (RFC 1112), and the discard prefix
 * (RFC 6666).
 */
const ANYWHERE: readonly Address[] = [
  { family: 4, words: Uint32Array.of(0xf0000001, 0, 0, 0) },
  { family: 6, words: Uint32Array.of(0x01000000, 0, 0, 1) },
]

/** Judges the address of a query, or each known address of its name. */
export const judge = (question: Query, world: ExplainContext): Promise<TrialResult[]> =>
  Promise.all(goalsOf(question, world).map((goal) => placeOf(goal, question, world)))

function goalsOf({ host }: Query, { knowledge }: ExplainContext): Goal[] {
  if (typeof host !== 'string') return [{ host, isAssumed: false }]
  const known = knowledge.addresses(host)
  if (known.length === 0) return ANYWHERE.map((each) => ({ host: each, isAssumed: true }))
  return known.map(({ host, expires }) => ({ host, until: expires, isAssumed: false }))
}

async function placeOf(goal: Goal, question: Query, world: ExplainContext): Promise<TrialResult> {
  if (world.isLocal(goal.host)) return { ...goal, ...NOT_JUDGED }
  const { policy, config, inbound, now } = world
  const source = goal.isAssumed ? undefined : await world.sourceFor(goal.host)
  const noRoute = source instanceof Error ? source.message : undefined
  const address = source instanceof Error ? undefined : source
  const from: From = { address, port: question.fromPort ?? policy.ephemeralPorts.first }
  const sender = senderOf(question, world)
  const explanation = explain(policy, packetOf(question, goal.host, from, policy), sender, inbound, now)
  return {
    ...goal,
    ...(goal.isAssumed && !sender.isQuarantined ? assuming(explanation, question, world) : explanation),
    whileSilent: verdictOfKernel(policy, config.fallback, explanation.candidates, sender),
    isClient:
      question.fromPort === undefined ? undefined : isClient(goal.host, from, question, sender, world),
    noRoute,
  }
}

const NOT_JUDGED = {
  decision: undefined,
  candidates: [],
  whileSilent: 'accept',
  isClient: undefined,
  noRoute: undefined,
} as const

function senderOf({ uid = ANYBODY, unit }: Query, { slicesOf, isQuarantined }: ExplainContext): Sender {
  const places = unit === undefined ? [] : [unit, ...slicesOf(unit)]
  const isOf = (units: readonly string[]) => units.some((each) => places.includes(each))
  return {
    uid,
    known: false,
    isReply: false,
    isForeign: false,
    isQuarantined: isQuarantined(uid),
    device: 0,
    isOf,
  }
}

function isClient(
  host: Address,
  from: From,
  question: Query,
  sender: Sender,
  { inbound }: ExplainContext,
): boolean {
  return replyKindOf(answerOf(question, host, from), sender, inbound) !== 'none'
}

/** Adapts an explanation to an address that the name may get: rules with that name lead to it. */
function assuming(
  { decision, candidates }: Explanation,
  { host }: Query,
  world: ExplainContext,
): Explanation {
  const named = new Set(world.policy.names.find(host as string))
  const leading = candidates.map(({ rule, misses }) => ({
    rule,
    misses:
      named.has(rule) && canBeLearned(rule, world) ? misses.filter((miss) => miss !== 'destination') : misses,
  }))
  const first = leading.find(({ misses }) => misses.length === 0)
  return { decision: first?.rule.accept ?? decision, candidates: leading }
}

/**
 * Whether the service learns an address before a packet goes there: from the answer to a program, or by its
 * own look-up.
 */
function canBeLearned({ spec }: Rule, { config: { dns } }: ExplainContext): boolean {
  return dns.holdAnswers || dns.enforceNames || (dns.resolve && spec.names.length > 0)
}
