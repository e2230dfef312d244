import { isClosedWhenSilent } from '../core/ruleset/fallback.js'
import type { AllowEntry } from './types.js'

/** Names that a note lists. */
const MAX_NAMES = 8

/**
 * Returns a note on the rules with units, which allow nothing while the service is silent: the kernel cannot tell units. A
 * rule that has `whenSilent` itself is no surprise. Empty when there are none.
 */
export function silentNotes(rules: readonly AllowEntry[]): string[] {
  const closed = rules.filter((rule) => rule.whenSilent === undefined && isClosedWhenSilent(rule))
  if (closed.length === 0) return []
  const names = closed.slice(0, MAX_NAMES).map(({ name }) => name)
  const more = closed.length > names.length ? ` and ${closed.length - names.length} more` : ''
  return [`whenSilent: closed while the service is silent: ${names.join(', ')}${more}`]
}
