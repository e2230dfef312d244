/** Defines rules, and the decisions that they lead to. */

import type { AddressSet } from '../packet/address-set.js'
import type { PortRange, Prefix } from '../packet/ip.js'
import type { PrefixSet } from '../packet/prefix-set.js'
import type { Origin } from './origin.js'

/**
 * The reasons of verdicts, the same words in log, metrics, status and tests:
 * - `malformed`: the headers cannot be read
 * - `foreign-source`: the source is no address of this host
 * - `canary`: the service's own proof that blocking works, by a connection and, when names are enforced, by a
 *   query
 * - `session`: a reply in a client's session that conntrack does not know
 * - `callback`: a connection back to the client of a service that has callbacks
 * - `quarantined`: the user was blocked at too many destinations, and is refused everything for a while
 * - `resolver`, `time`, `dhcp`: the host's own infrastructure
 * - `not-ntp`: a datagram to a time server that is no request of NTP
 * - `name-not-allowed`: a query for a name outside the allowlist, when names are enforced
 * - `unjudged-stream`: a query on a TCP connection whose bytes before it were not judged, when names are enforced
 * - `mirror`: an update mirror, its port, and a user who updates
 * - `rule`: an `allow` entry of the operator
 * - `address-expired`: an address that an allowed name had; the user has not used it lately by the rule
 * - `not-allowlisted`: no rule matches
 */
export const REASONS = [
  'malformed',
  'foreign-source',
  'canary',
  'session',
  'callback',
  'quarantined',
  'resolver',
  'time',
  'dhcp',
  'not-ntp',
  'name-not-allowed',
  'unjudged-stream',
  'mirror',
  'rule',
  'address-expired',
  'not-allowlisted',
] as const
export type Reason = (typeof REASONS)[number]

/** The protocol of a rule; `icmp` is ICMP for IPv4 and ICMPv6 for IPv6. */
export type Protocol = 'tcp' | 'udp' | 'icmp' | 'any'

/**
 * The conditions of a rule. A packet must fit all of them; an empty or undefined condition fits every packet.
 */
export interface RuleSpec {
  readonly reason: 'resolver' | 'time' | 'dhcp' | 'mirror' | 'rule'
  /** The unique name that the operator knows from the configuration. */
  readonly name: string
  readonly protocol: Protocol
  /** Destination ports; only TCP and UDP have any. */
  readonly ports: readonly PortRange[]
  /** The source port that the packet must have. */
  readonly sourcePort?: number | undefined
  /**
   * User ids. A packet without a user fits only when its connection was approved before; one of root's only
   * from a port that the kernel chooses, or from `sourcePort`.
   */
  readonly users?: readonly number[] | undefined
  /** Names of systemd units and slices, one of which the sender must be in. The kernel cannot tell them. */
  readonly units?: readonly string[] | undefined
  /** Who the kernel's copy of the rule is for; undefined: nobody when the rule has units, else its users. */
  readonly whenSilent?: 'users' | 'closed' | 'open' | undefined
  readonly prefixes: readonly Prefix[]
  /** Host names whose addresses are added as they are learned. */
  readonly names: readonly string[]
  /** Domains whose names do the same: `example.org` for `*.example.org`. */
  readonly domains: readonly string[]
  /** Whether the names come from an SRV answer, and may be others tomorrow. */
  readonly isFromSrv?: boolean | undefined
  /** When the rule expires: milliseconds since the epoch. */
  readonly expires?: number | undefined
  readonly origin?: Origin | undefined
}

/** A compiled rule of a policy. */
export interface Rule {
  readonly spec: RuleSpec
  /** The fixed prefixes of the rule. */
  readonly fixed: PrefixSet
  /** The current addresses of its names. */
  readonly addresses: AddressSet
  /** The former addresses of its names: a connection from that time goes on, no new one begins. */
  readonly formerAddresses: AddressSet
  /** The decision for a packet that is not TCP, and the one for TCP. */
  readonly accept: Decision
  readonly acceptTcp: Decision
  /** The decision for a packet to a former address, which its user has not used lately. */
  readonly expired: Decision
}

/** Verdict, reason and rule for one packet. */
export interface Decision {
  readonly verdict: 'accept' | 'block'
  readonly reason: Reason
  readonly rule: Rule | undefined
  /**
   * Whether the approval is remembered for the whole connection, so that its further packets are not judged.
   */
  readonly remember: boolean
  /** Index of `reason` in REASONS: for counters in arrays. */
  readonly reasonIndex: number
}
