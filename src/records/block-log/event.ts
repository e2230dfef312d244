import type { Reason } from '../../core/policy/rule.js'

/**
 * A line of the block log: one JSON object with the names of the Elastic Common Schema (ECS 8.11). Unknown
 * fields are left out. A reader must expect any field to be absent or wrong: the file may be cut short, or
 * edited.
 */
export interface BlockEvent {
  /** Time when the line was made: ISO 8601, UTC, milliseconds. */
  readonly '@timestamp': string
  readonly 'log.level': string
  readonly 'ecs.version': string
  readonly 'event.module': 'checkvalve'
  readonly 'event.kind': 'event'
  readonly 'event.category': readonly ['network']
  readonly 'event.type': readonly ['denied' | 'allowed']
  /** `would-block`: in mode observe. */
  readonly 'event.action': 'block' | 'would-block'
  /**
   * `suppressed`: blocks of too many kinds to list; `repeated`: packets that the kernel refused itself. Both lines have no
   * destination, nor has one with `quarantined` that counts such packets.
   */
  readonly 'event.reason': Reason | 'suppressed' | 'repeated'
  readonly 'source.ip'?: string | undefined
  readonly 'source.port'?: number | undefined
  readonly 'destination.ip'?: string | undefined
  readonly 'destination.port'?: number | undefined
  /** The name by which this host last got that address from its resolvers. */
  readonly 'destination.domain'?: string | undefined
  /** The name in a DNS query, when the name is the reason of the block. */
  readonly 'dns.question.name'?: string | undefined
  /** `tcp`, `udp`, `icmp`, `ipv6-icmp`, or the number of another protocol. */
  readonly 'network.transport'?: string | undefined
  readonly 'network.type'?: 'ipv4' | 'ipv6' | undefined
  readonly 'network.direction': 'egress'
  readonly 'user.id'?: string | undefined
  readonly 'user.name'?: string | undefined
  readonly 'process.pid'?: number | undefined
  readonly 'process.executable'?: string | undefined
  readonly 'container.id'?: string | undefined
  /** The unit without its type: `nginx`. Set for services only. */
  readonly 'service.name'?: string | undefined
  readonly 'rule.name'?: string | undefined
  /** The whole name of the unit: `nginx.service`. */
  readonly 'checkvalve.unit'?: string | undefined
  /**
   * Why the unit is missing: `skipped`, too many blocks to look it up; `unknown`, the kernel does not have
   * it.
   */
  readonly 'checkvalve.attribution'?: 'skipped' | 'unknown' | undefined
  /** Why process and program are missing: see ProcessOutcome. */
  readonly 'checkvalve.process'?: 'skipped' | 'unknown' | 'not-permitted' | undefined
  /** Names of programs, one of which is the sender, when it is not permitted to look which. */
  readonly 'checkvalve.candidates'?: readonly string[] | undefined
  /** In a summary of a user: the units with the most blocks. */
  readonly 'checkvalve.units'?: readonly string[] | undefined
  readonly 'checkvalve.mode': 'observe' | 'enforce'
  /** Number of blocks that the line counts. The sum over all lines is the number of all blocks. */
  readonly 'checkvalve.repeat': number
  readonly message: string
}

/** A line of the block log that is no block: what the tripwire and the quarantine did. */
export interface AlertEvent
  extends Pick<
    BlockEvent,
    | '@timestamp'
    | 'log.level'
    | 'ecs.version'
    | 'event.module'
    | 'user.id'
    | 'user.name'
    | 'process.pid'
    | 'process.executable'
    | 'container.id'
    | 'service.name'
    | 'checkvalve.unit'
    | 'checkvalve.candidates'
    | 'checkvalve.mode'
    | 'checkvalve.repeat'
    | 'message'
  > {
  readonly 'event.kind': 'alert'
  readonly 'event.category': readonly ['intrusion_detection']
  readonly 'event.type': readonly ['info']
  /**
   * - `alert`: a user was blocked at many destinations in a short time
   * - `alert-ended`: that is over
   * - `released`: a quarantine is over
   */
  readonly 'event.action': 'alert' | 'alert-ended' | 'released'
  /** The last first contacts before the alert: `tcp 198.51.100.7 port 445`. */
  readonly 'checkvalve.destinations'?: readonly string[] | undefined
  /** Blocks of the sender since its first contact, and how many that are in a second. */
  readonly 'checkvalve.blocks'?: number | undefined
  readonly 'checkvalve.rate'?: number | undefined
  /** `begun`: the user is in quarantine; `rehearsed`: he would be, in mode enforce. */
  readonly 'checkvalve.quarantine'?: 'begun' | 'rehearsed' | undefined
  /** When the quarantine ends: ISO 8601, UTC. */
  readonly 'checkvalve.until'?: string | undefined
}
