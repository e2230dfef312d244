/**
 * Detects senders that were blocked at many destinations in a short time: they look like a worm, and must not
 * be allowed.
 */
import { LONGEST_WINDOW } from '../../core/record/summary-window.js'
import type { Block } from '../../records/block-log/event-reader.js'
import { whoKey } from './recorded-kinds.js'

export interface ScanOptions {
  /** Number of different destinations that makes a scan ... */
  readonly destinations: number
  /** ... within this number of seconds. */
  readonly window: number
}

export interface Scan {
  /** The highest number of destinations within a window, and its time in milliseconds since the epoch. */
  readonly destinations: number
  readonly time: number
}

/**
 * Repeated blocks of a kind are logged in summaries, which do not say when in their window each block was. So
 * a destination that was logged this short before does not count as new.
 */
const SUMMED_MS = LONGEST_WINDOW + 60_000
const DESTINATIONS_AT_MOST = 65_536
/**
 * Number of addresses of a name that count as one destination: a program may try them one after the other.
 */
const ADDRESSES_OF_NAME = 8
/**
 * Number of further addresses, of all names together, that count so: some names have very many servers. An
 * attacker with a name server gets any addresses by any number of names, and the log has up to 128 first
 * blocks of a user at once: so addresses beyond this number count one by one.
 */
const MORE_ADDRESSES = 24
const NAMES_AT_MOST = 2048
const WHOS_AT_MOST = 1024

interface Trace {
  /** Time of the last log line about each destination, the oldest first. */
  readonly logged: Map<string, number>
  /** The first addresses of each name, the oldest name first. */
  readonly named: Map<string, Set<string | undefined>>
  /** The rest of MORE_ADDRESSES. */
  more: number
  /** Times of new destinations within the window. */
  readonly fresh: number[]
  destinations: number
  time: number
}

/** Finds scans in the blocks of a log. */
export class Scans {
  readonly #options: ScanOptions
  readonly #traces = new Map<string, Trace>()

  constructor(options: ScanOptions) {
    this.#options = options
  }

  /** Notes a block. Blocks must come in the order of the log. */
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

  /** Returns the scan of a sender, or undefined. @param who key of `whoKey` */
  found(who: string): Scan | undefined {
    const trace = this.#traces.get(who)
    return trace !== undefined && trace.destinations >= this.#options.destinations ? trace : undefined
  }

  #traceOf(who: string): Trace | undefined {
    const known = this.#traces.get(who)
    if (known !== undefined || this.#traces.size >= WHOS_AT_MOST) return known
    const trace = {
      logged: new Map(),
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

function isFresh({ logged }: Trace, destination: string, time: number): boolean {
  const before = logged.get(destination)
  logged.delete(destination)
  logged.set(destination, time)
  if (logged.size > DESTINATIONS_AT_MOST) logged.delete(logged.keys().next().value!)
  return before === undefined || time - before > SUMMED_MS
}

/**
 * Makes a key of a destination: the name in a DNS query, or the name of an address within the limits above,
 * or the address.
 */
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
