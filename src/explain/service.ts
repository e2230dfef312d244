/** From what the running service answers. */
import type { SeenNames } from '../core/seen-names.js'
import type { InboundWatch } from '../inbound.js'
import { localAddresses, setOfAddresses } from '../kernel/local-addresses.js'
import { sourceFor } from '../kernel/source-for.js'
import { slicesOf } from '../kernel/unit-slices.js'
import { placedInfrastructure } from '../mirrors/infrastructure.js'
import type { PolicyInForce } from '../policy-in-force.js'
import type { Users } from '../users.js'
import type { World } from './world.js'

export interface ServiceParts {
  readonly inForce: PolicyInForce
  readonly inbound: Pick<InboundWatch, 'looking'>
  readonly seen: Pick<SeenNames, 'nameOf' | 'askers'>
  readonly users: Pick<Users, 'nameOf'>
}

export function serviceWorld({ inForce, inbound, seen, users }: ServiceParts): World {
  const { config, rules, host, learned } = inForce
  const now = Date.now()
  const local = setOfAddresses(localAddresses())
  return {
    source: 'service',
    config,
    policy: rules.policy,
    mirrors: host.mirrors,
    infrastructure: () => placedInfrastructure(),
    knowledge: {
      targets: (service) => learned.targets(service),
      addresses: (name) => learned.current(name),
      names: () => learned.known,
    },
    seenName: ({ family, words }, uid) =>
      seen.nameOf(family, words, uid === undefined ? seen.askers : [uid, ...host.resolverUsers], now),
    inbound: inbound.looking(),
    userName: users.nameOf,
    slicesOf: (unit) => slicesOf(unit),
    isLocal: ({ family, words }) => local.has(family, words),
    sourceFor,
    now,
  }
}
