/** Judges recorded packets by another policy, and finds what it would change. */
import type { Policy } from '../../core/policy/policy.js'
import type { Decision } from '../../core/policy/rule.js'
import type { AcceptedFlowRow } from '../../records/accepted-flows-format.js'
import { type Block, isUserSummary } from '../../records/block-log/event-reader.js'
import { PolicyTrial } from '../recorded/policy-trial.js'
import {
  addEvidence,
  type Evidence,
  evidenceOf,
  kindOf,
  newEvidence,
  type RecordedKind,
  RecordedKinds,
} from '../recorded/recorded-kinds.js'

/** A kind of recorded packets, and the decision of the policy. */
export interface Judged<Kind> {
  readonly kind: Kind
  readonly count: number
  readonly decision: Decision
}

/**
 * Records with the same verdict: kinds with the most packets first, and `more`, the packets of kinds beyond
 * the limit. `count` is the sum of all packets.
 */
export interface Side<Kind> {
  readonly kinds: readonly Judged<Kind>[]
  readonly more: number
  readonly count: number
}

/** Why a record cannot be judged. */
export type Unjudgeable =
  /** The log did not list it, since there were too many kinds. */
  | 'suppressed'
  /** The log has no valid destination. */
  | 'no-destination'
  /** It is a DNS query, the policy enforces names, and names of queries are not recorded. */
  | 'no-name'
  /** The verdict depends on the unit, which is not known. */
  | 'no-unit'

export interface Sides<Kind> {
  readonly accept: Side<Kind>
  readonly block: Side<Kind>
  readonly unjudged: ReadonlyMap<Unjudgeable, number>
}

export interface Replayed {
  /** All blocks of the log. */
  readonly evidence: Evidence
  readonly blocked: Sides<RecordedKind>
  /** undefined: accepted packets are not known. */
  readonly passed: Sides<AcceptedFlowRow> | undefined
}

/** Collects the blocks of a log, then judges them and accepted packets. */
export class Replay {
  readonly #policy: Policy
  readonly #judge: PolicyTrial
  readonly #kinds: RecordedKinds
  readonly #evidence = newEvidence()
  readonly #unjudged = new Map<Unjudgeable, number>()
  readonly #more = { accept: 0, block: 0 }

  /** @param now milliseconds since the epoch */
  constructor(policy: Policy, now: number) {
    this.#policy = policy
    this.#judge = new PolicyTrial(policy, now)
    this.#kinds = new RecordedKinds(policy.ephemeralPorts)
  }

  note(block: Block): void {
    addEvidence(this.#evidence, evidenceOf(block))
    if (isUserSummary(block)) add(this.#unjudged, 'suppressed', block.repeat)
    else if (!this.#kinds.note(block)) this.#judgeAtOnce(block)
  }

  /** Whether a record has an address of that name. */
  knows(name: string): boolean {
    return this.#judge.knows(name)
  }

  /** Judges a block beyond the limit of kinds, by the names that are known so far. */
  #judgeAtOnce(block: Block): void {
    const decision = this.#judge.judge(kindOf(block, false))
    if (decision === undefined) add(this.#unjudged, 'no-destination', block.repeat)
    else this.#more[decision.verdict] += block.repeat
  }

  /**
   * Judges all records, after the whole log was noted.
   * @param passed accepted packets; undefined: not known
   */
  result(passed: readonly AcceptedFlowRow[] | undefined): Replayed {
    const kinds = [...this.#kinds.all]
    for (const { domain, host } of [...kinds, ...(passed ?? [])])
      if (domain !== undefined && host !== undefined) this.#judge.learn(domain.toLowerCase(), host)
    const judgeBlock = (kind: RecordedKind) => this.#judge.judge(kind) ?? 'no-destination'
    const blocked = judgeAll(kinds, ({ blocks }) => blocks, judgeBlock, this.#unjudged, this.#more)
    const judgePassed = (kind: AcceptedFlowRow) => this.#judgePassed(kind)
    const passing = passed && judgeAll(passed, ({ count }) => count, judgePassed)
    return { evidence: this.#evidence, blocked, passed: passing }
  }

  /** Judges accepted packets: blocked when one of their units is. */
  #judgePassed(kind: AcceptedFlowRow): Decision | Unjudgeable {
    if (kind.reason === 'resolver' && this.#policy.queryPolicy !== undefined) return 'no-name'
    if (kind.units.length > 0) {
      const decisions = kind.units.map((unit) => this.#judge.judge({ ...kind, unit }))
      return decisions.find((each) => each?.verdict !== 'accept') ?? decisions[0] ?? 'no-destination'
    }
    const decision = this.#judge.judge({ ...kind, unit: undefined })
    if (decision?.verdict === 'block' && this.#judge.judge(kind, true)?.verdict === 'accept') return 'no-unit'
    return decision ?? 'no-destination'
  }
}

function judgeAll<Kind>(
  kinds: readonly Kind[],
  countOf: (kind: Kind) => number,
  judge: (kind: Kind) => Decision | Unjudgeable,
  unjudgedBefore: ReadonlyMap<Unjudgeable, number> = new Map(),
  more: Readonly<Record<Decision['verdict'], number>> = { accept: 0, block: 0 },
): Sides<Kind> {
  const sides: Record<Decision['verdict'], Judged<Kind>[]> = { accept: [], block: [] }
  const unjudged = new Map(unjudgedBefore)
  for (const kind of kinds) {
    const [decision, count] = [judge(kind), countOf(kind)]
    if (typeof decision === 'string') add(unjudged, decision, count)
    else sides[decision.verdict].push({ kind, count, decision })
  }
  return { accept: sideOf(sides.accept, more.accept), block: sideOf(sides.block, more.block), unjudged }
}

function sideOf<Kind>(kinds: readonly Judged<Kind>[], more: number): Side<Kind> {
  const count = kinds.reduce((sum, each) => sum + each.count, more)
  return { kinds: kinds.toSorted((a, b) => b.count - a.count), more, count }
}

const add = (to: Map<Unjudgeable, number>, why: Unjudgeable, count: number) =>
  to.set(why, (to.get(why) ?? 0) + count)
