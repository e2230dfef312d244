import type { Reason } from '../core/policy.js'

/**
 * A line of the block log: one JSON object, names of the Elastic Common Schema (ECS 8.11). What is not known is left out.
 * Who reads it must take any field for absent or wrong: the file may be cut short, or edited.
 */
export interface BlockEvent {
  /** ISO 8601, UTC, milliseconds: when the line was made. */
  readonly '@timestamp': string
  readonly 'log.level': string
  readonly 'ecs.version': string
  readonly 'event.module': 'checkvalve'
  readonly 'event.kind': 'event'
  readonly 'event.category': readonly ['network']
  readonly 'event.type': readonly ['denied' | 'allowed']
  /** `would-block`: in mode observe. */
  readonly 'event.action': 'block' | 'would-block'
  /** `suppressed`: blocks of too many kinds to be listed; the line has no destination. */
  readonly 'event.reason': Reason | 'suppressed'
  readonly 'source.ip'?: string
  readonly 'source.port'?: number
  readonly 'destination.ip'?: string
  readonly 'destination.port'?: number
  /** The name by which this host last got that address from its resolvers. */
  readonly 'destination.domain'?: string
  /** The name that was asked for, where that is why. */
  readonly 'dns.question.name'?: string
  /** `tcp`, `udp`, `icmp`, `ipv6-icmp`, or the number of another protocol. */
  readonly 'network.transport'?: string
  readonly 'network.type'?: 'ipv4' | 'ipv6'
  readonly 'network.direction': 'egress'
  readonly 'user.id'?: string
  readonly 'user.name'?: string
  readonly 'process.pid'?: number
  readonly 'process.executable'?: string
  readonly 'container.id'?: string
  /** The unit without its type: `nginx`. Services only. */
  readonly 'service.name'?: string
  readonly 'rule.name'?: string
  /** The unit whole: `nginx.service`. */
  readonly 'checkvalve.unit'?: string
  /** Why unit and process are missing: nobody has looked, since there were too many; or the kernel does not tell. */
  readonly 'checkvalve.attribution'?: 'skipped' | 'unknown'
  readonly 'checkvalve.mode': 'observe' | 'enforce'
  /** How many blocks the line stands for. The sum over all lines is the number of blocks. */
  readonly 'checkvalve.repeat': number
  readonly message: string
}
