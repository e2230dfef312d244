/** What becomes of the packets of a question: one for each address that they may go to. */

import type { Address } from '../../core/packet/ip.js'
import type { Sender } from '../../core/packet/sender.js'
import { type Candidate, type Explanation, explain } from '../../core/policy/explain.js'
import type { Decision, Rule } from '../../core/policy/policy.js'
import { verdictOfKernel } from '../../core/ruleset/fallback.js'
import { replyKindOf } from '../../core/session/client-replies.js'
import type { ExplainContext } from './context.js'
import { answerOf, type From, packetOf } from './probe-packet.js'
import type { Query } from './query.js'

/** An address that packets may go to. */
interface Goal {
  readonly host: Address
  /** Milliseconds since the epoch: so long the name is known to have it. */
  readonly until?: number
  /** It stands for any address that the name may get: none is known. */
  readonly isAssumed: boolean
}

/** What becomes of a packet that goes there. */
export interface TrialResult extends Goal {
  /** undefined: it is this host itself, and what goes there is not judged. */
  readonly decision: Decision | undefined
  readonly candidates: readonly Candidate[]
  /** What the kernel says by itself while the service is silent. */
  readonly whileSilent: Decision['verdict']
  /** Whether the other end is a client of the port that the packet comes from; undefined where that was not asked. */
  readonly isClient: boolean | undefined
  /** Why no packet can be sent there. */
  readonly noRoute: string | undefined
}

/** A user whom no rule names, and none that the kernel knows either. */
const ANYBODY = -2

/** Addresses that no rule has by name: Class E (RFC 1112), and the discard prefix (RFC 6666). */
const ANYWHERE: readonly Address[] = [
  { family: 4, words: Uint32Array.of(0xf0000001, 0, 0, 0) },
  { family: 6, words: Uint32Array.of(0x01000000, 0, 0, 1) },
]

/** All that a question is about: its address, or each that is known of its name. */
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
  const explanation = explain(policy, packetOf(question, goal.host, from), sender, inbound, now)
  return {
    ...goal,
    ...(goal.isAssumed ? assuming(explanation, question, world) : explanation),
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

function senderOf({ uid = ANYBODY, unit }: Query, { slicesOf }: ExplainContext): Sender {
  const places = unit === undefined ? [] : [unit, ...slicesOf(unit)]
  const isOf = (units: readonly string[]) => units.some((each) => places.includes(each))
  return { uid, known: false, isReply: false, device: 0, isOf }
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

/** The same for an address that the name will have: rules that have the name lead there. */
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

/** Whether the service hears of an address before a packet goes there: by the answer that a program gets, or by itself. */
function canBeLearned({ spec }: Rule, { config: { dns } }: ExplainContext): boolean {
  return dns.holdAnswers || dns.enforceNames || (dns.resolve && spec.names.length > 0)
}
