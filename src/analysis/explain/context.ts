/** What a question is answered from: the policy, and what is known besides. */
import type { Config } from '../../config/config.js'
import type { Address, Words } from '../../core/packet/ip.js'
import type { Policy } from '../../core/policy/policy.js'
import type { Inbound } from '../../core/session/client-replies.js'
import type { PlacedInfrastructure } from '../../host/infrastructure.js'
import type { Mirror } from '../../host/mirrors/mirror.js'
import type { Knowledge } from '../../telemetry/mirror-status.js'

export interface ExplainContext {
  /** `service`: the one that runs; `file`: nobody but the configuration, so that sessions are not known. */
  readonly source: 'service' | 'file'
  readonly config: Config
  readonly policy: Policy
  readonly mirrors: readonly Mirror[]
  /** Where the resolvers and time servers of this host are written. */
  readonly infrastructure: () => PlacedInfrastructure
  /** What is known of names now. */
  readonly knowledge: Knowledge
  /** By which name a user, or anybody, last got an address: whoever asks for names of his own can make it any for himself. */
  readonly seenName: (host: Address, uid: number | undefined) => string | undefined
  /** A read-only view: `readOnly` in core/session/client-replies.ts. */
  readonly inbound: Inbound
  readonly userName: (uid: number) => string | undefined
  /** The slices that a unit is in. */
  readonly slicesOf: (unit: string) => readonly string[]
  /** Whether an address is one of this host: what goes there is never judged. */
  readonly isLocal: (host: Address) => boolean
  /** The address from which this host would send there; an error where no route leads there; undefined where nobody has looked. */
  readonly sourceFor: (host: Address) => Promise<Words | Error | undefined>
  /** Milliseconds since the epoch. */
  readonly now: number
}
