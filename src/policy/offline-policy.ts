/** The policy of a configuration while no service runs: with what an earlier run has learned. */
import type { Config } from '../config/config.js'
import { namesOf, type Policy } from '../core/policy/policy.js'
import { readHost } from '../host/host-facts.js'
import { readSavedNames, type SavedNames } from '../names/addresses-file.js'
import { createUsers } from '../system/users.js'
import { buildPolicy } from './build-policy.js'
import { withRuntimeEntries } from './overlay.js'
import { readRuntimeEntries } from './runtime-entries-file.js'

/** A configuration as a service has it that starts now: with the runtime entries of an earlier run. */
export const asStarted = (config: Config, now: number): Config =>
  withRuntimeEntries(config, readRuntimeEntries(config.state.directory, createUsers().idOf), now)
export interface KnownPolicy {
  readonly policy: Policy
  readonly host: ReturnType<typeof readHost>
  /** What an earlier run has learned. */
  readonly known: SavedNames
  /** The names of which it has learned nothing. */
  readonly missing: string[]
}

/** The policy of a configuration on this host, with what an earlier run has learned. */
export function knownPolicy(config: Config): KnownPolicy {
  const known = readSavedNames(config.state.directory)
  const host = readHost(config)
  const policy = buildPolicy(config, host, {
    targets: (service) => known.services.get(service) ?? [],
    isWayTo: () => false,
  })
  for (const [name, kept] of known.names)
    for (const rule of policy.names.find(name)) for (const { host } of kept) rule.addresses.add(host)
  const missing = [...namesOf(policy)].filter((name) => !known.names.has(name))
  return { policy, host, known, missing }
}
