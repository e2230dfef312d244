/**
 * Makes the context of `explain` from a configuration, for when no service runs or another configuration is
 * tried.
 */
import type { Config } from '../../config/config.js'
import { noClients } from '../../core/session/no-clients.js'
import { placedInfrastructure } from '../../host/infrastructure.js'
import { localAddresses, setOfAddresses } from '../../kernel/proc/local-addresses.js'
import { slicesOf } from '../../kernel/proc/unit-slices.js'
import { asStarted, knownPolicy } from '../../policy/offline-policy.js'
import { createUsers } from '../../system/users.js'
import type { ExplainContext } from './context.js'

/** Makes a context with the addresses and runtime entries of an earlier run. */
export function fileContext(written: Config): ExplainContext {
  const now = Date.now()
  const config = asStarted(written, now)
  const { policy, host, known } = knownPolicy(config)
  const local = setOfAddresses(localAddresses())
  return {
    source: 'file',
    config,
    policy,
    mirrors: host.mirrors,
    infrastructure: () => placedInfrastructure(),
    knowledge: {
      targets: (service) => known.services.get(service) ?? [],
      addresses: (name) => known.names.get(name) ?? [],
      names: () => [...known.names.keys()],
    },
    seenName: () => undefined,
    inbound: noClients(),
    userName: createUsers().nameOf,
    isQuarantined: () => false,
    slicesOf: (unit) => slicesOf(unit),
    isLocal: ({ family, words }) => local.has(family, words),
    sourceFor: async () => undefined,
    now,
  }
}
