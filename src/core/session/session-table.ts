/**
 * Holds the sessions of this host's clients, for packets of connections that conntrack no longer knows.
 *
 * Memory is fixed: 60 bytes a session, in two typed arrays that are zero when new, so that unused pages take
 * no memory. An entry has 13 words of 4 bytes, and 2 slots of 4 bytes in the hash table (load factor at most
 * 0.5, linear probing, deletion by shifting back, so that no tombstones pile up).
 */

import { halfSipHash } from '../bounded/siphash.js'
import { type Family, type IPPROTO_TCP, IPPROTO_UDP, type Words } from '../packet/ip.js'

export type SessionProtocol = typeof IPPROTO_TCP | typeof IPPROTO_UDP

/** Where a session is known from: the kernel's connection tracking, or the socket. */
export const SOURCES = ['conntrack', 'socket'] as const
export type Source = (typeof SOURCES)[number]

export interface SessionTableOptions {
  /** The maximum number of sessions: 1 to 100,000,000. */
  readonly capacity: number
  /** Seconds without a packet after which a session expires. */
  readonly tcpTimeout: number
  readonly udpTimeout: number
  /** 64 random bits in two words, new for every table and secret: clients choose what is hashed. */
  readonly seed: Uint32Array
}

const MAX_CAPACITY = 100_000_000

// An entry's words. The first nine are the key, of which IPv4 needs, sets and reads three only.
const LOCAL_HIGH = 0
const REMOTE_HIGH = 1
const PORTS = 2
const LOCAL_LOW = 3
const REMOTE_LOW = 6
/** Seconds, shifted by one: the lowest bit is the index of the source. */
const SEEN = 9
const OLDER = 10
const NEWER = 11
const HASH = 12
const ENTRY = 13

// The kind of a session takes the two lowest bits of its hash: comparing the hashes compares the kinds.
const KIND_UDP = 1
const KIND_IPV6 = 2
const KIND_MASK = 3

/**
 * A table of fixed size. Entries have numbers from 1; 0 means "none". Two lists, TCP and UDP, hold the
 * entries in the order of their last packet, so that the oldest is found at once, to expire or to be evicted.
 * `now` is in whole seconds of a monotonic clock; when it steps back, time is taken to stand still.
 */
export class SessionTable {
  readonly #capacity: number
  readonly #timeouts: readonly [number, number]
  readonly #seed: Uint32Array
  /** Entry numbers by hash. */
  readonly #slots: Uint32Array
  readonly #entries: Uint32Array
  /** The key of the current call, laid out as in an entry. */
  readonly #key = new Uint32Array(9)
  // Per list, TCP then UDP.
  readonly #oldest = new Uint32Array(2)
  readonly #newest = new Uint32Array(2)
  readonly #counts = new Uint32Array(2)
  /** Sessions per list that are known from a socket. */
  readonly #fromSocket = new Uint32Array(2)
  /** Entries that have ever been used; those after them have never been written. */
  #used = 0
  /** The first of the entries that were freed, chained by NEWER. */
  #free = 0
  #clock = 0
  #evicted = 0

  /** @throws RangeError when the capacity is out of range */
  constructor(options: SessionTableOptions) {
    const { capacity, tcpTimeout, udpTimeout, seed } = options
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > MAX_CAPACITY) {
      throw new RangeError(`session capacity must be 1 to ${MAX_CAPACITY}, not ${capacity}`)
    }
    this.#capacity = capacity
    this.#timeouts = [tcpTimeout, udpTimeout]
    this.#seed = seed.slice(0, 2)
    this.#slots = new Uint32Array(capacity * 2)
    this.#entries = new Uint32Array(capacity * ENTRY)
  }

  /** Sessions in the table, including those past their timeout that `expire` has not removed yet. */
  get size(): number {
    return this.#counts[0]! + this.#counts[1]!
  }

  /** Returns the number of sessions of a protocol that are known from a source. */
  sizeOf(protocol: SessionProtocol, source: Source): number {
    const list = protocol === IPPROTO_UDP ? 1 : 0
    const fromSocket = this.#fromSocket[list]!
    return source === 'socket' ? fromSocket : this.#counts[list]! - fromSocket
  }

  /** Sessions that were evicted before their timeout, since the start. */
  get evicted(): number {
    return this.#evicted
  }

  /** Bytes of all arrays. Pages that were never written take no memory. */
  get byteLength(): number {
    return this.#slots.byteLength + this.#entries.byteLength
  }

  /**
   * Notes a packet of a new or a known session. A full table drops a session past its timeout or, when there
   * is none, evicts the one longest without a packet (of a TCP and a UDP session of the same second, the UDP
   * one).
   */
  seen(
    family: Family,
    protocol: SessionProtocol,
    local: Words,
    localPort: number,
    remote: Words,
    remotePort: number,
    now: number,
    source: Source = 'conntrack',
  ): void {
    if (now > this.#clock) this.#clock = now
    const hash = this.#setKey(family, protocol, local, localPort, remote, remotePort)
    let entry = this.#find(hash)
    if (entry === 0) entry = this.#insert(hash)
    else this.#unlink(entry)
    this.#set(entry, SEEN, (this.#clock << 1) | (source === 'socket' ? 1 : 0))
    this.#append(entry)
  }

  /** Removes a session. @returns false when there was none */
  remove(
    family: Family,
    protocol: SessionProtocol,
    local: Words,
    localPort: number,
    remote: Words,
    remotePort: number,
  ): boolean {
    const entry = this.#find(this.#setKey(family, protocol, local, localPort, remote, remotePort))
    if (entry === 0) return false
    this.#drop(entry)
    return true
  }

  /**
   * Returns the seconds since a session was last seen; Infinity when there is no session within its timeout.
   * The look-up does not prolong the session.
   */
  silence(
    family: Family,
    protocol: SessionProtocol,
    local: Words,
    localPort: number,
    remote: Words,
    remotePort: number,
    now: number,
  ): number {
    const entry = this.#find(this.#setKey(family, protocol, local, localPort, remote, remotePort))
    if (entry === 0) return Number.POSITIVE_INFINITY
    const silence = Math.max(now, this.#clock) - this.#seen(entry)
    return silence < this.#timeouts[this.#listOf(entry)]! ? silence : Number.POSITIVE_INFINITY
  }

  /** Removes sessions past their timeout, UDP first, up to `limit`. @returns how many were removed */
  expire(now: number, limit: number): number {
    if (now > this.#clock) this.#clock = now
    const udp = this.#expireList(1, limit)
    return udp + this.#expireList(0, limit - udp)
  }

  /** Removes all sessions. `evicted` is not reset. */
  clear(): void {
    this.#slots.fill(0)
    this.#oldest.fill(0)
    this.#newest.fill(0)
    this.#counts.fill(0)
    this.#fromSocket.fill(0)
    this.#used = 0
    this.#free = 0
  }

  #get(entry: number, word: number): number {
    return this.#entries[(entry - 1) * ENTRY + word]!
  }

  #set(entry: number, word: number, value: number): void {
    this.#entries[(entry - 1) * ENTRY + word] = value
  }

  #expireList(list: 0 | 1, limit: number): number {
    let removed = 0
    for (; removed < limit; removed++) {
      const entry = this.#oldest[list]!
      if (entry === 0 || this.#clock - this.#seen(entry) < this.#timeouts[list]!) break
      this.#drop(entry)
    }
    return removed
  }

  #seen(entry: number): number {
    return this.#get(entry, SEEN) >>> 1
  }

  #listOf(entry: number): 0 | 1 {
    return (this.#get(entry, HASH) & KIND_UDP) === 0 ? 0 : 1
  }

  /** Writes the key to #key. @returns its hash, unsigned, with the kind of the session in the lowest bits */
  #setKey(
    family: Family,
    protocol: SessionProtocol,
    local: Words,
    localPort: number,
    remote: Words,
    remotePort: number,
  ): number {
    const key = this.#key
    const kind = (protocol === IPPROTO_UDP ? KIND_UDP : 0) | (family === 6 ? KIND_IPV6 : 0)
    key[LOCAL_HIGH] = local[0]!
    key[REMOTE_HIGH] = remote[0]!
    key[PORTS] = (localPort << 16) | remotePort
    if (family === 6) {
      for (let i = 0; i < 3; i++) {
        key[LOCAL_LOW + i] = local[i + 1]!
        key[REMOTE_LOW + i] = remote[i + 1]!
      }
    }
    return ((halfSipHash(this.#seed, key, keyLength(kind), kind) & ~KIND_MASK) | kind) >>> 0
  }

  /** Returns the first slot to try for a hash: the hash as a fraction of 2^32, times the number of slots. */
  #home(hash: number): number {
    return Math.floor((hash * this.#slots.length) / 0x100000000)
  }

  #next(slot: number): number {
    return slot + 1 === this.#slots.length ? 0 : slot + 1
  }

  /** Returns the entry whose key is #key, or 0. */
  #find(hash: number): number {
    const slots = this.#slots
    let slot = this.#home(hash)
    let entry = slots[slot]!
    while (entry !== 0 && !this.#matches(entry, hash)) {
      slot = this.#next(slot)
      entry = slots[slot]!
    }
    return entry
  }

  #matches(entry: number, hash: number): boolean {
    if (this.#get(entry, HASH) !== hash) return false
    for (let i = keyLength(hash & KIND_MASK) - 1; i >= 0; i--) {
      if (this.#get(entry, i) !== this.#key[i]!) return false
    }
    return true
  }

  /** Makes an entry for #key and puts it into a slot, but not into a list. */
  #insert(hash: number): number {
    const entry = this.#take()
    for (let i = keyLength(hash & KIND_MASK) - 1; i >= 0; i--) this.#set(entry, i, this.#key[i]!)
    this.#set(entry, HASH, hash)
    let slot = this.#home(hash)
    while (this.#slots[slot]! !== 0) slot = this.#next(slot)
    this.#slots[slot] = entry
    return entry
  }

  /** Returns an entry to fill: a freed one, an unused one, or that of an evicted session. */
  #take(): number {
    if (this.size === this.#capacity) this.#evict()
    if (this.#free === 0) return ++this.#used
    const entry = this.#free
    this.#free = this.#get(entry, NEWER)
    return entry
  }

  #evict(): void {
    if (this.expire(this.#clock, 1) === 1) return
    const tcp = this.#oldest[0]!
    const udp = this.#oldest[1]!
    this.#drop(udp === 0 || (tcp !== 0 && this.#seen(tcp) < this.#seen(udp)) ? tcp : udp)
    this.#evicted++
  }

  #drop(entry: number): void {
    let slot = this.#home(this.#get(entry, HASH))
    while (this.#slots[slot]! !== entry) slot = this.#next(slot)
    this.#closeGap(slot)
    this.#unlink(entry)
    this.#set(entry, NEWER, this.#free)
    this.#free = entry
  }

  /** Closes the gap at a freed slot: moves back the entries that were probed past it. */
  #closeGap(freed: number): void {
    const slots = this.#slots
    let gap = freed
    let slot = this.#next(gap)
    for (let entry = slots[slot]!; entry !== 0; entry = slots[slot]!) {
      const home = this.#home(this.#get(entry, HASH))
      if (this.#distance(home, slot) >= this.#distance(gap, slot)) {
        slots[gap] = entry
        gap = slot
      }
      slot = this.#next(slot)
    }
    slots[gap] = 0
  }

  #distance(from: number, to: number): number {
    return to >= from ? to - from : to - from + this.#slots.length
  }

  #append(entry: number): void {
    const list = this.#listOf(entry)
    const before = this.#newest[list]!
    this.#set(entry, OLDER, before)
    this.#set(entry, NEWER, 0)
    if (before === 0) this.#oldest[list] = entry
    else this.#set(before, NEWER, entry)
    this.#newest[list] = entry
    this.#counts[list]!++
    this.#fromSocket[list]! += this.#get(entry, SEEN) & 1
  }

  #unlink(entry: number): void {
    const list = this.#listOf(entry)
    const older = this.#get(entry, OLDER)
    const newer = this.#get(entry, NEWER)
    if (older === 0) this.#oldest[list] = newer
    else this.#set(older, NEWER, newer)
    if (newer === 0) this.#newest[list] = older
    else this.#set(newer, OLDER, older)
    this.#counts[list]!--
    this.#fromSocket[list]! -= this.#get(entry, SEEN) & 1
  }
}

function keyLength(kind: number): number {
  return (kind & KIND_IPV6) === 0 ? 3 : 9
}
