import type { Packet } from './packet.js'
import { halfSipHash } from './siphash.js'

/**
 * What became of a block that was noted:
 * - `first`: the first of its kind; it is among the fresh ones
 * - `repeat`: its kind is known; it is summed
 * - `suppressed`: too many kinds in this window; it is counted, and nothing else is kept of it
 */
export type Noted = 'first' | 'repeat' | 'suppressed'

/** A kind of block: who was kept from reaching which address and port, by which reason. */
export interface Kind {
  readonly uid: number
  readonly family: Packet['family']
  readonly protocol: number
  readonly source: Uint32Array
  readonly sourcePort: number
  readonly destination: Uint32Array
  readonly destinationPort: number
  readonly reasonIndex: number
  /** The name that was asked for by the first of them, where that is why. */
  readonly question: string | undefined
  /** Blocks of this kind since it was last told of. */
  repeats: number
}

const KEY_WORDS = 7

/**
 * The kinds of blocks in a window of time, so that a flood becomes a few lines and a sum. Memory is bounded by
 * the number of kinds; no block is lost from the sum: first ones + repeats + suppressed = blocks.
 */
export class BlockKinds {
  /** Blocks that were only counted, since the last `turn`. */
  suppressed = 0
  readonly #capacity: number
  readonly #seed: Uint32Array
  /** Index of a kind plus one, by hash; 0 is empty. At most a quarter full. */
  readonly #slots: Int32Array
  readonly #keys: Uint32Array
  #kinds: Kind[] = []
  #fresh: Kind[] = []
  readonly #key = new Uint32Array(KEY_WORDS)

  /** @param capacity kinds in a window at most @param seed two random words: the sender chooses what is hashed */
  constructor(capacity: number, seed: Uint32Array) {
    this.#capacity = capacity
    this.#seed = seed
    this.#slots = new Int32Array(2 ** Math.ceil(Math.log2(capacity * 4)))
    this.#keys = new Uint32Array(capacity * KEY_WORDS)
  }

  /** @param questionOf is asked for the first of a kind only */
  note(
    packet: Packet,
    uid: number,
    reasonIndex: number,
    questionOf?: (packet: Packet) => string | undefined,
  ): Noted {
    const slot = this.#find(packet, uid, reasonIndex)
    const index = this.#slots[slot]! - 1
    if (index >= 0) {
      this.#kinds[index]!.repeats++
      return 'repeat'
    }
    if (this.#kinds.length >= this.#capacity) {
      this.suppressed++
      return 'suppressed'
    }
    this.#add(slot, kindOf(packet, uid, reasonIndex, questionOf?.(packet)))
    return 'first'
  }

  /** The kinds that are new since the last call. */
  takeFresh(): readonly Kind[] {
    if (this.#fresh.length === 0) return NONE
    const fresh = this.#fresh
    this.#fresh = []
    return fresh
  }

  /**
   * Ends the window. Kinds that were repeated in it are returned and stay known, so that what goes on and on
   * is told once a window; the others are forgotten.
   * @param tell called with each kind that has repeats, before they are set to 0
   * @returns blocks that were suppressed in the window
   */
  turn(tell: (kind: Kind) => void): number {
    const repeated = this.#kinds.filter((kind) => kind.repeats > 0)
    for (const kind of repeated) {
      tell(kind)
      kind.repeats = 0
    }
    this.#rebuild(repeated)
    const { suppressed } = this
    this.suppressed = 0
    return suppressed
  }

  #rebuild(kinds: readonly Kind[]): void {
    this.#slots.fill(0)
    this.#kinds = []
    for (const kind of kinds) {
      this.#setKey(kind, kind.uid, kind.reasonIndex)
      this.#place(this.#probe(), kind)
    }
  }

  #add(slot: number, kind: Kind): void {
    this.#place(slot, kind)
    this.#fresh.push(kind)
  }

  #place(slot: number, kind: Kind): void {
    this.#keys.set(this.#key, this.#kinds.length * KEY_WORDS)
    this.#kinds.push(kind)
    this.#slots[slot] = this.#kinds.length
  }

  #find(packet: Packet, uid: number, reasonIndex: number): number {
    this.#setKey(packet, uid, reasonIndex)
    return this.#probe()
  }

  /** The slot of the key, or the empty one where it belongs. */
  #probe(): number {
    const mask = this.#slots.length - 1
    let slot = halfSipHash(this.#seed, this.#key, KEY_WORDS, 0) & mask
    while (this.#slots[slot] !== 0 && !this.#matches(this.#slots[slot]! - 1)) slot = (slot + 1) & mask
    return slot
  }

  #matches(index: number): boolean {
    const at = index * KEY_WORDS
    for (let i = 0; i < KEY_WORDS; i++) if (this.#keys[at + i] !== this.#key[i]) return false
    return true
  }

  #setKey(
    of: Pick<Kind, 'family' | 'protocol' | 'destination' | 'destinationPort'>,
    uid: number,
    reason: number,
  ) {
    const key = this.#key
    key[0] = uid
    key[1] = of.destination[0]!
    key[2] = of.destination[1]!
    key[3] = of.destination[2]!
    key[4] = of.destination[3]!
    key[5] = of.destinationPort
    key[6] = of.family | (of.protocol << 8) | (reason << 16)
  }
}

const NONE: readonly Kind[] = []

function kindOf(packet: Packet, uid: number, reasonIndex: number, question: string | undefined): Kind {
  return {
    uid,
    family: packet.family,
    protocol: packet.protocol,
    source: packet.source.slice(),
    sourcePort: packet.sourcePort,
    destination: packet.destination.slice(),
    destinationPort: packet.destinationPort,
    reasonIndex,
    question,
    repeats: 0,
  }
}
