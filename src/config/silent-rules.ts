import { isClosedWhenSilent } from '../core/ruleset/fallback.js'
import type { AllowEntry } from './types.js'

/** Names that a note lists. */
const MAX_NAMES = 8

/**
 * Returns a note on the rules that allow nothing while the service is silent: the kernel cannot tell units. A rule that
 * says so itself is no surprise. Empty when there are none.
 */
export function silentNotes(rules: readonly AllowEntry[]): string[] {
  const closed = rules.filter((rule) => rule.whenSilent === undefined && isClosedWhenSilent(rule))
  if (closed.length === 0) return []
  const names = closed.slice(0, MAX_NAMES).map(({ name }) => name)
  const more = closed.length > names.length ? ` and ${closed.length - names.length} more` : ''
  const what = closed.length === 1 ? '1 rule with units allows' : `${closed.length} rules with units allow`
  return [
    `allow: ${what} nothing while the service is silent: ${names.join(', ')}${more}; ` +
      'write `whenSilent: users` to fall back to its users there, or `whenSilent: closed` if that is meant',
  ]
}
