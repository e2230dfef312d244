/** Types of the parsed values of a configuration. */

import type { Destination, Family, PortRange, Words } from '../core/packet/ip.js'
import type { Origin } from '../core/policy/origin.js'

/** A service of this host: packets from its port may be replies to clients. */
export interface Service {
  readonly protocol: 'tcp' | 'udp'
  readonly port: number
}

/** The services: those that are found (`auto`), the ones in a list, or both. */
export type Services = 'auto' | readonly (Service | 'auto')[]

/** Whether services are found by their sockets. */
export const areFound = (services: Services): boolean => services === 'auto' || services.includes('auto')

/** Connections that this host may open to a client that has a session with `service` now. */
export interface Callback {
  readonly service: Service
  readonly protocol: 'tcp' | 'udp'
  /** Destination ports. */
  readonly ports: readonly PortRange[]
  /** Maximum of such connections in one session. */
  readonly perSession: number
}

/** A destination with its origin. */
export type ConfiguredDestination = Destination & { readonly origin: Origin }

/** One rule of the operator: an entry of `allow`, or a runtime entry. */
export interface AllowEntry {
  /** Unique among the rules. */
  readonly name: string
  readonly to: readonly Destination[]
  /** Destination ports; 0-65535 when the operator named none. Without meaning for `icmp`. */
  readonly ports: readonly PortRange[]
  readonly protocol: 'tcp' | 'udp' | 'icmp' | 'any'
  /** uids; undefined for all users. */
  readonly users: readonly number[] | undefined
  /** Names of systemd units; undefined for all units, and for processes without a unit. */
  readonly units: readonly string[] | undefined
  /** Who the rule is for while the service is silent; undefined: nobody when it has units, else its users. */
  readonly whenSilent?: 'users' | 'closed' | 'open' | undefined
  /** Milliseconds since 1970 when the rule expires; undefined for a rule that does not expire. */
  readonly expires: number | undefined
  readonly origin: Origin
}

/** An address and a port to connect to. */
export interface Endpoint {
  /** The address as text, for messages and for `net.connect`. */
  readonly host: string
  readonly port: number
  readonly family: Family
  readonly words: Words
}

/**
 * An address and a port to listen on. `host` is an address without brackets, or a name such as `localhost`.
 */
export interface Listen {
  readonly host: string
  readonly port: number
}
