/** What the kernel's rules are made from, besides the policy. */

import type { Connection } from '../packet/ip.js'
import type { Pressure } from './conntrack-pressure.js'

/** How packets get from the kernel to the service: by nftables itself, or by a rule of xtables beside it. */
export type QueueForm = 'native' | 'xtables'

export interface RulesetOptions {
  readonly form: QueueForm
  readonly queue: { readonly first: number; readonly count: number }
  readonly mask: number
  readonly generation: number
  readonly block: 'reject' | 'drop'
  readonly fallback: 'static' | 'closed' | 'open'
  /** Seconds that a learned address stays in the kernel when the service does not renew it. */
  readonly hostTimeout: number
  /** Seconds after which an untracked UDP client that is silent is none any more. */
  readonly udpTimeout: number
  readonly pressure: Pressure
  /** Whether the service sees the questions to resolvers and their answers, in a queue of their own. */
  readonly watchNames: boolean
  /** Whether there are connections that this host has opened before the policy was in force. */
  readonly hasOpened: boolean
}

/** Ports of this host. */
export interface ServicePorts {
  readonly tcp: readonly number[]
  readonly udp: readonly number[]
}

/** What the host's sockets tell the kernel's rules. */
export interface SocketFacts {
  /** Ports that serve clients. */
  readonly services: ServicePorts
  /** TCP connections that this host has opened before the policy was in force: no answers come from them. */
  readonly opened: readonly Connection[]
}
