/** Makes rules and policies for tests, with only the conditions that the test gives. */

import type { Prefix } from '../../src/core/packet/ip.js'
import { assemble, compile, type Policy } from '../../src/core/policy/policy.js'
import type { RuleSpec } from '../../src/core/policy/rule.js'
import { parsePrefix } from '../../src/text/parse-address.js'
import { EPHEMERAL_PORTS } from './clients.js'

export function prefix(text: string): Prefix {
  const parsed = parsePrefix(text)
  if (!parsed.ok) throw new Error(`${text} ${parsed.reason}`)
  return parsed.value
}

/** Returns a rule that allows everything to its prefixes; `given` replaces its fields. */
export function rule(given: Partial<RuleSpec> = {}) {
  const base = { reason: 'rule', name: 'r', protocol: 'any', ports: [], names: [], domains: [] } as const
  return compile({ ...base, prefixes: [prefix('198.51.100.0/24'), prefix('2001:db8:2::/48')], ...given })
}

export function policy(rules: Policy['rules'] = [], given: Partial<Policy> = {}): Policy {
  return assemble({
    mode: 'enforce',
    canary: undefined,
    ephemeralPorts: EPHEMERAL_PORTS,
    transparentUsers: [],
    sparedUsers: [0],
    trustedUsers: [],
    rules,
    queryPolicy: undefined,
    ...given,
  })
}
