/** Makes the context of `explain` from the running service. */
import type { Containment } from '../../containment/containment.js'
import type { ResolvedNames } from '../../core/dns/resolved-names.js'
import type { Family, Words } from '../../core/packet/ip.js'
import { placedInfrastructure } from '../../host/infrastructure.js'
import { localAddresses, setOfAddresses } from '../../kernel/proc/local-addresses.js'
import { sourceFor } from '../../kernel/proc/route-source.js'
import { slicesOf } from '../../kernel/proc/unit-slices.js'
import type { PolicyInForce } from '../../policy/policy-in-force.js'
import type { InboundWatch } from '../../sessions/inbound-watch.js'
import type { Users } from '../../system/users.js'
import type { ExplainContext } from './context.js'

export interface ServiceParts {
  readonly inForce: PolicyInForce
  readonly inbound: Pick<InboundWatch, 'readOnly'>
  readonly seen: Pick<ResolvedNames, 'nameOf' | 'askers'>
  /** Returns the name by which a user last found an address. */
  readonly domainOf: (family: Family, words: Words, uid: number) => string | undefined
  readonly users: Pick<Users, 'nameOf'>
  readonly containment: Pick<Containment, 'holds'>
}

export function serviceContext({
  inForce,
  inbound,
  seen,
  domainOf,
  users,
  containment,
}: ServiceParts): ExplainContext {
  const { config, rules, host, learned } = inForce
  const now = Date.now()
  const local = setOfAddresses(localAddresses())
  return {
    source: 'service',
    config,
    policy: rules.policy,
    mirrors: host.facts.mirrors,
    infrastructure: () => placedInfrastructure(),
    knowledge: {
      targets: (service) => learned.targets(service),
      addresses: (name) => learned.current(name),
      names: () => learned.known,
    },
    seenName: ({ family, words }, uid) =>
      uid === undefined ? seen.nameOf(family, words, seen.askers, now) : domainOf(family, words, uid),
    inbound: inbound.readOnly(),
    userName: users.nameOf,
    isQuarantined: (uid) => containment.holds(uid),
    slicesOf: (unit) => slicesOf(unit),
    isLocal: ({ family, words }) => local.has(family, words),
    sourceFor,
    now,
  }
}
