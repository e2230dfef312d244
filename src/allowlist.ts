import { PrefixSet } from './core/addresses.js'
import type { Policy, Rule } from './core/policy.js'
import type { Host, Hosts } from './core/ruleset.js'
import { familyBits } from './core/types.js'
import type { NameWatcher } from './mirrors/names.js'

/** The addresses that the names of a rule have now. */
export const hostsOf = (rule: Rule, names: Pick<NameWatcher, 'hosts'>): Host[] =>
  rule.spec.names.flatMap((name) => names.hosts(name))

/** The same for all rules that have names. */
export const allHosts = (policy: Policy, names: Pick<NameWatcher, 'hosts'>): Hosts =>
  new Map(
    policy.rules.flatMap((rule) =>
      rule.spec.names.length > 0 ? [[rule.spec.name, hostsOf(rule, names)] as const] : [],
    ),
  )

/** Swaps the learned addresses of a rule. */
export function learn(rule: Rule, hosts: readonly Host[]): void {
  rule.hosts = PrefixSet.of(hosts.map((host) => ({ ...host, length: familyBits(host.family) })))
}

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
