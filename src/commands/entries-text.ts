import type { WrittenRule } from '../config/show.js'
import { labelled, span } from './terminal.js'

/** Runtime entries as an operator reads them. @param now milliseconds since the epoch */
export const entriesLines = (entries: readonly WrittenRule[], now: number): string[] =>
  entries.flatMap((entry) => labelled(entry.name, `${allowedBy(entry)}; ${left(entry, now)}`))

/** What a rule lets pass, in words. */
export function allowedBy({ protocol, ports, to, users, units }: WrittenRule): string {
  const what = protocol === 'any' ? 'any protocol' : protocol
  const at = ports === undefined ? '' : ` ${ports.join(', ')}`
  const whose = [users && `for ${users.join(', ')}`, units && `in ${units.join(', ')}`]
  return [`${what}${at} to ${to.join(', ')}`, ...whose].filter((part) => part !== undefined).join(', ')
}

/** Full minutes, so that two hours are not at once one hour and 59 minutes. */
function left({ expires }: WrittenRule, now: number): string {
  if (expires === undefined) return 'stays until it is removed'
  const ms = Date.parse(expires) - now
  return `${span(ms < 120_000 ? ms : Math.ceil(ms / 60_000) * 60_000)} left`
}
