/** Makes lines of a block log, as the service writes them. */
import { gzipSync } from 'node:zlib'

export const BEGIN = Date.parse('2024-11-26T08:00:00.000Z')

/** The fields of a line. Undefined fields are left out. */
export type Fields = Readonly<Record<string, unknown>>

export interface Event {
  /** The time of the event, in seconds after BEGIN. */
  readonly at?: number
  readonly to?: string
  readonly port?: number
  readonly domain?: string | undefined
  readonly question?: string | undefined
  readonly transport?: string
  readonly user?: string | undefined
  readonly uid?: number | undefined
  readonly unit?: string | undefined
  readonly program?: string | undefined
  readonly reason?: string
  readonly repeat?: number
  readonly fromPort?: number
  readonly isObserved?: boolean
  /** Further fields. */
  readonly more?: Fields
}

export function fieldsOf(event: Event = {}): Fields {
  const { at = 0, to = '203.0.113.7', transport = 'tcp', reason = 'not-allowlisted', repeat = 1 } = event
  const { user = 'www-data', uid = 33, unit, program, domain, question, isObserved = false } = event
  const hasPorts = transport === 'tcp' || transport === 'udp'
  return {
    'log.level': 'warn',
    '@timestamp': new Date(BEGIN + at * 1000).toISOString(),
    'ecs.version': '8.11.0',
    'event.module': 'checkvalve',
    'event.kind': 'event',
    'event.category': ['network'],
    'event.type': [isObserved ? 'allowed' : 'denied'],
    'event.action': isObserved ? 'would-block' : 'block',
    'event.reason': reason,
    'source.ip': to.includes(':') ? '2001:db8::1' : '192.0.2.1',
    'source.port': hasPorts ? (event.fromPort ?? 40000) : undefined,
    'destination.ip': to,
    'destination.port': hasPorts ? (event.port ?? 443) : undefined,
    'destination.domain': domain,
    'dns.question.name': question,
    'network.transport': transport,
    'network.type': to.includes(':') ? 'ipv6' : 'ipv4',
    'network.direction': 'egress',
    'user.id': 'uid' in event && event.uid === undefined ? undefined : String(uid),
    'user.name': 'user' in event && event.user === undefined ? undefined : user,
    'process.executable': program,
    'checkvalve.unit': unit,
    'checkvalve.mode': isObserved ? 'observe' : 'enforce',
    'checkvalve.repeat': repeat,
    message: 'blocked',
    ...event.more,
  }
}

export const lineOf = (event: Event = {}): string => JSON.stringify(fieldsOf(event))

export const textOf = (events: readonly Event[]): string =>
  events.map((event) => `${lineOf(event)}\n`).join('')

export const suppressed = (repeat: number, at = 0): string =>
  JSON.stringify({
    '@timestamp': new Date(BEGIN + at * 1000).toISOString(),
    'event.module': 'checkvalve',
    'event.action': 'block',
    'event.reason': 'suppressed',
    'checkvalve.mode': 'enforce',
    'checkvalve.repeat': repeat,
    message: `${repeat} more blocks of too many kinds to list in 30 s: see the metrics`,
  })

export const gzipped = (text: string): Buffer => gzipSync(text)
