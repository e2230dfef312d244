import { LONGEST_WINDOW } from './summary-window.js'

/** What makes a scan. */
export interface ScanLimits {
  /** Number of different destinations ... */
  readonly destinations: number
  /** ... within this number of seconds. */
  readonly window: number
}

/** Where a blocked packet was to go. */
export interface Contact {
  readonly address: string | undefined
  readonly port: number | undefined
  /** The name by which the sender found the address. */
  readonly domain: string | undefined
  /** The name in a DNS query. */
  readonly question: string | undefined
}

/**
 * Repeated blocks of a kind are logged in summaries, which do not say when in their window each block was. So
 * a destination that was noted this short before does not count as new; nor does that of a program that tries again each
 * minute.
 */
const KNOWN_MS = LONGEST_WINDOW + 60_000
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

/**
 * Counts the first contacts of one sender in a sliding window: destinations that it was not blocked at before. A worm
 * makes many. A program that tries again and again makes one, over IPv4 and IPv6, by TCP and QUIC.
 */
export class FirstContacts {
  /** The highest number of first contacts within a window, and its time. */
  most = 0
  mostAt = 0
  readonly #window: number
  readonly #memory: number
  /** Time of the last block at each destination, the oldest first. */
  readonly #known = new Map<string, number>()
  /** The first addresses of each name, the oldest name first. */
  readonly #named = new Map<string, Set<string | undefined>>()
  /** The rest of MORE_ADDRESSES. */
  #more = MORE_ADDRESSES
  /** Times of first contacts within the window. */
  #recent: number[] = []

  /** @param window seconds @param memory destinations that are remembered at most */
  constructor(window: number, memory: number) {
    this.#window = window * 1000
    this.#memory = memory
  }

  /** Notes a block. @param time milliseconds @returns the first contacts within the window; 0: this is none */
  note(contact: Contact, time: number): number {
    if (!this.#isFirst(this.#destinationOf(contact), time)) return 0
    const recent = this.#recent
    recent.push(time)
    while (recent[0]! <= time - this.#window) recent.shift()
    if (recent.length > this.most) {
      this.most = recent.length
      this.mostAt = time
    }
    return recent.length
  }

  /** The first contacts within the window that ended with the last one. */
  get current(): number {
    return this.#recent.length
  }

  /** Begins a new count. The destinations stay known. */
  restart(): void {
    this.#recent = []
  }

  #isFirst(destination: string, time: number): boolean {
    const before = this.#known.get(destination)
    this.#known.delete(destination)
    this.#known.set(destination, time)
    if (this.#known.size > this.#memory) this.#known.delete(this.#known.keys().next().value!)
    return before === undefined || time - before > KNOWN_MS
  }

  /**
   * Makes a key of a destination: the name in a DNS query, or the name of an address within the limits above,
   * or the address.
   */
  #destinationOf({ question, domain, address, port }: Contact): string {
    if (question !== undefined) return question
    const isNamed = domain !== undefined && this.#isOneOf(domain, address)
    return `${isNamed ? domain : address} ${port}`
  }

  #isOneOf(name: string, address: string | undefined): boolean {
    const addresses = this.#named.get(name) ?? new Set()
    this.#named.set(name, addresses)
    if (this.#named.size > NAMES_AT_MOST) this.#named.delete(this.#named.keys().next().value!)
    if (addresses.has(address)) return true
    if (addresses.size >= ADDRESSES_OF_NAME) {
      if (this.#more === 0) return false
      this.#more--
    }
    addresses.add(address)
    return true
  }
}
