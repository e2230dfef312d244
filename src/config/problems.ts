/** Problems of a configuration, and their messages for the operator. */

import type { Origin } from '../core/policy/origin.js'
import { originText } from '../core/policy/origin.js'

/** One problem. `key` is as the operator wrote it, like `allow[2].ports[0]`; '' for a whole file. */
export interface Problem {
  readonly origin: Origin
  readonly key: string
  readonly reason: string
}

/** The `file` in the origin of values of --set. */
export const COMMAND_LINE = '--set'
/** The beginning of `file` in the origin of an environment variable; the name of the variable follows. */
export const ENVIRONMENT = 'environment '

const MAX_LINE = 1000

/**
 * Formats a problem as one line, `file:line: key: reason`, of limited length and without control characters.
 */
export function formatProblem(problem: Problem): string {
  const { origin, key, reason } = problem
  const parts = [originText(origin), shorten(key), reason].filter((part) => part !== '')
  if (origin.file === COMMAND_LINE && key !== '') parts.splice(0, 2, `${COMMAND_LINE} ${shorten(key)}`)
  return parts
    .join(': ')
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '?')
    .slice(0, MAX_LINE)
}

/**
 * Stands for a mapping that was written as the value of a setting: convict would take the mapping for a group
 * of settings.
 */
export const MAPPING = Symbol('mapping')

/** Formats a wrong value for a message: short, on one line, without control characters. */
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

/** Joins words for a sentence: `a, b or c`. */
export function alternatives(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}

/**
 * Returns the reason for an unknown key: with the key that was probably meant, or with all known keys.
 * @param elsewhere keys of other groups (`mirrors.hosts`), for a key whose indentation is wrong
 */
export function unknownKey(
  written: string,
  known: readonly string[],
  elsewhere: readonly string[] = [],
): string {
  const meant = nearest(written, known) ?? elsewhere.find((key) => key.endsWith(`.${written}`))
  return `unknown key${meant === undefined ? `; known here: ${known.join(', ')}` : suggestion(meant)}`
}

/** Formats the end of a message that suggests a word. */
export function suggestion(word: string | undefined): string {
  return word === undefined ? '' : ` (did you mean ${word}?)`
}

/**
 * Finds the known word that was probably meant: equal but for case and hyphens, or one or two letters away.
 */
export function nearest(written: string, known: Iterable<string>): string | undefined {
  const plain = (word: string): string => word.replace(/[-_]/g, '').toLowerCase()
  const wanted = plain(written.slice(0, 64))
  let best: { word: string; edits: number } | undefined
  for (const word of known) {
    const edits = distance(wanted, plain(word))
    if (edits <= maxEdits(word) && edits < (best?.edits ?? Number.POSITIVE_INFINITY)) best = { word, edits }
  }
  return best?.word
}

function maxEdits(word: string): number {
  return word.length <= 3 ? 1 : 2
}

/**
 * Returns Levenshtein's distance: the number of insertions, deletions and replacements from one word to the
 * other.
 */
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
