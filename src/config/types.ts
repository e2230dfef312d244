/** The configuration as the rest of the program sees it: every value parsed, nothing optional by accident. */

import type { Destination, Family, PortRange, Prefix, Words } from '../core/packet/ip.js'
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

/** Durations are in seconds, with fractions. Frozen all the way down, but for the words of addresses. */
export interface Config {
  readonly mode: 'observe' | 'enforce'
  readonly block: 'reject' | 'drop'
  readonly fallback: 'static' | 'closed' | 'open'
  readonly onStop: 'remove' | 'keep'
  readonly firewall: {
    readonly queue: 'auto' | 'native' | 'xtables'
    /** Six adjacent bits of the packet mark and of the connection mark. */
    readonly mark: { readonly mask: number }
  }
  readonly queue: { readonly first: number; readonly count: number; readonly maxLength: number }
  readonly sessions: {
    readonly capacity: number
    readonly tcpTimeout: number
    readonly udpTimeout: number
    readonly services: 'auto' | readonly Service[]
    readonly callbacks: readonly Callback[]
  }
  readonly infrastructure: {
    readonly dns: 'auto' | readonly Prefix[]
    readonly ntp: 'auto' | readonly Destination[]
    readonly dhcp: boolean
  }
  readonly dns: {
    readonly holdAnswers: boolean
    readonly holdTime: number
    readonly resolve: boolean
    readonly grace: number
    readonly enforceNames: boolean
    readonly searchDomains: boolean
    readonly reverse: boolean
  }
  readonly mirrors: {
    readonly discover: boolean
    readonly root: string
    readonly hosts: readonly PlacedDestination[]
    readonly ports: readonly PortRange[]
    /** uids. */
    readonly users: readonly number[]
  }
  readonly allow: readonly AllowEntry[]
  readonly containment: {
    readonly destinations: number
    readonly window: number
    readonly action: 'alert' | 'quarantine'
    readonly duration: number
  }
  readonly log: { readonly destination: string; readonly level: 'info' | 'warn' | 'error' }
  readonly metrics: { readonly listen: Listen; readonly path: string }
  readonly control: { readonly socket: string }
  readonly state: { readonly directory: string }
  readonly canary: { readonly target: Endpoint; readonly interval: number }
  /** For the operator: what was accepted and has no effect in this version. */
  readonly notes: readonly string[]
}
