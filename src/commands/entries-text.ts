import type { WrittenRule } from '../config/show.js'
import { labelled, span } from './terminal.js'

/** Formats runtime entries for an operator. @param now milliseconds since the epoch */
export const entriesLines = (entries: readonly WrittenRule[], now: number): string[] =>
  entries.flatMap((entry) => labelled(entry.name, `${allowedBy(entry)}; ${left(entry, now)}`))

/** Describes what a rule lets pass: `tcp 443 to api.example.org, for www-data`. */
export function allowedBy({ protocol, ports, to, users, units }: WrittenRule): string {
  const what = protocol === 'any' ? 'any protocol' : protocol
  const at = ports === undefined ? '' : ` ${ports.join(', ')}`
  const whose = [users && `for ${users.join(', ')}`, units && `in ${units.join(', ')}`]
  return [`${what}${at} to ${to.join(', ')}`, ...whose].filter((part) => part !== undefined).join(', ')
}

/** Rounds up to full minutes: an entry of two hours starts with "2 h left", not with "1 h 59 min left". */
function left({ expires }: WrittenRule, now: number): string {
  if (expires === undefined) return 'stays until it is removed'
  const ms = Date.parse(expires) - now
  return `${span(ms < 120_000 ? ms : Math.ceil(ms / 60_000) * 60_000)} left`
}
