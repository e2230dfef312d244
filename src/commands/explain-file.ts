/** From what a question is answered where no service runs, or another configuration is asked about. */
import type { Config } from '../config.js'
import { nobody } from '../core/no-clients.js'
import type { World } from '../explain/world.js'
import { localAddresses, setOfAddresses } from '../kernel/local-addresses.js'
import { slicesOf } from '../kernel/unit-slices.js'
import { placedInfrastructure } from '../mirrors/infrastructure.js'
import { asStarted, knownPolicy } from '../offline-policy.js'
import { createUsers } from '../users.js'

/** With the addresses and runtime entries of an earlier run. */
export function fileWorld(written: Config): World {
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
    inbound: nobody(),
    userName: createUsers().nameOf,
    slicesOf: (unit) => slicesOf(unit),
    isLocal: ({ family, words }) => local.has(family, words),
    sourceFor: async () => undefined,
    now,
  }
}
