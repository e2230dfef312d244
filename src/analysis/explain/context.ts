/** Defines what a query of `explain` is answered from: the policy, and knowledge of the host. */
import type { Config } from '../../config/config.js'
import type { Address, Words } from '../../core/packet/ip.js'
import type { Policy } from '../../core/policy/policy.js'
import type { Inbound } from '../../core/session/client-replies.js'
import type { PlacedInfrastructure } from '../../host/infrastructure.js'
import type { Mirror } from '../../host/mirrors/mirror.js'
import type { Knowledge } from '../../telemetry/mirror-status.js'

export interface ExplainContext {
  /**
   * `service`: the running service answers. `file`: the configuration alone answers, so that sessions are not
   * known.
   */
  readonly source: 'service' | 'file'
  readonly config: Config
  readonly policy: Policy
  readonly mirrors: readonly Mirror[]
  /** Reads the resolvers and time servers of this host, with the places where they are written. */
  readonly infrastructure: () => PlacedInfrastructure
  /** Current addresses of names. */
  readonly knowledge: Knowledge
  /**
   * Returns the name by which a user, or any user, last got an address. A user who queries names of his own
   * can choose this name for himself.
   */
  readonly seenName: (host: Address, uid: number | undefined) => string | undefined
  /** A read-only view of sessions (`readOnly` in core/session/client-replies.ts). */
  readonly inbound: Inbound
  readonly userName: (uid: number) => string | undefined
  readonly isQuarantined: (uid: number) => boolean
  /** Returns the slices that a unit is in. */
  readonly slicesOf: (unit: string) => readonly string[]
  /** Whether an address belongs to this host: packets to it are never judged. */
  readonly isLocal: (host: Address) => boolean
  /**
   * Returns the source address for a destination, an error when there is no route, or undefined when routes
   * are not consulted.
   */
  readonly sourceFor: (host: Address) => Promise<Words | Error | undefined>
  /** Milliseconds since the epoch. */
  readonly now: number
}
