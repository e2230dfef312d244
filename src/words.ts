/** Sentences for people: numbers, times, lines that are not too long. */

/** 12345 -> 12,345 */
export const grouped = (number: number): string => String(number).replace(/\B(?=(\d{3})+$)/g, ',')

/** UTC, to the second. @param time milliseconds since the epoch */
export const timeText = (time: number): string => new Date(time).toISOString().replace(/\.\d+Z$/, 'Z')

export const spanText = ({ first, last }: { readonly first: number; readonly last: number }): string =>
  first === last ? timeText(first) : `${timeText(first)} to ${timeText(last)}`

/** Cuts a text into lines of at most so many columns, where its words allow it. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const line = lines.at(-1)
    if (line === undefined || line.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = `${line} ${word}`
  }
  return lines
}
