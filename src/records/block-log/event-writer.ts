/** Makes the events of the block log, from what is known of blocks. */

import { formatAddress } from '../../core/packet/address-text.js'
import { transportOf } from '../../core/packet/protocol-names.js'
import { REASONS, type Reason } from '../../core/policy/rule.js'
import type { BlockGroup, PendingEvent } from '../../core/record/block-summary.js'
import { clip } from '../../text/clip.js'
import { terminalSafeField } from '../../text/terminal-safe.js'
import type { BlockEvent } from './event.js'

export type Mode = 'observe' | 'enforce'

/** The circumstances of an event. */
export interface Surroundings {
  readonly mode: Mode
  /** Returns the name of a user, or undefined when it is not known. */
  readonly userName: (uid: number) => string | undefined
}

/** Lines that were lost, and the blocks in them. */
export interface Lost {
  readonly lines: number
  readonly blocks: number
}

/** Packets of one user that the kernel has refused without waking the service. */
export interface Refused {
  readonly uid: number
  readonly packets: number
  readonly ms: number
  readonly reason: 'repeated' | 'quarantined'
}

/**
 * Maximum length of a text in JSON, in bytes: strangers name programs and units. Names in queries are host
 * names of up to 253 letters. So no line is longer than a pipe takes whole (PIPE_BUF, 4096 bytes).
 */
const TEXT_BYTES = 230

/** Fields that pino adds to each line: see ecs.ts. */
export type Added = '@timestamp' | 'log.level' | 'ecs.version' | 'event.module'
export type Fields = Omit<BlockEvent, Added>

/** Makes an event. Texts that are too long are cut. */
export function blockEvent(telling: PendingEvent, around: Surroundings): Fields {
  if (telling.type === 'suppressed') return suppressedEvent(telling, around)
  const { group: kind, blocks } = telling
  const { question, domain } = kind.names
  const names = { user: userName(kind.uid, around), ...senderNames(kind.who) }
  return {
    ...common(around, REASONS[kind.reasonIndex]!, blocks),
    ...endpointsOf(kind),
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
    'checkvalve.attribution': found(kind.who.attribution),
    'checkvalve.process': found(kind.who.process ?? kind.who.attribution),
    'checkvalve.candidates': names.candidates,
    message: `${verb(around)} ${sender(kind.uid, names)} -> ${destinationText(kind)}${repeats(telling)}`,
  }
}

/**
 * Makes the event that counts the blocks of lost lines, so that the sum over all lines is still the number of
 * all blocks.
 */
export function lostEvent({ lines, blocks }: Lost, around: Surroundings): Fields {
  return {
    ...common(around, 'suppressed', blocks),
    message: `lost ${counted(lines, 'line')} of this log with ${counted(blocks, 'block')}, since it could not be written: see journalctl -u checkvalve`,
  }
}

/** Makes the event that counts packets which the kernel has refused itself. */
export function refusedEvent({ uid, packets, ms, reason }: Refused, around: Surroundings): Fields {
  const user = userName(uid, around)
  const why = reason === 'repeated' ? 'again at destinations listed before' : 'since it is in quarantine'
  return {
    ...common({ ...around, mode: 'enforce' }, reason, packets),
    'user.id': String(uid),
    'user.name': user,
    message: `the kernel refused ${sender(uid, { user })} ${counted(packets, 'more time')} in ${duration(ms)}, ${why}`,
  }
}

function suppressedEvent(
  { uid, blocks, ms, units = [] }: Extract<PendingEvent, { type: 'suppressed' }>,
  around: Surroundings,
): Fields {
  const user = uid === undefined ? undefined : userName(uid, around)
  const who = uid === undefined ? 'further users' : uid < 0 ? 'packets without a user' : sender(uid, { user })
  const most = units.map((unit) => text(unit)!)
  const by = most.length === 0 ? '' : `, most of them by ${most.join(', ')}`
  return {
    ...common(around, 'suppressed', blocks),
    'user.id': uid === undefined || uid < 0 ? undefined : String(uid),
    'user.name': user,
    'checkvalve.units': most.length === 0 ? undefined : most,
    message: `${verb(around)} ${who} ${counted(blocks, 'more time')} in ${duration(ms)}${by}, too many kinds to list: the lines before name some, checkvalve_packets_total counts all`,
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

function endpointsOf({ family, protocol, source, sourcePort, destination, destinationPort }: BlockGroup) {
  return {
    'source.ip': formatAddress(family, source),
    'source.port': sourcePort || undefined,
    'destination.ip': formatAddress(family, destination),
    'destination.port': destinationPort || undefined,
    'network.transport': transportOf(protocol),
    'network.type': `ipv${family}`,
  } satisfies Partial<BlockEvent>
}

export function senderNames(who: BlockGroup['who']) {
  const [, service] = /^(.*)\.service$/.exec(who.unit ?? '') ?? []
  return {
    unit: text(who.unit),
    service: text(service),
    container: text(who.container),
    executable: text(who.executable),
    candidates: who.executable === undefined ? candidatesOf(who) : undefined,
  }
}

const candidatesOf = ({ candidates }: BlockGroup['who']) =>
  candidates?.length ? candidates.map((name) => text(name)!) : undefined

/** Returns an outcome only when something was not found. */
const found = <T extends string>(outcome: T) =>
  outcome === 'found' ? undefined : (outcome as Exclude<T, 'found'>)

/** Makes a text safe to print, also after JSON is decoded, and cuts it. */
const text = (given: string | undefined) =>
  given === undefined ? undefined : clip(terminalSafeField(given), TEXT_BYTES)

export const userName = (uid: number, around: Surroundings) =>
  uid < 0 ? undefined : text(around.userName(uid))

const verb = ({ mode }: Surroundings) => (mode === 'observe' ? 'would have blocked' : 'blocked')

/**
 * Formats a sender: `www-data (/usr/bin/curl in nginx.service)`, `www-data (perhaps curl or sh in
 * nginx.service)`.
 */
export function sender(
  uid: number,
  names: { user: string | undefined; candidates?: readonly string[] | undefined } & Partial<
    Record<'executable' | 'unit' | 'container', string | undefined>
  >,
): string {
  const user = uid < 0 ? 'a packet without a user' : (names.user ?? `uid ${uid}`)
  const container = names.container && `container ${names.container.slice(0, 12)}`
  const perhaps = names.candidates && `perhaps ${names.candidates.join(' or ')}`
  const where = [names.executable ?? perhaps, names.unit ?? container].filter((name) => name !== undefined)
  return where.length === 0 ? user : `${user} (${where.join(' in ')})`
}

/** Formats destination and reason: `tcp 198.51.100.2 (www.example.org) port 443 (not-allowlisted)`. */
function destinationText({
  family,
  protocol,
  destination,
  destinationPort,
  reasonIndex,
  names,
}: BlockGroup): string {
  const address = formatAddress(family, destination)
  const name = names.domain === undefined ? '' : ` (${names.domain})`
  const port = destinationPort > 0 ? ` port ${destinationPort}` : ''
  const reason = REASONS[reasonIndex]!
  const why = names.question ?? SETTINGS[reason]
  return `${transportOf(protocol)} ${address}${name}${port} (${reason}${why === undefined ? '' : `: ${why}`})`
}

/** The setting behind a reason, for a reader who wants another outcome. */
const SETTINGS: Partial<Record<Reason, string>> = { 'address-expired': 'see dns.keepUsed' }

const repeats = (telling: PendingEvent) =>
  telling.type === 'first' ? '' : `, ${counted(telling.blocks, 'more time')} in ${duration(telling.ms)}`

const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`

export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000)
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`
}
