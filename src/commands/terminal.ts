/** Lines that fit a terminal, and numbers as people read them. */

import { wrap as wrapWords } from '../text/prose.js'
import { terminalSafe } from '../text/terminal-safe.js'

export { grouped } from '../text/prose.js'

export const WIDTH = 80

/** More of one text is of no use to anybody. */
const TEXT_AT_MOST = 2000

/** Text that somebody else may have chosen, in lines of at most `width` characters. */
export const wrap = (text: string, width: number): string[] =>
  wrapWords(terminalSafe(text, TEXT_AT_MOST), width)

const LABEL = 12

/** A label, and beside it a text of as many lines as it takes; below it where the label is long. */
export function labelled(label: string, text: string, paint = (line: string) => line): string[] {
  const lines = wrap(text, WIDTH - LABEL).map(paint)
  const beside = (line: string, index: number) => (index === 0 ? label : '').padEnd(LABEL) + line
  if (label.length < LABEL) return lines.map(beside)
  return [...wrap(label, WIDTH), ...lines.map((line) => ''.padEnd(LABEL) + line)]
}

const UNITS = [
  ['d', 86_400],
  ['h', 3600],
  ['min', 60],
  ['s', 1],
] as const

/** In the largest unit and the next: `3 d 4 h`, `12 s`. */
export function span(ms: number): string {
  let seconds = Math.max(0, Math.round(ms / 1000))
  const parts: string[] = []
  for (const [unit, size] of UNITS) {
    const amount = Math.floor(seconds / size)
    seconds -= amount * size
    if (amount > 0) parts.push(`${amount} ${unit}`)
    else if (parts.length > 0) break
    if (parts.length === 2) break
  }
  return parts.join(' ') || '0 s'
}
