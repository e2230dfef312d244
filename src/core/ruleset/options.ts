/** Defines the inputs of the ruleset besides the policy. */

import type { Address, Connection } from '../packet/ip.js'
import type { Pressure } from './conntrack-pressure.js'

/** How packets get from the kernel to the service: by a `queue` rule of nftables, or by a rule of xtables. */
export type QueueForm = 'native' | 'xtables'

/** The configuration and the state of the host that the ruleset depends on. */
export interface RulesetOptions {
  readonly form: QueueForm
  /** The queues of new connections; those of DNS have the two numbers after them. */
  readonly queue: { readonly first: number; readonly count: number }
  /** Six adjacent bits of the marks. */
  readonly mask: number
  /** The generation of the policy: 1 to 15. */
  readonly generation: number
  readonly block: 'reject' | 'drop'
  readonly fallback: 'static' | 'closed' | 'open'
  /** Seconds after which a learned address expires in the kernel when the service does not renew it. */
  readonly hostTimeout: number
  /** Seconds without a packet after which an untracked UDP client expires. */
  readonly udpTimeout: number
  readonly pressure: Pressure
  /** Whether the service sees queries to resolvers and their answers, in queues of their own. */
  readonly watchNames: boolean
  /** Which connections of quarantined senders are refused: new ones, or approved ones, too. */
  readonly contain: 'new' | 'all'
  /** Whether this kernel compares the cgroup of a socket (`socket cgroupv2`), so that units can be quarantined. */
  readonly matchesCgroups: boolean
  /** Whether there are connections that this host opened before the policy was in force. */
  readonly hasOpened: boolean
}

/** The service ports of this host. */
export interface ServicePorts {
  readonly tcp: readonly number[]
  readonly udp: readonly number[]
}

/** What the kernel's rules need to know from the host's sockets. */
export interface SocketFacts {
  readonly services: ServicePorts
  /** Ports of services of root, now or since the start. */
  readonly rootServices: ServicePorts
  /**
   * TCP connections that this host opened before the policy was in force: their packets are no replies to
   * clients.
   */
  readonly opened: readonly Connection[]
  /** Addresses that this host had until recently. */
  readonly former: readonly Address[]
}
