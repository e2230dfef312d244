import type { Policy } from './core/policy.js'

/** Addresses and prefixes by the kind of rule that allows them: for the metrics. */
export function entriesBySource(policy: Policy): Map<string, number> {
  const entries = new Map<string, number>()
  for (const { spec, fixed, hosts } of policy.rules)
    entries.set(spec.reason, (entries.get(spec.reason) ?? 0) + fixed.size + hosts.size)
  return entries
}

/** Every name that some rule allows. */
export const namesOf = (policy: Policy): Set<string> =>
  new Set(policy.rules.flatMap(({ spec }) => spec.names))
