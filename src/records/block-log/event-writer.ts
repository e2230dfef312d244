/** The lines of the block log. */

import { formatAddress } from '../../core/packet/address-text.js'
import { transportOf } from '../../core/packet/protocol-names.js'
import { REASONS } from '../../core/policy/policy.js'
import type { BlockGroup, PendingEvent } from '../../core/record/block-summary.js'
import { clip } from '../../text/clip.js'
import type { BlockEvent } from './event.js'

export type Mode = 'observe' | 'enforce'

/** What is known beside a telling. */
export interface Surroundings {
  readonly mode: Mode
  /** Name of a user, where it is known. */
  readonly userName: (uid: number) => string | undefined
}

/** Blocks of which the lines were lost. */
export interface Lost {
  readonly lines: number
  readonly blocks: number
}

/**
 * Strangers name programs and units: so much of a line at most is one text. Names that were asked for are host names, of 253
 * letters at most. So no line is longer than a pipe takes whole (PIPE_BUF, 4096 bytes).
 */
const TEXT_BYTES = 230

/** What pino adds to each line: see ecs.ts. */
type Added = '@timestamp' | 'log.level' | 'ecs.version' | 'event.module'
export type Fields = Omit<BlockEvent, Added>

/** The line for what is to be told. Texts that are too long are cut. */
export function blockEvent(telling: PendingEvent, around: Surroundings): Fields {
  if (telling.type === 'suppressed') return suppressedEvent(telling, around)
  const { group: kind, blocks } = telling
  const { question, domain } = kind.names
  const names = { user: userName(kind.uid, around), ...whoNames(kind) }
  return {
    ...common(around, REASONS[kind.reasonIndex]!, blocks),
    ...placesOf(kind),
    'destination.domain': domain,
    'dns.question.name': question,
    'user.id': kind.uid < 0 ? undefined : String(kind.uid),
    'user.name': names.user,
    'process.pid': kind.who.pid,
    'process.executable': names.executable,
    'container.id': names.container,
    'service.name': names.service,
    'rule.name': text(kind.rule),
    'checkvalve.unit': names.unit,
    'checkvalve.attribution': kind.who.attribution === 'found' ? undefined : kind.who.attribution,
    message: `${verb(around)} ${sender(kind.uid, names)} -> ${goal(kind)}${repeats(telling)}`,
  }
}

/** The line for blocks of lines that were lost: so the sum over all lines stays what it is. */
export function lostEvent({ lines, blocks }: Lost, around: Surroundings): Fields {
  return {
    ...common(around, 'suppressed', blocks),
    message: `${counted(blocks, 'block')}, of which ${counted(lines, 'line')} of this log were lost: it could not be written, journalctl -u checkvalve says why`,
  }
}

function suppressedEvent(
  { uid, blocks, ms }: Extract<PendingEvent, { type: 'suppressed' }>,
  around: Surroundings,
): Fields {
  const user = uid === undefined ? undefined : userName(uid, around)
  const who = uid === undefined ? 'further users' : uid < 0 ? 'packets without a user' : sender(uid, { user })
  return {
    ...common(around, 'suppressed', blocks),
    'user.id': uid === undefined || uid < 0 ? undefined : String(uid),
    'user.name': user,
    message: `${verb(around)} ${who} ${counted(blocks, 'more time')} in ${duration(ms)}, too many kinds to list each: the lines before name some, checkvalve_packets_total counts all`,
  }
}

function common({ mode }: Surroundings, reason: BlockEvent['event.reason'], blocks: number) {
  return {
    'event.kind': 'event',
    'event.category': ['network'],
    'event.type': [mode === 'observe' ? 'allowed' : 'denied'],
    'event.action': mode === 'observe' ? 'would-block' : 'block',
    'event.reason': reason,
    'network.direction': 'egress',
    'checkvalve.mode': mode,
    'checkvalve.repeat': blocks,
  } satisfies Partial<BlockEvent>
}

function placesOf({ family, protocol, source, sourcePort, destination, destinationPort }: BlockGroup) {
  return {
    'source.ip': formatAddress(family, source),
    'source.port': sourcePort || undefined,
    'destination.ip': formatAddress(family, destination),
    'destination.port': destinationPort || undefined,
    'network.transport': transportOf(protocol),
    'network.type': `ipv${family}`,
  } satisfies Partial<BlockEvent>
}

function whoNames({ who }: BlockGroup) {
  const [, service] = /^(.*)\.service$/.exec(who.unit ?? '') ?? []
  return {
    unit: text(who.unit),
    service: text(service),
    container: text(who.container),
    executable: text(who.executable),
  }
}

const text = (given: string | undefined) => (given === undefined ? undefined : clip(given, TEXT_BYTES))

const userName = (uid: number, around: Surroundings) => (uid < 0 ? undefined : text(around.userName(uid)))

const verb = ({ mode }: Surroundings) => (mode === 'observe' ? 'would have blocked' : 'blocked')

/** `www-data (/usr/bin/curl in nginx.service)`. */
function sender(
  uid: number,
  names: { user: string | undefined } & Partial<
    Record<'executable' | 'unit' | 'container', string | undefined>
  >,
): string {
  const user = uid < 0 ? 'a packet without a user' : (names.user ?? `uid ${uid}`)
  const container = names.container && `container ${names.container.slice(0, 12)}`
  const where = [names.executable, names.unit ?? container].filter((name) => name !== undefined)
  return where.length === 0 ? user : `${user} (${where.join(' in ')})`
}

/** `tcp 198.51.100.2 (www.example.org) port 443 (not-allowlisted)`. */
function goal({ family, protocol, destination, destinationPort, reasonIndex, names }: BlockGroup): string {
  const address = formatAddress(family, destination)
  const name = names.domain === undefined ? '' : ` (${names.domain})`
  const port = destinationPort > 0 ? ` port ${destinationPort}` : ''
  const why = names.question === undefined ? '' : `: ${names.question}`
  return `${transportOf(protocol)} ${address}${name}${port} (${REASONS[reasonIndex]}${why})`
}

const repeats = (telling: PendingEvent) =>
  telling.type === 'first' ? '' : `, ${counted(telling.blocks, 'more time')} in ${duration(telling.ms)}`

const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`

function duration(ms: number): string {
  const seconds = Math.round(ms / 1000)
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`
}
