/** Makes lines that fit a terminal, and formats numbers for people. */

import { wrap as wrapWords } from '../text/prose.js'
import { terminalSafe } from '../text/terminal-safe.js'

export { grouped } from '../text/prose.js'

export const WIDTH = 80

/** Characters of one text that are shown. */
const TEXT_AT_MOST = 2000

/**
 * Makes text that a stranger may have chosen safe for a terminal, in lines of `width` characters or fewer.
 */
export const wrap = (text: string, width: number): string[] =>
  wrapWords(terminalSafe(text, TEXT_AT_MOST), width)

const LABEL = 12

/** Puts a text beside a label, in as many lines as it takes; below the label when that is long. */
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

/** Formats a duration in its largest unit and the next: `3 d 4 h`, `12 s`. */
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
