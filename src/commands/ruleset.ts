import { namesOf } from '../allowlist.js'
import type { Config } from '../config.js'
import type { Policy } from '../core/policy.js'
import { render, renderHosts } from '../core/ruleset.js'
import { readHost } from '../host.js'
import { chooseForm } from '../kernel/firewall.js'
import { readState, type State } from '../mirrors/state.js'
import { policyOf } from '../rules.js'
import { rulesetOptions } from '../ruleset-options.js'
import { withKept } from '../runtime/overlay.js'
import { keptEntries } from '../runtime/store.js'
import { createUsers } from '../users.js'
import { type Command, configOrComplaint, type Given, note, say } from './command.js'

export const ruleset: Command = {
  name: 'ruleset',
  summary: 'the firewall rules that run would load',
  details: `With the addresses and runtime entries of an earlier run. Nothing is looked up,
nothing is loaded (but for an empty table, to find out which form of queue this
kernel has).`,
  examples: ['checkvalve ruleset | nft --check -f -'],
  async run(given: Given): Promise<number> {
    const written = configOrComplaint(given)
    if (!written) return 1
    const now = Date.now()
    const config = asStarted(written, now)
    const form = await chooseForm(config.firewall.queue)
    const { policy, missing } = knownPolicy(config)
    if (missing.length > 0) note([`not looked up here: ${missing.join(', ')}`])
    const options = { ...rulesetOptions(config, form, 1), hasOpened: true }
    return say([render(policy, options, now).trimEnd(), ...renderHosts(policy, options, now)].join('\n'))
  },
}

/** A configuration as a service has it that starts now: with the runtime entries of an earlier run. */
export const asStarted = (config: Config, now: number): Config =>
  withKept(config, keptEntries(config.state.directory, createUsers().idOf), now)

interface KnownPolicy {
  readonly policy: Policy
  readonly host: ReturnType<typeof readHost>
  /** What an earlier run has learned. */
  readonly known: State
  /** The names of which it has learned nothing. */
  readonly missing: string[]
}

/** The policy of a configuration on this host, with what an earlier run has learned. */
export function knownPolicy(config: Config): KnownPolicy {
  const known = readState(config.state.directory)
  const host = readHost(config)
  const policy = policyOf(config, host, {
    targets: (service) => known.services.get(service) ?? [],
    isWayTo: () => false,
  })
  for (const [name, kept] of known.names)
    for (const rule of policy.names.find(name)) for (const { host } of kept) rule.hosts.add(host)
  const missing = [...namesOf(policy)].filter((name) => !known.names.has(name))
  return { policy, host, known, missing }
}
