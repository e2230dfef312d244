import type { WrittenRule } from '../config/show.js'
import { labelled, span } from './terminal.js'

/** Runtime entries as an operator reads them. @param now milliseconds since the epoch */
export const entriesLines = (entries: readonly WrittenRule[], now: number): string[] =>
  entries.flatMap((entry) => labelled(entry.name, `${allowedBy(entry)}; ${left(entry, now)}`))

/** What a rule lets pass, in words. */
export function allowedBy({ protocol, ports, to, users, units }: WrittenRule): string {
  const what = protocol === 'any' ? 'any protocol' : protocol
  const at = ports === undefined ? '' : ` ${ports.join(', ')}`
  const of = [...(users ? [users.join(', ')] : []), ...(units ? [`in ${units.join(', ')}`] : [])]
  return `${what}${at} to ${to.join(', ')}${of.length > 0 ? `, for ${of.join(' ')}` : ''}`
}

function left({ expires }: WrittenRule, now: number): string {
  return expires === undefined ? 'stays until it is removed' : `${span(Date.parse(expires) - now)} left`
}
