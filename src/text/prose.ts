/** Sentences for people: numbers, times, lines that are not too long. */

/** 12345 -> 12,345 */
export const grouped = (number: number): string => String(number).replace(/\B(?=(\d{3})+$)/g, ',')

/** RFC 3339, in this host's own time, to the second. @param time milliseconds since the epoch */
export function timeText(time: number): string {
  const ahead = -new Date(time).getTimezoneOffset()
  const clock = new Date(time + ahead * 60_000).toISOString().slice(0, 19)
  if (ahead === 0) return `${clock}Z`
  const two = (number: number) => String(Math.trunc(Math.abs(number))).padStart(2, '0')
  return `${clock}${ahead < 0 ? '-' : '+'}${two(ahead / 60)}:${two(ahead % 60)}`
}

export const spanText = ({ first, last }: { readonly first: number; readonly last: number }): string =>
  first === last ? timeText(first) : `${timeText(first)} to ${timeText(last)}`

/** Lines of at most `width` characters, broken between words, or within those that are longer than a line. */
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
