/** Selects lines of the block log. */
import type { AlertLine, Block, Line } from './event-reader.js'
import { readLine } from './event-reader.js'
import type { Lines } from './line-splitter.js'
import type { Unreadable } from './unreadable.js'

export interface BlockFilter {
  /** Milliseconds since the epoch. */
  readonly since: number
  readonly user?: WantedUser | undefined
  /** A unit with its type, or a service without. */
  readonly unit?: string | undefined
}

export interface WantedUser {
  readonly name: string
  /** undefined: this host does not know the user; the host of the log may. */
  readonly uid: number | undefined
}

/** A selected line, with its text. */
export interface SelectedLine {
  readonly line: Exclude<Line, { kind: 'broken' }>
  readonly text: string
}

/** @param unread counts the lines that cannot be read */
export function filterLines(lines: Lines, wanted: BlockFilter, unread: Unreadable): SelectedLine[] {
  const picked: SelectedLine[] = []
  for (const text of lines) {
    const line = readLine(text)
    if (line === undefined) continue
    if (line.kind === 'broken') unread.line(line.why)
    else if (isWanted(line, wanted)) picked.push({ line, text: text! })
  }
  return picked
}

/** Whether a line is selected. A line of the service log belongs to no user and no unit. */
function isWanted(line: SelectedLine['line'], { since, user, unit }: BlockFilter): boolean {
  if (line.time !== undefined && line.time < since) return false
  if (line.kind === 'remark') return user === undefined && unit === undefined
  return (user === undefined || isOf(line, user)) && (unit === undefined || isIn(line, unit))
}

/** Compares users by number when both are known: a name may belong to another user by now. */
const isOf = ({ uid, user }: Block | AlertLine, wanted: WantedUser): boolean =>
  uid !== undefined && wanted.uid !== undefined ? uid === wanted.uid : user === wanted.name

const isIn = ({ unit }: Block | AlertLine, wanted: string): boolean =>
  unit === wanted || unit === `${wanted}.service`
