import { isHungUp } from 'node-netfilter-queue/system'
import { type BlockFilter, filterLines, type SelectedLine } from '../records/block-log/filter.js'
import { follow } from '../records/block-log/follow.js'
import { growingOf, RingBuffer, showAll, showLast } from '../records/block-log/last-lines.js'
import { closeFiles, type LogFile } from '../records/block-log/rotated-files.js'
import {
  firstSince,
  isStream,
  linesFrom,
  missing,
  openSource,
  type Source,
  sourceOf,
} from '../records/block-log/source.js'
import { Unreadable } from '../records/block-log/unreadable.js'
import { terminalSafeJson, terminalSafeLines } from '../text/terminal-safe.js'
import { SINCE_FORMS } from '../text/time-argument.js'
import { paintFor } from './colours.js'
import {
  type Command,
  configOrComplaint,
  has,
  type Invocation,
  note,
  optionOf,
  UsageError,
} from './command.js'
import { choiceOf, sinceOf, userOf } from './log-options.js'
import { TailText } from './tail-text.js'

const LINES = 10
const LINES_AT_MOST = 100_000
const LOOK_MS = 250

export const tail: Command = {
  name: 'tail',
  synopsis: '[OPTION]... [FILE|-]',
  summary: 'show the block log as it grows',
  details: `Shows a line for each event: time, block (or would, in mode observe), user,
unit/program, destination, reason, number of blocks. New events are shown as
they come, also after the log is rotated; Ctrl-C ends. With FILE it reads that
file, with - standard input.

  -n, --lines N      start with the last N events (${LINES}; with --since: all)
  --since T          only events since ${SINCE_FORMS}
  --user U           only events of this user, by name or number
  --unit X           only events of this systemd unit: nginx.service, or nginx
  --json             the lines of the log unchanged, for programs
  -f, --follow       show new events as they come (default)
  --no-follow        end after the last event`,
  examples: [
    'checkvalve tail',
    'checkvalve tail --since 2h --user www-data --no-follow',
    'journalctl -f -u checkvalve -o cat | checkvalve tail -',
  ],
  options: {
    lines: { type: 'string', short: 'n' },
    since: { type: 'string' },
    user: { type: 'string' },
    unit: { type: 'string' },
    json: { type: 'boolean' },
    follow: { type: 'boolean', short: 'f' },
    'no-follow': { type: 'boolean' },
  },
  words: 1,
  async run(given: Invocation): Promise<number> {
    const plan = planOf(given)
    const config = given.words.length === 0 ? configOrComplaint(given) : undefined
    if (given.words.length === 0 && config === undefined) return 1
    const source = sourceOf(given.words[0], () => config!.log.destination, 'tail')
    if (source.path === undefined || isStream(source.path)) await showStream(source, plan)
    else await showFile({ ...source, path: source.path }, plan)
    return 0
  },
}

interface Plan {
  readonly wanted: BlockFilter
  /** undefined: all. */
  readonly count: number | undefined
  readonly isFollowing: boolean
  /** See choiceOf. */
  readonly choice: string
  readonly show: (picked: readonly SelectedLine[]) => void
}

/** @throws UsageError */
function planOf(given: Invocation): Plan {
  const since = sinceOf(given, Date.now())
  const count = countOf(given)
  if (has(given, 'follow') && has(given, 'no-follow'))
    throw new UsageError('--follow and --no-follow exclude each other')
  return {
    wanted: { since: since ?? 0, user: userOf(given), unit: optionOf(given, 'unit') },
    count: count ?? (since === undefined && given.words[0] !== '-' ? LINES : undefined),
    isFollowing: !has(given, 'no-follow'),
    choice: choiceOf(given),
    show: has(given, 'json') ? showJson : shower(),
  }
}

function countOf(given: Invocation): number | undefined {
  const text = optionOf(given, 'lines')
  if (text === undefined) return undefined
  if (/^\d{1,6}$/.test(text) && Number(text) <= LINES_AT_MOST) return Number(text)
  throw new UsageError(`-n must be a number from 0 to ${LINES_AT_MOST}, not ${JSON.stringify(text)}`)
}

function shower(): Plan['show'] {
  const text = new TailText({
    paint: paintFor(process.stdout),
    width: process.stdout.isTTY ? process.stdout.columns : Number(process.env.COLUMNS) || undefined,
  })
  return (picked) => write(picked.map(({ line }) => text.lineOf(line)).join(''))
}

const showJson: Plan['show'] = (picked) =>
  write(picked.map(({ text }) => `${terminalSafeJson(text.trim())}\n`).join(''))

function write(text: string): void {
  if (text !== '') process.stdout.write(terminalSafeLines(text))
}

async function showStream(source: Source, { wanted, count, show }: Plan): Promise<void> {
  const unread = new Unreadable()
  const ring = new RingBuffer<SelectedLine>(count ?? 0)
  for await (const lines of linesFrom(source, wanted.since, unread)) {
    const picked = filterLines(lines, wanted, unread)
    if (count === undefined) show(picked)
    else ring.push(picked)
  }
  show(ring.items)
  note(unread.notes())
}

/** Notes that no event was found: an empty screen would leave that open. */
function noteEmpty(path: string, { count, choice, isFollowing }: Plan): void {
  if (count === 0) return
  const more = isFollowing ? '; waiting for new ones, Ctrl-C ends' : ''
  note([`no event in ${path}${choice}${more}`])
}

async function showFile(source: Source & { path: string }, plan: Plan): Promise<void> {
  const since = Date.now()
  const unread = new Unreadable()
  const place = await showBegin(source, plan, unread)
  note(unread.notes())
  if (!plan.isFollowing) return
  const onTrouble = (text: string) => void note([text])
  for await (const lines of follow({ path: source.path, position: place, since, pause, onTrouble })) {
    const unread = new Unreadable()
    plan.show(filterLines(lines, plan.wanted, unread))
    note(unread.notes())
  }
}

/** Shows the events that are in the log now. @returns the position to go on from */
async function showBegin(source: Source & { path: string }, plan: Plan, unread: Unreadable) {
  const { files, unread: texts } = await openSource(source)
  const growing = plan.isFollowing ? growingOf(files) : undefined
  try {
    if (files.length === 0) noteMissing(source.path, plan)
    for (const text of texts) unread.trouble(text)
    let isEmpty = true
    const showNoting = (picked: readonly SelectedLine[]) => {
      isEmpty &&= picked.length === 0
      plan.show(picked)
    }
    const end = await show(files, { ...plan, show: showNoting }, { wanted: plan.wanted, unread, growing })
    if (isEmpty && files.length > 0) noteEmpty(source.path, plan)
    return growing && { file: growing, end }
  } finally {
    await closeFiles(files.filter((file) => file !== growing))
  }
}

function noteMissing(path: string, { isFollowing }: Plan): void {
  if (!isFollowing) throw new Error(missing(path))
  note([missing(path), 'waiting for it'])
}

function show(
  files: readonly LogFile[],
  { wanted, count, show }: Plan,
  begin: Parameters<typeof showAll>[1],
) {
  const first = firstSince({ files, unread: [] }, wanted.since)
  const last = begin.growing === undefined ? first : Math.min(first, files.indexOf(begin.growing))
  const recent = files.slice(last)
  return count === undefined ? showAll(recent, begin, show) : showLast(recent, begin, count, show)
}

/** Waits before the next read of the log. @returns false when the reader of our output is gone (`| head`) */
async function pause(): Promise<boolean> {
  await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  return !isHungUp(process.stdout.fd)
}
