/** One line of the block log, read. Whoever writes there, or has edited it since: nothing in it is believed to be there. */

import { isIP } from 'node:net'
import { parseJson } from '../../text/json.js'

/**
 * What a line is, if it is no event:
 * - `too-long`: more than any event takes
 * - `cut-short`: it begins like one and does not end; the disk was full, or it is being written
 * - `not-json`: it is none, nor anything else in JSON
 * - `not-an-object`: JSON, but no event
 * - `no-time`, `no-action`, `no-reason`, `no-count`: that field is missing, or is nothing of its kind
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

/** Blocks of one kind, as one line tells of them. What is not known, or makes no sense, is undefined. */
export interface Block {
  readonly kind: 'block'
  /** Milliseconds since the epoch: when the line was made. */
  readonly time: number
  /** It was only reported: mode observe. */
  readonly isObserved: boolean
  readonly reason: string
  /** How many blocks the line stands for. */
  readonly repeat: number
  readonly sourcePort: number | undefined
  readonly address: string | undefined
  readonly port: number | undefined
  readonly domain: string | undefined
  /** The name that was asked for. */
  readonly question: string | undefined
  readonly transport: string | undefined
  readonly uid: number | undefined
  readonly user: string | undefined
  readonly unit: string | undefined
  readonly container: string | undefined
  /** The path of the program. */
  readonly program: string | undefined
  readonly pid: number | undefined
}

/** What the service says besides: both logs are one where they go to standard output. */
export interface Remark {
  readonly kind: 'remark'
  readonly time: number | undefined
  readonly level: string | undefined
  readonly message: string
}

export type Line = Block | Remark | { readonly kind: 'broken'; readonly why: Broken }

type Fields = Readonly<Record<string, unknown>>

/** More than the longest path and name, escaped: a line beyond it is not read. */
export const LINE_AT_MOST = 64 * 1024

/** Longer than any path (PATH_MAX, include/uapi/linux/limits.h). */
const TEXT_AT_MOST = 4096
const BLOCKS_AT_MOST = Number.MAX_SAFE_INTEGER

const broken = (why: Broken): Line => ({ kind: 'broken', why })

/** @param text without its line feed; undefined where it was too long to be kept @returns undefined for an empty line. Never throws. */
export function readLine(text: string | undefined): Line | undefined {
  if (text === undefined) return broken('too-long')
  const line = trimmed(text)
  if (line === '') return undefined
  const value = parseJson(line)
  if (value === undefined)
    return broken(line.startsWith('{') && !line.endsWith('}') ? 'cut-short' : 'not-json')
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return broken('not-an-object')
  const fields = value as Fields
  return fields['event.action'] === undefined ? remark(fields) : block(fields)
}

/** After a power cut a file may hold zeros where a line was to be, and the next line behind them. */
const trimmed = (text: string): string => (text.charCodeAt(0) === 0 ? text.replace(/^\0+/, '') : text).trim()

function remark(fields: Fields): Line {
  const message = textOf(fields.message)
  if (message === undefined || fields['event.module'] !== 'checkvalve') return broken('no-action')
  return { kind: 'remark', time: timeOf(fields['@timestamp']), level: textOf(fields['log.level']), message }
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
    ...where(fields),
    ...who(fields),
  }
}

const where = (fields: Fields) => ({
  sourcePort: portOf(fields['source.port']),
  address: addressOf(fields['destination.ip']),
  port: portOf(fields['destination.port']),
  domain: textOf(fields['destination.domain']),
  question: textOf(fields['dns.question.name']),
  transport: textOf(fields['network.transport']),
})

const who = (fields: Fields) => ({
  uid: uidOf(fields['user.id']),
  user: textOf(fields['user.name']),
  unit: textOf(fields['checkvalve.unit']),
  container: textOf(fields['container.id']),
  program: textOf(fields['process.executable']),
  pid: numberOf(fields['process.pid'], 1, 2 ** 31),
})

const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' && value.length <= TEXT_AT_MOST ? value : undefined

const numberOf = (value: unknown, least: number, most: number): number | undefined =>
  typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most ? value : undefined

const portOf = (value: unknown) => numberOf(value, 1, 65535)

const addressOf = (value: unknown) => (typeof value === 'string' && isIP(value) !== 0 ? value : undefined)

/** (uid_t)-1 is nobody. */
const uidOf = (value: unknown) =>
  typeof value === 'string' && /^\d{1,10}$/.test(value) ? numberOf(Number(value), 0, 0xfffffffe) : undefined

/** RFC 3339, as it is written by the service: in UTC. */
function timeOf(value: unknown): number | undefined {
  if (typeof value !== 'string' || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/.test(value))
    return undefined
  const time = Date.parse(value)
  return Number.isNaN(time) ? undefined : time
}
