/** Names the fields of the block log, for tests of what else must name all of them. */
import type { AlertEvent, BlockEvent } from '../../../src/records/block-log/event.js'

type Kind<Value> = Value extends number ? 'number' : Value extends readonly string[] ? 'list' : 'text'

/** Each field of the log, and what its value is; the compiler refuses this when one is missing, or is none. */
export const FIELDS: {
  readonly [Name in keyof BlockEvent | keyof AlertEvent]-?: Kind<
    NonNullable<
      Name extends keyof BlockEvent
        ? BlockEvent[Name]
        : Name extends keyof AlertEvent
          ? AlertEvent[Name]
          : never
    >
  >
} = {
  '@timestamp': 'text',
  'log.level': 'text',
  'ecs.version': 'text',
  'event.module': 'text',
  'event.kind': 'text',
  'event.category': 'list',
  'event.type': 'list',
  'event.action': 'text',
  'event.reason': 'text',
  'source.ip': 'text',
  'source.port': 'number',
  'destination.ip': 'text',
  'destination.port': 'number',
  'destination.domain': 'text',
  'dns.question.name': 'text',
  'network.transport': 'text',
  'network.type': 'text',
  'network.direction': 'text',
  'user.id': 'text',
  'user.name': 'text',
  'process.pid': 'number',
  'process.executable': 'text',
  'container.id': 'text',
  'service.name': 'text',
  'rule.name': 'text',
  'checkvalve.unit': 'text',
  'checkvalve.attribution': 'text',
  'checkvalve.process': 'text',
  'checkvalve.candidates': 'list',
  'checkvalve.units': 'list',
  'checkvalve.mode': 'text',
  'checkvalve.repeat': 'number',
  'checkvalve.destinations': 'list',
  'checkvalve.blocks': 'number',
  'checkvalve.rate': 'number',
  'checkvalve.quarantine': 'text',
  'checkvalve.until': 'text',
  message: 'text',
}
