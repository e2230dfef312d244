/** Reads the options that commands on the block log share. */
import type { Block } from '../records/block-log/event-reader.js'
import { type BlockFilter, filterLines } from '../records/block-log/filter.js'
import { linesFrom, type Source } from '../records/block-log/source.js'
import { Unreadable } from '../records/block-log/unreadable.js'
import { createUsers } from '../system/users.js'
import { parseSince, SINCE_FORMS } from '../text/time-argument.js'
import { type Invocation, note, optionOf, UsageError } from './command.js'

/** @throws UsageError */
export function sinceOf(given: Invocation, now: number): number | undefined {
  const text = optionOf(given, 'since')
  const since = text === undefined ? undefined : parseSince(text, now)
  if (text !== undefined && since === undefined)
    throw new UsageError(`--since must be a time like ${SINCE_FORMS}, not ${JSON.stringify(text)}`)
  if (since !== undefined && since > now) throw new UsageError(`--since ${text} is in the future`)
  return since
}

/** Notes when this host does not know the user: the log may be of another host, or the name is mistyped. */
export function userOf(given: Invocation): BlockFilter['user'] {
  const name = optionOf(given, 'user')
  if (name === undefined) return undefined
  const uid = createUsers().idOf(name)
  if (uid === undefined) note([`there is no user ${JSON.stringify(name)} on this host: the log may know one`])
  return { name, uid }
}

/** Describes the selected part of a log, to be appended to its path: ` (since 10m, user root)`. */
export function choiceOf(given: Invocation): string {
  const chosen = ['since', 'user', 'unit'].flatMap((name) => {
    const value = optionOf(given, name)
    return value === undefined ? [] : [`${name} ${value}`]
  })
  return chosen.length === 0 ? '' : ` (${chosen.join(', ')})`
}

/** Reads the selected blocks of a log, and notes what could not be read. */
export async function eachBlock(
  source: Source,
  wanted: BlockFilter,
  take: (block: Block) => void,
): Promise<void> {
  const unread = new Unreadable()
  for await (const lines of linesFrom(source, wanted.since, unread))
    for (const { line } of filterLines(lines, wanted, unread)) if (line.kind === 'block') take(line)
  note(unread.notes())
}
