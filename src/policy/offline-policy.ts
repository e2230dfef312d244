/**
 * Builds the policy of a configuration without a running service, with the addresses that an earlier run has
 * saved.
 */
import type { Config } from '../config/config.js'
import { namesOf } from '../core/policy/allowlist.js'
import type { Policy } from '../core/policy/policy.js'
import { readHost } from '../host/host-facts.js'
import { readSavedNames, type SavedNames } from '../names/addresses-file.js'
import { createUsers } from '../system/users.js'
import { buildPolicy } from './build-policy.js'
import { withRuntimeEntries } from './overlay.js'
import { readRuntimeEntries } from './runtime-entries-file.js'

/** The configuration that a service would start with now: it has the runtime entries of an earlier run. */
export const asStarted = (config: Config, now: number): Config =>
  withRuntimeEntries(config, readRuntimeEntries(config.state.directory, createUsers().idOf), now)

export interface KnownPolicy {
  readonly policy: Policy
  readonly host: ReturnType<typeof readHost>
  /** The names and addresses that an earlier run has saved. */
  readonly known: SavedNames
  /** Allowed names without saved addresses. */
  readonly missing: string[]
}

/** Builds the policy of a configuration on this host, with saved addresses. */
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
