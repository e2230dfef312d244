/** Formats what another policy would change, for an operator, in 80 columns as far as names allow. */

import type { Judged, Replayed, Side, Sides, Unjudgeable } from '../analysis/replay/replay.js'
import { originText } from '../core/policy/origin.js'
import type { Decision } from '../core/policy/rule.js'
import { grouped, spanText } from '../text/prose.js'
import { terminalSafe } from '../text/terminal-safe.js'
import { type Paint, plain } from './colours.js'
import { whereText, whoText } from './tail-text.js'
import { WIDTH, wrap } from './terminal.js'

const COUNT_WIDTH = 9
const INDENT = ' '.repeat(COUNT_WIDTH + 2)
/** Rows of one section. `--json` has all. */
const ROWS_AT_MOST = 30

export interface ReplayTexts {
  /** The candidate, and the log. */
  readonly policy: string
  readonly log: string
  /** The source of what was accepted, or why it is not known. */
  readonly passed: string
  readonly notes: readonly string[]
}

export function replayText(replayed: Replayed, texts: ReplayTexts, paint: Paint = plain): string {
  const { evidence, blocked, passed } = replayed
  const sections = [
    ...headOf(replayed, texts),
    section('PASSES NOW', 'was blocked', blocked.accept, paint, 'green'),
    passed === undefined ? '' : section('BLOCKED NOW', 'has passed', passed.block, paint, 'red'),
    section('STILL BLOCKED', '', blocked.block, paint, 'yellow'),
    unjudgedText('NOT JUDGED, of what was blocked', blocked),
    passed === undefined ? '' : unjudgedText('NOT JUDGED, of what has passed', passed),
    totalsText(evidence.blocks, blocked),
    wrap(passed === undefined ? texts.passed : passedText(passed, texts), WIDTH).join('\n'),
  ]
  return sections.filter((text) => text !== '').join('\n\n')
}

function headOf({ evidence }: Replayed, { policy, log, notes }: ReplayTexts): string[] {
  const span = evidence.blocks === 0 ? '' : `\n${spanText(evidence)}`
  const head = `${policy}\nagainst ${grouped(evidence.blocks)} blocks in ${log}${span}`
  return [
    head,
    ...(notes.length === 0 ? [] : [notes.flatMap((note) => wrap(`note: ${note}`, WIDTH)).join('\n')]),
  ]
}

type Known = Parameters<typeof whoText>[0] &
  Parameters<typeof whereText>[0] & { programs?: readonly string[]; units?: readonly string[] }

function section<Kind>(
  title: string,
  more: string,
  side: Side<Kind>,
  paint: Paint,
  colour: 'green' | 'yellow' | 'red',
): string {
  if (side.count === 0) return ''
  const rows = rowsOf(side.kinds as readonly Judged<Known>[])
  const hidden = rows.slice(ROWS_AT_MOST)
  const left = hidden.reduce((sum, [, count]) => sum + count, side.more)
  return [
    `${paint(colour, title)}${more === '' ? '' : ` (${more})`}: ${grouped(side.count)}`,
    ...rows.slice(0, ROWS_AT_MOST).map(([text, count]) => `${grouped(count).padStart(COUNT_WIDTH)}  ${text}`),
    ...(left === 0 ? [] : [`${grouped(left).padStart(COUNT_WIDTH)}  of further kinds: --json lists them`]),
  ].join('\n')
}

/** Merges rows of the same text, such as all addresses of a name. */
function rowsOf(kinds: readonly Judged<Known>[]): [text: string, count: number][] {
  const rows = new Map<string, number>()
  for (const { kind, count, decision } of kinds) {
    const text = rowText(kind, decision)
    rows.set(text, (rows.get(text) ?? 0) + count)
  }
  return [...rows].sort(([, a], [, b]) => b - a)
}

function rowText(kind: Known, decision: Decision): string {
  const { programs, units } = kind
  const who = whoText({ ...kind, program: programs?.[0], unit: kind.unit ?? units?.join('+') })
  const start = `${who}  ${whereText(kind)}`
  const why = whyText(decision)
  return INDENT.length + start.length + 2 + why.length <= WIDTH
    ? `${start}  ${why}`
    : `${start}\n${INDENT}${why}`
}

function whyText({ reason, rule }: Decision): string {
  if (rule === undefined) return reason
  const { name, origin } = rule.spec
  return terminalSafe(`${reason} ${name}${origin === undefined ? '' : ` (${originText(origin)})`}`)
}

const UNJUDGED: Readonly<Record<Unjudgeable, string>> = {
  suppressed: 'not listed one by one in the log (suppressed)',
  'no-destination': 'without a destination in the log',
  'no-name': 'DNS queries: the name in the query is not recorded',
  'no-unit': 'decided by the systemd unit, which is not known',
}

function unjudgedText<Kind>(title: string, { unjudged }: Sides<Kind>): string {
  const lines = [...unjudged].map(
    ([why, count]) => `${grouped(count).padStart(COUNT_WIDTH)}  ${UNJUDGED[why]}`,
  )
  return lines.length === 0 ? '' : [title, ...lines].join('\n')
}

export const unjudgedOf = <Kind>({ unjudged }: Sides<Kind>): number =>
  [...unjudged.values()].reduce((sum, each) => sum + each, 0)

function totalsText<Kind>(blocks: number, sides: Sides<Kind>): string {
  const left = unjudgedOf(sides)
  const parts = [`${grouped(sides.accept.count)} pass now`, `${grouped(sides.block.count)} are still blocked`]
  return `${grouped(blocks)} blocks: ${[...parts, ...(left > 0 ? [`${grouped(left)} cannot be judged`] : [])].join(', ')}`
}

function passedText<Kind>(sides: Sides<Kind>, { passed }: ReplayTexts): string {
  const left = unjudgedOf(sides)
  const all = sides.accept.count + sides.block.count + left
  const parts = [`${grouped(sides.accept.count)} still pass`, `${grouped(sides.block.count)} are blocked now`]
  return `${grouped(all)} accepted (${passed}): ${[...parts, ...(left > 0 ? [`${grouped(left)} cannot be judged`] : [])].join(', ')}`
}
