/** Formats text for people: numbers, times, and wrapped lines. */

/** Formats a whole number with commas: 12345 is 12,345. */
export const grouped = (number: number): string => String(number).replace(/\B(?=(\d{3})+$)/g, ',')

/**
 * Formats a time in this host's time zone, to the second (RFC 3339).
 * @param time milliseconds since the epoch
 */
export function timeText(time: number): string {
  const ahead = -new Date(time).getTimezoneOffset()
  const clock = new Date(time + ahead * 60_000).toISOString().slice(0, 19)
  if (ahead === 0) return `${clock}Z`
  const two = (number: number) => String(Math.trunc(Math.abs(number))).padStart(2, '0')
  return `${clock}${ahead < 0 ? '-' : '+'}${two(ahead / 60)}:${two(ahead % 60)}`
}

/**
 * Formats a span of time, or one time where both are the same. `first` and `last` are milliseconds since the
 * epoch.
 */
export const spanText = ({ first, last }: { readonly first: number; readonly last: number }): string =>
  first === last ? timeText(first) : `${timeText(first)} to ${timeText(last)}`

/**
 * Breaks text into lines of up to `width` characters: between words, or within a word that is longer than a
 * line.
 */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = ''
    }
    line = line === '' ? word : `${line} ${word}`
    for (; line.length > width; line = line.slice(width)) lines.push(line.slice(0, width))
  }
  return [...lines, line]
}
