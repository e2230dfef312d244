/** Formats what another policy would change, as JSON. */

import type { AcceptedFlowRow } from '../../records/accepted-flows-format.js'
import { jsonText } from '../../text/terminal-safe.js'
import type { RecordedKind } from '../recorded/recorded-kinds.js'
import type { Judged, Replayed, Side, Sides } from './replay.js'

export function replayJson(
  { evidence, blocked, passed }: Replayed,
  names: { policy: string; log: string },
): string {
  const { blocks, first, last } = evidence
  const span = blocks === 0 ? {} : { first: timeOf(first), last: timeOf(last) }
  const written = {
    policy: names.policy,
    log: names.log,
    blocks,
    ...span,
    blocked: sidesOf(blocked, blockOf),
    ...(passed && { passed: sidesOf(passed, passedOf) }),
  }
  return jsonText(written, 2)
}

function sidesOf<Kind>({ accept, block, unjudged }: Sides<Kind>, kindOf: (kind: Kind) => object) {
  const side = ({ kinds, more, count }: Side<Kind>) => ({
    count,
    more,
    kinds: kinds.map((each) => judgedOf(each, kindOf)),
  })
  return { passesNow: side(accept), blockedNow: side(block), notJudged: Object.fromEntries(unjudged) }
}

function judgedOf<Kind>({ kind, count, decision }: Judged<Kind>, kindOf: (kind: Kind) => object) {
  const { reason, rule } = decision
  return {
    count,
    ...kindOf(kind),
    now: { reason, rule: rule?.spec.name, file: rule?.spec.origin?.file, line: rule?.spec.origin?.line },
  }
}

const blockOf = (kind: RecordedKind) => ({
  ...common(kind),
  unit: kind.unit,
  container: kind.container,
  question: kind.question,
  programs: kind.programs,
  first: timeOf(kind.first),
  last: timeOf(kind.last),
})

const passedOf = (kind: AcceptedFlowRow) => ({ ...common(kind), units: kind.units, rule: kind.rule })

const common = ({ uid, user, reason, transport, address, port, domain }: RecordedKind | AcceptedFlowRow) => ({
  uid,
  user,
  reason,
  transport,
  address,
  port,
  domain,
})

const timeOf = (time: number) => new Date(time).toISOString()
