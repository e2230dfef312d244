/** The configuration as the rest of the program sees it: every value parsed, nothing optional by accident. */

import type { Destination, Family, PortRange, Words } from '../core/packet/ip.js'
import type { Origin } from '../core/policy/origin.js'

/** A service of this host: packets from its port may be answers. */
export interface Service {
  readonly protocol: 'tcp' | 'udp'
  readonly port: number
}

/** A connection that this host may start towards whoever has a session with `service` right now. */
export interface Callback {
  readonly service: Service
  readonly protocol: 'tcp' | 'udp'
  /** Destination ports. */
  readonly ports: readonly PortRange[]
  /** Connections that one session may cause, ever. */
  readonly perSession: number
}

/** A destination, and where it was written. */
export type PlacedDestination = Destination & { readonly origin: Origin }

/** One rule of the operator. */
export interface AllowEntry {
  /** Unique among the rules. */
  readonly name: string
  readonly to: readonly Destination[]
  /** Destination ports; all of them (0-65535) when the operator named none. Without meaning for `icmp`. */
  readonly ports: readonly PortRange[]
  readonly protocol: 'tcp' | 'udp' | 'icmp' | 'any'
  /** uids; undefined: whoever it is. */
  readonly users: readonly number[] | undefined
  /** Names of systemd units; undefined: whichever it is. */
  readonly units: readonly string[] | undefined
  /** Milliseconds since 1970; from then on the rule allows nothing. undefined: it stays. */
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

/** Where to listen: `host` is an address without brackets, or a name such as `localhost`. */
export interface Listen {
  readonly host: string
  readonly port: number
}
