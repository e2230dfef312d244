/** Formats `checkvalve status` in 80 columns, the most important first. */
import { readLine } from '../records/block-log/event-reader.js'
import type { Counted, Status, UserStatus } from '../telemetry/status.js'
import { terminalSafe } from '../text/terminal-safe.js'
import { type Colour, type Paint, plain } from './colours.js'
import { entriesLines } from './entries-text.js'
import { mirrorsText } from './mirrors-text.js'
import { unprovableText, unprovenText } from './proof-text.js'
import { TailText } from './tail-text.js'
import { grouped, labelled, span, WIDTH, wrap } from './terminal.js'

/** Width of the verdict in a table. */
const VERDICT = 12
/** Widths of the columns of a table. */
const NAME = 36
const NUMBER = 14
const WHEN = 16
/** Width of `18:36:03 `. */
const TIME = 9

export interface StatusView {
  /** Milliseconds since the epoch. */
  readonly now: number
  readonly paint?: Paint
  /** Whether long lists are shown whole. */
  readonly all?: boolean
}

export function statusText(status: Status, view: StatusView): string {
  const { now, paint = plain, all = false } = view
  const mirrors = mirrorsText(status.mirrors, now, all ? undefined : status.moreMirrors)
  const parts = [
    overview(status, now).flatMap((fact) => linesOf(fact, paint)),
    verdicts(status, paint),
    quarantine(status, now, paint),
    users(status, now, paint),
    lastBlocks(status, now, paint),
    entries(status, view),
    partsOf(status, now).flatMap((fact) => linesOf(fact, paint)),
    [paint('bold', 'MIRRORS'), mirrors.trimEnd()],
  ]
  return parts
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')
}

/** A line, or several where the text is long. Without a label it belongs to the one before. */
type Fact = readonly [label: string, text: string, colour?: Colour | undefined]

const linesOf = ([label, text, colour]: Fact, paint: Paint): string[] =>
  labelled(label, text, (line) => (colour === undefined ? line : paint(colour, line)))

/** The state of the service: mode, proof, last reload, notes. */
function overview(status: Status, now: number): Fact[] {
  const { mode, configuredMode, notes, version, started } = status
  const isObserving = mode === 'observe'
  return [
    ['checkvalve', `${version}, up ${span(now - Date.parse(started))}`],
    isObserving ? ['mode', 'observe: nothing is blocked, only recorded', 'yellow'] : ['mode', mode, 'green'],
    ...(configuredMode === undefined
      ? []
      : [
          [
            '',
            `until the next reload or restart: the configuration says ${configuredMode}`,
            'yellow',
          ] as const,
        ]),
    isObserving ? ['proven', 'not in mode observe'] : proof(status),
    ...reload(status, now),
    ...alerts(status),
    ...notes.map((note) => ['note', note, 'yellow'] as const),
  ]
}

function alerts({ quarantine }: Status): Fact[] {
  const count = quarantine?.alerts ?? 0
  if (count === 0) return []
  const times = count === 1 ? 'once' : `${grouped(count)} times`
  return [
    [
      'alerts',
      `${times} a user was blocked at many new destinations, as a worm is: \`checkvalve tail\` shows ALERT`,
      'red',
    ],
  ]
}

function proof(status: Status): Fact {
  const { proven } = status
  const unprovable = unprovableText(status)
  if (proven === false) return ['proven', `NO: ${unprovenText(status)}, see its log`, 'red']
  if (proven === undefined) return ['proven', unprovable ?? 'not yet']
  return ['proven', unprovable === undefined ? 'yes' : `yes; ${unprovable}`, 'green']
}

function reload({ reload: { at, takenAt, problems, needsRestart = [] } }: Status, now: number): Fact[] {
  const ago = (time: string) => `${span(now - Date.parse(time))} ago`
  const outcome: Fact[] =
    problems.length === 0
      ? [['reload', `the configuration was loaded ${ago(at)}`]]
      : [['reload', `REFUSED ${ago(at)}; the configuration loaded ${ago(takenAt)} is in force`, 'red']]
  return [
    ...outcome,
    ...problems.map((problem) => ['', problem, 'red'] as const),
    ...(needsRestart.length === 0
      ? []
      : [['', `needs a restart to take effect: ${needsRestart.join(', ')}`, 'yellow'] as const]),
  ]
}

/** The service's own proof comes last: it is of no use to an operator who looks for what is blocked. */
const isCanary = ({ reason }: Status['verdicts'][number]) => reason === 'canary'

const ORDER = ['block', 'would-block', 'accept']

function verdicts({ verdicts }: Status, paint: Paint): string[] {
  if (verdicts.length === 0) return [paint('bold', 'VERDICTS'), 'none yet']
  const sorted = verdicts.toSorted(
    (one, other) =>
      ORDER.indexOf(one.verdict) - ORDER.indexOf(other.verdict) ||
      Number(isCanary(one)) - Number(isCanary(other)) ||
      other.total - one.total,
  )
  const rows = sorted.map((each) => row(`${each.verdict.padEnd(VERDICT)}${each.reason}`, each, paint))
  return [header('VERDICTS', paint), ...rows]
}

function quarantine({ quarantine }: Status, now: number, paint: Paint): string[] {
  if (quarantine === undefined || quarantine.users.length === 0) return []
  const rows = quarantine.users.map(({ user, unit, until }) => {
    const who = unit === undefined ? user : `${user} and ${unit}`
    return `  ${terminalSafe(who)}: ${span(Date.parse(until) - now)} left, or \`checkvalve release ${terminalSafe(user)}\``
  })
  return [paint('bold', 'QUARANTINE'), ...rows.map((each) => paint('red', each))]
}

function users({ blockedUsers, mode }: Status, now: number, paint: Paint): string[] {
  if (blockedUsers.length === 0) return []
  const title = mode === 'observe' ? 'WOULD HAVE BEEN BLOCKED' : 'BLOCKED USERS'
  const rows = blockedUsers.map((each) => row(terminalSafe(each.user), each, paint) + when(each, now, paint))
  return [header(title, paint, 'when'), ...rows]
}

/** Formats how long a user's blocks have gone on, or how long ago the last one was. */
function when({ since, last, lastMinute }: UserStatus, now: number, paint: Paint): string {
  const from = (time: string) => span(now - Date.parse(time))
  return lastMinute > 0
    ? `for ${from(since)}`.padStart(WHEN)
    : paint('dim', `${from(last)} ago`.padStart(WHEN))
}

/** Wraps an event beside its time. */
function underTime(line: string): string[] {
  const time = line.slice(0, TIME)
  return wrap(line.slice(TIME), WIDTH - TIME).map((part, i) => (i === 0 ? time : ''.padEnd(TIME)) + part)
}

/** The last blocks, in the lines of `checkvalve tail`. */
function lastBlocks({ lastBlocks = [] }: Status, now: number, paint: Paint): string[] {
  const text = new TailText({ width: WIDTH, today: now })
  const lines = lastBlocks
    .map((each) => readLine(JSON.stringify(each)))
    .filter((line) => line?.kind === 'block')
    .flatMap((line) => text.lineOf(line).trimEnd().split('\n'))
    .flatMap(underTime)
  if (lines.length === 0) return []
  return [
    paint('bold', 'LAST BLOCKED, for each user and unit'),
    ...lines,
    paint('dim', 'all blocks: checkvalve tail; how to allow them: checkvalve suggest, explain'),
  ]
}

/** Runtime entries that are shown, so that the rest of the status stays on the screen. */
const ENTRIES = 5

function entries({ allow }: Status, { now, paint = plain, all }: StatusView): string[] {
  if (allow.length === 0) return []
  const shown = all ? allow : allow.slice(0, ENTRIES)
  const left = allow.length - shown.length
  const more = left === 0 ? [] : [paint('dim', `and ${left} more: checkvalve allow list`)]
  return [paint('bold', 'RUNTIME ENTRIES'), ...entriesLines(shown, now), ...more]
}

const header = (title: string, paint: Paint, when = '') =>
  paint(
    'bold',
    (
      title.padEnd(NAME) +
      'total'.padStart(NUMBER) +
      'last minute'.padStart(NUMBER) +
      when.padStart(WHEN)
    ).trimEnd(),
  )

function row(name: string, { total, lastMinute }: Counted, paint: Paint): string {
  const recent = grouped(lastMinute).padStart(NUMBER)
  const shown = name.slice(0, NAME).padEnd(NAME) + grouped(total).padStart(NUMBER)
  return shown + (lastMinute === 0 ? paint('dim', recent) : recent)
}

/** The state of the parts of the service. */
function partsOf(status: Status, now: number): Fact[] {
  const all = [...status.resolvers, ...(status.upstreams ?? [])]
  return [
    queue(status),
    ['kernel', kernelText(status)],
    ['sessions', sessionsText(status)],
    ...blockLog(status, now),
    all.length > 0
      ? ['resolvers', all.join(', ')]
      : ['resolvers', 'none: names cannot be looked up', 'yellow'],
    ...timeServersText(status),
  ]
}

/** Time servers that are shown: a pool has many names. */
const TIME_SERVERS = 8

function timeServersText({ timeServers }: Status): Fact[] {
  if (timeServers === undefined) return []
  if (timeServers.length === 0) return [['time', 'no time server is known: NTP is blocked', 'yellow']]
  const left = timeServers.length - TIME_SERVERS
  const shown = timeServers.slice(0, TIME_SERVERS).map((each) => terminalSafe(each))
  return [['time', shown.join(', ') + (left > 0 ? ` and ${left} more` : '')]]
}

function queue({ queue: { number, form, maxLength, waiting, dropped, userDropped } }: Status): Fact {
  const name = `${number} (${form} form)`
  if (waiting === undefined) return ['queue', `${name}: its counters cannot be read`]
  const lost = (dropped ?? 0) + (userDropped ?? 0)
  const text = `${name}: ${grouped(waiting)} of ${grouped(maxLength)} waiting, ${grouped(lost)} dropped`
  return ['queue', text, lost > 0 ? 'yellow' : undefined]
}

function kernelText({ kernel }: Status): string {
  if (kernel === undefined) return 'its counters cannot be read'
  const paths = Object.entries(kernel).filter(([, packets]) => packets > 0)
  const text = paths.map(([path, packets]) => `${path} ${grouped(packets)}`).join(', ')
  return text || 'no packet bypassed the service'
}

function sessionsText({ sessions }: Status): string {
  const { tcp, udp, capacity, evicted, tracked, trackedAtMost } = sessions
  const lost = evicted > 0 ? `, ${grouped(evicted)} evicted` : ''
  const known = `tcp ${grouped(tcp)}, udp ${grouped(udp)} of ${grouped(capacity)}${lost}`
  if (tracked === undefined) return known
  const limit = trackedAtMost ? ` of ${grouped(trackedAtMost)}` : ''
  return `${known}; the kernel tracks ${grouped(tracked)}${limit}`
}

function blockLog({ log }: Status, now: number): Fact[] {
  const { destination, told, summed, suppressed, dropped, trouble } = log
  const lost = dropped > 0 ? `; ${grouped(dropped)} lines lost` : ''
  const sums = `${grouped(summed)} in summaries, ${grouped(suppressed)} by user only`
  return [
    ['log', destination],
    ['', `${grouped(told)} blocks listed, ${sums}${lost}`, lost ? 'yellow' : undefined],
    ...(trouble
      ? [['', `${span(now - Date.parse(trouble.at))} ago: ${trouble.message}`, 'yellow'] as const]
      : []),
  ]
}
