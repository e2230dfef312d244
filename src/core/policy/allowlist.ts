/** Summarises the rules of a policy. */
import { fitsPorts } from '../packet/ip.js'
import { asksForTime } from './infrastructure-rules.js'
import type { Policy } from './policy.js'
import type { RuleSpec } from './rule.js'

/**
 * Returns the number of addresses and prefixes by the reason of their rules: for the metrics. Rules that share their
 * destinations count once.
 */
export function entriesBySource(policy: Policy): Map<string, number> {
  const entries = new Map<string, number>()
  const counted = new Set<RuleSpec['prefixes']>()
  for (const { spec, fixed, addresses } of policy.rules) {
    if (counted.has(spec.prefixes)) continue
    counted.add(spec.prefixes)
    entries.set(spec.reason, (entries.get(spec.reason) ?? 0) + fixed.size + addresses.size)
  }
  return entries
}

/** Returns the names of all rules, without domains. */
export const namesOf = (policy: Policy): Set<string> =>
  new Set(policy.rules.flatMap(({ spec }) => spec.names))

/** Whether requests of NTP go to a port: one that a rule of time servers has. */
export const isTimePort = ({ rules }: Pick<Policy, 'rules'>, port: number): boolean =>
  rules.some(({ spec }) => asksForTime(spec) && fitsPorts(spec.ports, port))
