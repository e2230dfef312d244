/** Which lines of a log are wanted. */
import type { Block, Line } from './event-reader.js'
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
  /** undefined: this host does not know it, but the host of the log may have. */
  readonly uid: number | undefined
}

/** A line that is wanted, as it was written. */
export interface SelectedLine {
  readonly line: Exclude<Line, { kind: 'broken' }>
  readonly text: string
}

/** @param unread is told of lines that cannot be read */
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

/** What is no block is of nobody in particular. */
function isWanted(line: SelectedLine['line'], { since, user, unit }: BlockFilter): boolean {
  if (line.time !== undefined && line.time < since) return false
  if (line.kind === 'remark') return user === undefined && unit === undefined
  return (user === undefined || isOf(line, user)) && (unit === undefined || isIn(line, unit))
}

/** By its number where both are known: a name may have been given to another one since. */
const isOf = ({ uid, user }: Block, wanted: WantedUser): boolean =>
  uid !== undefined && wanted.uid !== undefined ? uid === wanted.uid : user === wanted.name

const isIn = ({ unit }: Block, wanted: string): boolean => unit === wanted || unit === `${wanted}.service`
