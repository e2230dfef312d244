/** Who was blocked at many destinations in a short time: what a worm looks like, and what nobody wants to allow. */
import { LONGEST_WINDOW } from '../../core/record/summary-window.js'
import type { Block } from '../../records/block-log/event-reader.js'
import { whoKey } from './recorded-kinds.js'

export interface ScanOptions {
  /** So many different destinations ... */
  readonly destinations: number
  /** ... within so many seconds. */
  readonly window: number
}

export interface Scan {
  /** The most destinations within the window, ever, and when that was: milliseconds since the epoch. */
  readonly destinations: number
  readonly time: number
}

/**
 * A kind that goes on and on is told of in sums, which do not say when in their window. So a destination that was told of
 * shortly before says nothing of how fast somebody goes from one to the other.
 */
const SUMMED_MS = LONGEST_WINDOW + 60_000
const DESTINATIONS_AT_MOST = 65_536
/** So many addresses of each name are one destination: whoever wants to reach it may try them one after the other. */
const ADDRESSES_OF_NAME = 8
/**
 * And so many more of all names together: some have very many servers. Whoever has a name server of his own gets any addresses by
 * as many names as he likes, and the log tells of 128 first ones of a user at once: so what is beyond these counts one by one.
 */
const MORE_ADDRESSES = 24
const NAMES_AT_MOST = 2048
const WHOS_AT_MOST = 1024

interface Trace {
  /** When each destination was told of last, the longest ago first. */
  readonly told: Map<string, number>
  /** The first addresses of each name, the name that was told of first first. */
  readonly named: Map<string, Set<string | undefined>>
  /** What is left of MORE_ADDRESSES. */
  more: number
  /** The times of those that were new, as far back as the window goes. */
  readonly fresh: number[]
  destinations: number
  time: number
}

export class Scans {
  readonly #options: ScanOptions
  readonly #traces = new Map<string, Trace>()

  constructor(options: ScanOptions) {
    this.#options = options
  }

  /** In the order of the log. */
  note(block: Block): void {
    if (block.reason === 'suppressed') return
    const trace = this.#traceOf(whoKey(block))
    if (trace === undefined || !isFresh(trace, destinationOf(block, trace), block.time)) return
    const { fresh } = trace
    fresh.push(block.time)
    while (fresh[0]! <= block.time - this.#options.window * 1000) fresh.shift()
    if (fresh.length <= trace.destinations) return
    trace.destinations = fresh.length
    trace.time = block.time
  }

  /** By `whoKey`. */
  found(who: string): Scan | undefined {
    const trace = this.#traces.get(who)
    return trace !== undefined && trace.destinations >= this.#options.destinations ? trace : undefined
  }

  #traceOf(who: string): Trace | undefined {
    const known = this.#traces.get(who)
    if (known !== undefined || this.#traces.size >= WHOS_AT_MOST) return known
    const trace = {
      told: new Map(),
      named: new Map(),
      more: MORE_ADDRESSES,
      fresh: [],
      destinations: 0,
      time: 0,
    }
    this.#traces.set(who, trace)
    return trace
  }
}

function isFresh({ told }: Trace, destination: string, time: number): boolean {
  const before = told.get(destination)
  told.delete(destination)
  told.set(destination, time)
  if (told.size > DESTINATIONS_AT_MOST) told.delete(told.keys().next().value!)
  return before === undefined || time - before > SUMMED_MS
}

/** A name that was asked for is one; so are the addresses of one name, as long as they are not too many. */
function destinationOf({ question, domain, address, port, transport }: Block, trace: Trace): string {
  if (question !== undefined) return question
  const isNamed = domain !== undefined && isOneOf(trace, domain, address)
  return [isNamed ? domain : address, port, transport].join('\0')
}

function isOneOf(trace: Trace, name: string, address: string | undefined): boolean {
  const { named } = trace
  const addresses = named.get(name) ?? new Set()
  named.set(name, addresses)
  if (named.size > NAMES_AT_MOST) named.delete(named.keys().next().value!)
  if (addresses.has(address)) return true
  if (addresses.size >= ADDRESSES_OF_NAME) {
    if (trace.more === 0) return false
    trace.more--
  }
  addresses.add(address)
  return true
}
