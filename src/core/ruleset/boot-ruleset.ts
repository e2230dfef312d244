/** Writes the ruleset that guards the host from its boot until the service starts. */
import type { Policy } from '../policy/policy.js'
import type { RulesetOptions, SocketFacts } from './options.js'
import { render, renderHosts, renderSocketFacts, TABLE } from './ruleset.js'

const HEADER = `# Written by checkvalve, and loaded at boot before the network comes up (checkvalve-rules.service).
# Edit /etc/checkvalve/checkvalve.yaml instead.
`
const NOTHING = '# Mode observe: nothing is loaded at boot.\n'

/**
 * Writes the text for `nft -f`: the kernel's copy of the allowlist, which judges while there is no service. It has no
 * rules that expire, since nobody knows how long the host will be off; and no queue, which the service adds.
 * A table that is loaded already stays as it is: the text fails then.
 * @param now milliseconds since the epoch
 */
export function renderBoot(
  policy: Policy,
  options: Omit<RulesetOptions, 'hasOpened'>,
  facts: SocketFacts,
  now: number,
): string {
  if (policy.mode === 'observe') return HEADER + NOTHING
  const lasting = { ...policy, rules: policy.rules.filter(({ spec }) => spec.expires === undefined) }
  const atBoot: RulesetOptions = { ...options, form: 'xtables', pressure: 'none', hasOpened: false }
  return [
    `${HEADER}create table ${TABLE}`,
    render(lasting, atBoot, now),
    renderSocketFacts({ ...facts, opened: [], former: [] }),
    ...(options.fallback === 'static' ? renderHosts(lasting, atBoot, now) : []),
    '',
  ].join('\n')
}
