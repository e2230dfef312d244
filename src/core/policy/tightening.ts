/** Compares two policies: a tighter one makes live connections be judged again. */

import type { Policy } from './policy.js'
import type { RuleSpec } from './rule.js'

/**
 * Whether `after` may block a connection that `before` allowed: then live connections must be judged again.
 * Learned addresses do not count: a connection outlives the name that led to it.
 */
export function tightens(before: Policy, after: Policy): boolean {
  if (before.mode === 'observe' && after.mode === 'enforce') return true
  const allowed = new Map(after.rules.map(({ spec }) => [conditions(spec), new Set(destinations(spec))]))
  return before.rules.some(({ spec }) => {
    if (spec.isFromSrv) return false
    const remaining = allowed.get(conditions(spec))
    return remaining === undefined || destinations(spec).some((each) => !remaining.has(each))
  })
}

/** Returns all of a rule but its destinations and its origin, as a text to compare. */
function conditions({
  origin: _origin,
  prefixes: _prefixes,
  names: _names,
  domains: _domains,
  ...rest
}: RuleSpec) {
  return JSON.stringify(rest)
}

const destinations = ({ prefixes, names, domains }: RuleSpec): string[] => [
  ...prefixes.map(({ family, words, length }) => `${family} ${words.join()} ${length}`),
  ...names,
  ...domains.map((domain) => `*.${domain}`),
]
