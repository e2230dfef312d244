/** Answers a query of `explain`: the verdict on such a packet, the reason, and what would allow it. */

import { formatAddress } from '../../core/packet/address-text.js'
import { nearest } from '../../core/policy/explain.js'
import type { Decision, Rule } from '../../core/policy/rule.js'
import type { Parsed } from '../../text/parsed.js'
import type { ExplainContext } from './context.js'
import type { Explained, Judged, Near, RuleFacts } from './explanation.js'
import { phraseOf } from './near-miss.js'
import { isResolver, notesOn } from './notes.js'
import type { Query } from './query.js'
import { originOf } from './rule-origin.js'
import { entryFor } from './suggested-entry.js'
import { judge, type TrialResult } from './trial.js'

/** Maximum number of almost matching rules in an answer. */
const NEAR_AT_MOST = 3

/** @returns the answer, or a sentence why there is none */
export async function answerQuestion(question: Query, world: ExplainContext): Promise<Parsed<Explained>> {
  const places = await judge(question, world)
  if (needsName(question, places, world))
    return {
      ok: false,
      reason: 'names are enforced: the verdict on a DNS query depends on its name; add --question NAME',
    }
  const judged = await Promise.all(places.map((place) => judgedOf(place, question, world)))
  const blocked = judged.find(({ verdict }) => verdict === 'block')
  return {
    ok: true,
    value: {
      source: world.source,
      mode: world.policy.mode,
      ...asked(question, world),
      verdict: blocked === undefined ? 'accept' : 'block',
      judged: different(judged),
      near: await nearOf(places, question, world),
      entry: blocked && entryFor(blocked.reason, question, world),
      notes: [...new Set(notesOn(question, places, world))],
    },
  }
}

/**
 * Whether the query needs a name: a datagram to a resolver without a DNS question says nothing when names are
 * enforced.
 */
const needsName = (
  { protocol, port, name }: Query,
  places: readonly TrialResult[],
  world: ExplainContext,
): boolean =>
  world.policy.queryPolicy !== undefined &&
  protocol === 'udp' &&
  port === 53 &&
  name === undefined &&
  places.some((place) => isResolver(place, world))

function asked({ protocol, host, port, uid, unit, fromPort, name }: Query, { userName }: ExplainContext) {
  const text = typeof host === 'string' ? host : formatAddress(host.family, host.words)
  const to = port === undefined ? text : `${text.includes(':') ? `[${text}]` : text}:${port}`
  const user = uid === undefined ? undefined : (userName(uid) ?? String(uid))
  return { protocol, to, user, unit, fromPort, question: name }
}

async function judgedOf(place: TrialResult, question: Query, world: ExplainContext): Promise<Judged> {
  const { host, until, isAssumed, decision, whileSilent } = place
  return {
    ...(!isAssumed && { address: formatAddress(host.family, host.words) }),
    ...(until !== undefined && { until: new Date(until).toISOString() }),
    verdict: decision?.verdict ?? 'accept',
    reason: decision?.reason ?? 'loopback',
    ...(decision?.rule && { rule: await factsOf(decision.rule, place, question, world) }),
    whileSilent,
  }
}

/** Merges equal results: addresses that stand for any address often have the same one. */
const different = (judged: readonly Judged[]): Judged[] => [
  ...new Map(judged.map((each) => [JSON.stringify(each), each])).values(),
]

async function factsOf(
  rule: Rule,
  { host }: TrialResult,
  question: Query,
  world: ExplainContext,
): Promise<RuleFacts> {
  const name = typeof question.host === 'string' ? question.host : undefined
  const { spec } = rule
  return {
    name: spec.name,
    reason: spec.reason,
    found: await originOf(rule, { host, port: question.port, name }, world),
  }
}

async function nearOf(
  places: readonly TrialResult[],
  question: Query,
  world: ExplainContext,
): Promise<Near[]> {
  const found = new Map<Rule, Near>()
  for (const place of places.filter(({ decision }) => isMissed(decision)))
    for (const { rule, misses } of nearest(place.candidates)) {
      if (found.has(rule) || found.size === NEAR_AT_MOST) continue
      const but = misses.map((miss) => phraseOf(miss, rule.spec, question, world))
      found.set(rule, { rule: await factsOf(rule, place, question, world), misses, but })
    }
  return [...found.values()]
}

/** Whether no rule allows a packet, so that the nearest ones are of interest. */
const isMissed = (decision: Decision | undefined) =>
  decision?.reason === 'not-allowlisted' || decision?.reason === 'address-expired'
