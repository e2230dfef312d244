/**
 * Reads lines of the block log. Any field may be missing or wrong: the file may be cut short, edited, or
 * written by a stranger.
 */
import { isIP } from 'node:net'
import { parseJson } from '../../text/json.js'
import type { AlertEvent } from './event.js'

/**
 * Why a line is no event:
 * - `too-long`: longer than any event
 * - `cut-short`: it begins like an event and does not end; the disk was full, or the line is being written
 * - `not-json`: it is no JSON
 * - `not-an-object`: it is JSON, but no object
 * - `no-time`, `no-action`, `no-reason`, `no-count`: that field is missing or invalid
 */
export type Broken =
  | 'too-long'
  | 'cut-short'
  | 'not-json'
  | 'not-an-object'
  | 'no-time'
  | 'no-action'
  | 'no-reason'
  | 'no-count'

/** Blocks of one kind, as one line counts them. Unknown and invalid fields are undefined. */
export interface Block {
  readonly kind: 'block'
  /** Time when the line was made, in milliseconds since the epoch. */
  readonly time: number
  /** Whether the blocks were only reported (mode observe). */
  readonly isObserved: boolean
  readonly reason: string
  /** Number of blocks that the line counts. */
  readonly repeat: number
  readonly sourcePort: number | undefined
  readonly address: string | undefined
  readonly port: number | undefined
  readonly domain: string | undefined
  /** The name in a DNS query. */
  readonly question: string | undefined
  readonly transport: string | undefined
  readonly uid: number | undefined
  readonly user: string | undefined
  readonly unit: string | undefined
  readonly container: string | undefined
  /** The path of the program. */
  readonly program: string | undefined
  readonly pid: number | undefined
  /** Whether the unit is not known: it was not looked up, or the kernel does not have it. */
  readonly isUnitUnknown?: true
  /** Names of programs, one of which is the sender. */
  readonly candidates?: readonly string[]
  /** In a summary of a user, the units with the most blocks. */
  readonly units?: readonly string[]
}

/** What tripwire or quarantine did. */
export interface AlertLine extends Pick<Block, 'time' | 'uid' | 'user' | 'unit'> {
  readonly kind: 'alert'
  readonly action: AlertEvent['event.action']
  readonly message: string
}

/** Whether a line counts blocks of a user without saying where they were to go. */
export const isUserSummary = ({
  reason,
  address,
  question,
}: Pick<Block, 'reason' | 'address' | 'question'>): boolean =>
  reason === 'suppressed' ||
  ((reason === 'repeated' || reason === 'quarantined') && address === undefined && question === undefined)

/** A line of the service log: when the block log goes to standard output, the journal has both. */
export interface Remark {
  readonly kind: 'remark'
  readonly time: number | undefined
  readonly level: string | undefined
  readonly message: string
}

export type Line = Block | AlertLine | Remark | { readonly kind: 'broken'; readonly why: Broken }

type Fields = Readonly<Record<string, unknown>>

/** Maximum length of a line that is read: longer than an event with the longest paths and names, escaped. */
export const LINE_AT_MOST = 64 * 1024

/** Longer than any path (PATH_MAX, include/uapi/linux/limits.h). */
const TEXT_AT_MOST = 4096
const BLOCKS_AT_MOST = Number.MAX_SAFE_INTEGER

const broken = (why: Broken): Line => ({ kind: 'broken', why })

/**
 * Reads a line. Never throws.
 * @param text the line without its line feed; undefined when it was too long to be kept
 * @returns undefined for an empty line
 */
export function readLine(text: string | undefined): Line | undefined {
  if (text === undefined) return broken('too-long')
  const line = trimmed(text)
  if (line === '') return undefined
  const value = parseJson(line)
  if (value === undefined)
    return broken(line.startsWith('{') && !line.endsWith('}') ? 'cut-short' : 'not-json')
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return broken('not-an-object')
  const fields = value as Fields
  const action = fields['event.action']
  if (action === undefined) return remark(fields)
  const alertAction = ALERT_ACTIONS.find((each) => each === action)
  return alertAction === undefined ? block(fields) : alert(fields, alertAction)
}

const ALERT_ACTIONS: readonly AlertEvent['event.action'][] = ['alert', 'alert-ended', 'released']

/**
 * Removes leading zero bytes: after a power cut a file may hold zeros in place of a line, and the next line
 * after them.
 */
const trimmed = (text: string): string => (text.charCodeAt(0) === 0 ? text.replace(/^\0+/, '') : text).trim()

function remark(fields: Fields): Line {
  const message = textOf(fields.message)
  if (message === undefined || fields['event.module'] !== 'checkvalve') return broken('no-action')
  return { kind: 'remark', time: timeOf(fields['@timestamp']), level: textOf(fields['log.level']), message }
}

function alert(fields: Fields, action: AlertEvent['event.action']): Line {
  const time = timeOf(fields['@timestamp'])
  const message = textOf(fields.message)
  if (time === undefined) return broken('no-time')
  if (message === undefined) return broken('no-reason')
  const { uid, user, unit } = senderOf(fields)
  return { kind: 'alert', time, action, message, uid, user, unit }
}

function block(fields: Fields): Line {
  const time = timeOf(fields['@timestamp'])
  const action = fields['event.action']
  const reason = textOf(fields['event.reason'])
  const repeat = numberOf(fields['checkvalve.repeat'], 1, BLOCKS_AT_MOST)
  if (time === undefined) return broken('no-time')
  if (action !== 'block' && action !== 'would-block') return broken('no-action')
  if (reason === undefined) return broken('no-reason')
  if (repeat === undefined) return broken('no-count')
  return {
    kind: 'block',
    time,
    isObserved: action === 'would-block',
    reason,
    repeat,
    ...destinationOf(fields),
    ...senderOf(fields),
  }
}

const destinationOf = (fields: Fields) => ({
  sourcePort: portOf(fields['source.port']),
  address: addressOf(fields['destination.ip']),
  port: portOf(fields['destination.port']),
  domain: textOf(fields['destination.domain']),
  question: textOf(fields['dns.question.name']),
  transport: textOf(fields['network.transport']),
})

const senderOf = (fields: Fields) => ({
  uid: uidOf(fields['user.id']),
  user: textOf(fields['user.name']),
  unit: textOf(fields['checkvalve.unit']),
  container: textOf(fields['container.id']),
  program: textOf(fields['process.executable']),
  pid: numberOf(fields['process.pid'], 1, 2 ** 31),
  ...(UNKNOWN.includes(fields['checkvalve.attribution'] as string) && { isUnitUnknown: true as const }),
  ...textsOf('candidates', fields['checkvalve.candidates']),
  ...textsOf('units', fields['checkvalve.units']),
})

const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' && value.length <= TEXT_AT_MOST ? value : undefined

/** A list has no more texts that count: the writer names three. */
const TEXTS_AT_MOST = 3

const UNKNOWN = ['skipped', 'unknown']

/** Reads a list of texts. @returns it under its name; nothing when it has none */
function textsOf<K extends string>(name: K, value: unknown): { [Name in K]?: string[] } {
  const texts = Array.isArray(value)
    ? value.slice(0, TEXTS_AT_MOST).flatMap((each) => textOf(each) ?? [])
    : []
  return texts.length === 0 ? {} : ({ [name]: texts } as { [Name in K]: string[] })
}

const numberOf = (value: unknown, min: number, max: number): number | undefined =>
  typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max ? value : undefined

const portOf = (value: unknown) => numberOf(value, 1, 65535)

const addressOf = (value: unknown) => (typeof value === 'string' && isIP(value) !== 0 ? value : undefined)

/** Reads a user id; (uid_t)-1 is none. */
const uidOf = (value: unknown) =>
  typeof value === 'string' && /^\d{1,10}$/.test(value) ? numberOf(Number(value), 0, 0xfffffffe) : undefined

/** Reads a time of RFC 3339 in UTC, as the service writes it. @returns milliseconds since the epoch */
function timeOf(value: unknown): number | undefined {
  if (typeof value !== 'string' || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/.test(value))
    return undefined
  const time = Date.parse(value)
  return Number.isNaN(time) ? undefined : time
}
