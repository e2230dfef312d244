/** Formats events of the block log for an operator: a line each, in 80 columns as far as the text fits. */
import { type AlertLine, type Block, isUserSummary, type Remark } from '../records/block-log/event-reader.js'
import { terminalSafe, terminalSafeWord } from '../text/terminal-safe.js'
import { type Paint, plain } from './colours.js'

/** Widths of columns: `18:36:03 block `, then the sender, then the destination. */
const TIME_WIDTH = 8
const ACTION_WIDTH = 5
const WHO_WIDTH = 18
const WHERE_WIDTH = 24
/** Letters of a program's name that are kept when it is cut. */
const PROGRAM_AT_LEAST = 3

/** A container id, as its tools show it. */
const CONTAINER_LETTERS = 12

export interface TextOptions {
  readonly paint?: Paint
  /** Columns; undefined: no limit. */
  readonly width?: number | undefined
  /** Milliseconds since the epoch. Events of that day are shown without a line for the day. */
  readonly today?: number
}

/** Formats lines one after the other, with a line for the day whenever it changes. */
export class TailText {
  readonly #paint: Paint
  readonly #width: number
  #day = ''

  constructor({ paint = plain, width = Number.POSITIVE_INFINITY, today }: TextOptions = {}) {
    this.#paint = paint
    this.#width = width
    if (today !== undefined) this.#day = dayOf(new Date(today))
  }

  /** @returns the line with its line feed, after a line for the day if it changed */
  lineOf(line: Block | AlertLine | Remark): string {
    const text = this.#textOf(line)
    return `${this.#newDay(line.time)}${text}\n`
  }

  #textOf(line: Block | AlertLine | Remark): string {
    if (line.kind === 'block') return this.#block(line)
    return line.kind === 'alert' ? this.#alert(line) : this.#remark(line)
  }

  #alert({ time, action, message }: AlertLine): string {
    const colour = action === 'alert' ? 'red' : 'yellow'
    const start = `${clockOf(new Date(time))} ${this.#paint(colour, 'ALERT')} `
    return `${start}${this.#paint('bold', terminalSafe(message.replace(/^ALERT: /, '')))}`
  }

  #newDay(time: number | undefined): string {
    const day = time === undefined ? this.#day : dayOf(new Date(time))
    if (day === this.#day) return ''
    this.#day = day
    return `${this.#paint('dim', `-- ${day}`)}\n`
  }

  #remark({ time, level, message }: Remark): string {
    const clock = time === undefined ? ''.padEnd(TIME_WIDTH) : clockOf(new Date(time))
    return this.#paint(
      'dim',
      `${clock} ${terminalSafeWord(level ?? 'info').padEnd(ACTION_WIDTH)} ${terminalSafe(message)}`,
    )
  }

  #block(block: Block): string {
    const start = `${clockOf(new Date(block.time))} `
    const times = block.repeat > 1 ? ` x${block.repeat}` : ''
    const reason = terminalSafeWord(block.reason)
    const room = this.#width - start.length - ACTION_WIDTH - 1 - 1 - reason.length - times.length
    const places = placesText(block, room)
    const more = moreText(block)
    const fits = more !== '' && places.length + 1 + more.length <= room
    const action = block.isObserved ? this.#paint('yellow', 'would') : this.#paint('red', 'block')
    const end = `${this.#paint('dim', reason)}${this.#paint('bold', times)}${fits ? this.#paint('dim', ` ${more}`) : ''}`
    // Without this line break a terminal would break the line within a word.
    const gap = places.length > room ? `\n${''.padEnd(start.length + ACTION_WIDTH + 1)}` : ' '
    return `${start}${action} ${places}${gap}${end}`
  }
}

/** Formats sender and destination. Cuts the name of the program when that keeps the event on one line. */
function placesText(block: Block, room: number): string {
  const [who, where] = [whoText(block), whereText(block)]
  const excess = who.length + 1 + where.length - room
  const spare = block.program === undefined ? 0 : who.length - who.lastIndexOf('/') - 1 - PROGRAM_AT_LEAST
  const cut = excess > 0 && excess < spare ? `${who.slice(0, -excess - 1)}~` : who
  return `${cut.padEnd(WHO_WIDTH)} ${where}`.padEnd(Math.min(WHO_WIDTH + 1 + WHERE_WIDTH, room))
}

/**
 * Formats the user with what is known of unit, container and program: `www-data nginx/curl`. What is not
 * known is a `?`: `www-data ?`, and so is what is not certain: `www-data nginx/curl?`.
 */
export function whoText({ uid, user, unit, container, program, units, ...more }: Who): string {
  const name = user ?? (uid === undefined ? '-' : String(uid))
  const one = unit ?? (units?.length ? units.map(short).join(',') : undefined)
  const unknown = more.isUnitUnknown && uid !== undefined ? '?' : undefined
  const place = one === undefined ? (container?.slice(0, CONTAINER_LETTERS) ?? unknown) : short(one)
  const [candidate] = more.candidates ?? []
  const file = program?.slice(program.lastIndexOf('/') + 1) ?? (candidate && `${candidate}?`)
  const rest = [place ?? (file === undefined ? undefined : '-'), file].filter((each) => each !== undefined)
  return [name, rest.join('/')]
    .filter((each) => each !== '')
    .map(terminalSafeWord)
    .join(' ')
}

const short = (unit: string) => unit.replace(/\.service$/, '')

type Who = Pick<Block, 'uid' | 'user'> &
  Partial<Pick<Block, 'unit' | 'container' | 'program' | 'isUnitUnknown' | 'candidates' | 'units'>>
type Where = Pick<Block, 'reason' | 'address' | 'port' | 'domain' | 'question' | 'transport'>

/**
 * Formats the destination: its name if known, else its address; for a blocked DNS query the name in the
 * query.
 */
export function whereText(block: Where): string {
  if (block.reason === 'suppressed') return 'too many to list'
  if (isUserSummary(block)) return 'refused by the kernel'
  if (block.question !== undefined) return `${terminalSafeWord(block.question)}?`
  return endpointText(block, block.domain ?? block.address)
}

/** Formats an endpoint: `api.example.org:443/tcp`, `[2001:db8::2]:443/tcp`, `198.51.100.2/icmp`. */
function endpointText({ port, transport }: Where, host = '-'): string {
  const name = terminalSafeWord(host)
  const bracketed = port !== undefined && name.includes(':') ? `[${name}]` : name
  return `${bracketed}${port === undefined ? '' : `:${port}`}${transport === undefined ? '' : `/${terminalSafeWord(transport)}`}`
}

/** Returns the address when `whereText` shows a name instead. */
function moreText(block: Block): string {
  if (block.address === undefined) return ''
  if (block.question !== undefined) return endpointText(block, block.address)
  return block.domain === undefined ? '' : block.address
}

const two = (number: number) => String(number).padStart(2, '0')
const clockOf = (time: Date) => [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(':')
const dayOf = (time: Date) => `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`
