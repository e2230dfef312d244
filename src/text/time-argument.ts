/** Parses times that an operator gives on the command line: a time ago, a day, or a date and time. */

const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}
const AGO = /^(\d{1,6})([smhdw])$/
/** Matches ISO 8601. Without a zone the time is in this host's time zone. */
const MOMENT = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d)?)?$/i

export const SINCE_FORMS = '10m, 2h, 3d, today, 2026-11-26T18:00'

/**
 * @param now milliseconds since the epoch
 * @returns milliseconds since the epoch, or undefined when the text has none of the forms of SINCE_FORMS
 */
export function parseSince(text: string, now: number): number | undefined {
  const ago = AGO.exec(text)
  if (ago) return now - Number(ago[1]) * UNIT_MS[ago[2]!]!
  if (text === 'today') return midnight(now, 0)
  if (text === 'yesterday') return midnight(now, -1)
  return MOMENT.test(text) ? moment(text) : undefined
}

function midnight(now: number, days: number): number {
  const date = new Date(now)
  return new Date(date.getFullYear(), date.getMonth(), date.getDate() + days).getTime()
}

/**
 * Parses a date, with or without a time. A date alone begins at this host's midnight; Date.parse alone would
 * take it for UTC, and February 30 for March 2.
 */
function moment(text: string): number | undefined {
  const written = text.toUpperCase().replace(' ', 'T')
  const day = Date.parse(`${written.slice(0, 10)}T00:00:00Z`)
  const exists = !Number.isNaN(day) && new Date(day).toISOString().startsWith(written.slice(0, 10))
  const time = Date.parse(written.length === 10 ? `${written}T00:00` : written)
  return exists && !Number.isNaN(time) ? time : undefined
}
