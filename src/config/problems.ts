/** What is wrong with a configuration, and how an operator is told. */

import type { Origin } from '../core/policy/origin.js'
import { originText } from '../core/policy/origin.js'

/** One thing to repair. `key` is as the operator wrote it, like `allow[2].ports[0]`; '' for a whole file. */
export interface Problem {
  readonly origin: Origin
  readonly key: string
  readonly reason: string
}

/** The `file` of what was given on the command line with --set. */
export const COMMAND_LINE = '--set'
/** How the `file` of an environment variable begins; its name follows. */
export const ENVIRONMENT = 'environment '

const MAX_LINE = 1000

/** One line for the operator: `file:line: key: reason`. Never longer, and nothing that a terminal would obey. */
export function formatProblem(problem: Problem): string {
  const { origin, key, reason } = problem
  const parts = [originText(origin), shorten(key), reason].filter((part) => part !== '')
  if (origin.file === COMMAND_LINE && key !== '') parts.splice(0, 2, `${COMMAND_LINE} ${shorten(key)}`)
  return parts
    .join(': ')
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '?')
    .slice(0, MAX_LINE)
}

/** Stands for a mapping that was written as the value of a setting: convict would take the mapping for a group of settings. */
export const MAPPING = Symbol('mapping')

/** A wrong value in a message: short, on one line, without control characters. */
export function quote(value: unknown): string {
  if (value === null || value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' || value === MAPPING) return 'a mapping'
  if (typeof value !== 'string') return String(value)
  return JSON.stringify(shorten(value))
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}...` : text
}

/** Words for a sentence: `a, b or c`. */
export function alternatives(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}

/**
 * For a key that is not among `known`: the one that was meant, or those there are.
 * `elsewhere` are keys with their groups (`mirrors.hosts`): somebody may have forgotten to indent.
 */
export function unknownKey(
  written: string,
  known: readonly string[],
  elsewhere: readonly string[] = [],
): string {
  const meant = nearest(written, known) ?? elsewhere.find((key) => key.endsWith(`.${written}`))
  return `unknown key${meant === undefined ? `; known here: ${known.join(', ')}` : suggestion(meant)}`
}

export function suggestion(word: string | undefined): string {
  return word === undefined ? '' : ` (did you mean ${word}?)`
}

/** The known word that somebody probably meant: the same but for case and hyphens, or one or two slips away. */
export function nearest(written: string, known: Iterable<string>): string | undefined {
  const plain = (word: string): string => word.replace(/[-_]/g, '').toLowerCase()
  const wanted = plain(written.slice(0, 64))
  let best: { word: string; slips: number } | undefined
  for (const word of known) {
    const slips = distance(wanted, plain(word))
    if (slips <= allowedSlips(word) && slips < (best?.slips ?? Number.POSITIVE_INFINITY))
      best = { word, slips }
  }
  return best?.word
}

function allowedSlips(word: string): number {
  return word.length <= 3 ? 1 : 2
}

/** Levenshtein's distance: insertions, deletions and replacements from one word to the other. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (const [index, letter] of [...from].entries()) {
    const next = [index + 1]
    for (let at = 1; at <= to.length; at++) {
      const replaced = row[at - 1]! + (letter === to[at - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[at]! + 1, next[at - 1]! + 1))
    }
    row = next
  }
  return row.at(-1)!
}
