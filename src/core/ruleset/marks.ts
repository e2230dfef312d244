/**
 * Defines the packet mark and the connection mark, by which kernel and service exchange the state of a
 * packet. They use six adjacent bits (`firewall.mark.mask`): two of state, four of policy generation. All
 * other bits belong to other programs of this host and are never changed.
 */

/** States, in the upper two of the six bits. 0 means that the packet is not marked. */
const APPROVED = 1
const JUDGE = 2
const BLOCKED = 3

/** In the generation bits of a packet in state JUDGE: an earlier policy approved its connection. */
const KNOWN = 1
/** In the same bits: the packet goes to a resolver or comes from one. */
const NAMES = 2
/** In the same bits, beside NAMES: connection tracking takes the packet for a reply. */
const REPLY = 4
/** In the same bits: the packet has a source address that is not this host's. */
const FOREIGN = 8
/** In the generation bits of a packet without a state: it must not leave this host. */
const STAYING = 1
/** In the generation bits of a packet in state BLOCKED: it is dropped, since a refusal would answer its source. */
const SILENTLY = 1
/** In the same bits: the kernel refuses the next ones like it itself, for a second. */
const REPEATABLE = 2

/** Generations count from 1 to 15 and start over; 0 is the one of an approval that is not remembered. */
export const GENERATIONS = 15
export const ONCE = 0

/** The values of one mask, already shifted to their place in the 32 bits. */
export interface Marks {
  readonly mask: number
  /** The two bits of state. */
  readonly stateMask: number
  readonly judge: number
  /** Set beside `judge` on a packet whose connection an earlier policy approved. */
  readonly known: number
  /** Set beside `judge` on a packet to or from a resolver, which has a queue of its own. */
  readonly names: number
  /** Set beside `names` on a packet that connection tracking takes for a reply. */
  readonly reply: number
  /** Set beside `judge` on a packet whose source address is not this host's. */
  readonly foreign: number
  /** Set on a packet to this host by another device than lo: whether it stays here is known after the last hook. */
  readonly staying: number
  readonly blocked: number
  /** Blocked, and not answered by a refusal. */
  readonly dropped: number
  /** Blocked, and for a second each packet of the same user to the same protocol, address and port, too. */
  readonly repeatable: number
  /** Approved in any generation: compare under `stateMask`. */
  readonly approved: number
  /** Approved for this packet only: the connection is judged again. */
  readonly approvedOnce: number
  /** Approved in the current generation: remembered in the connection's mark. */
  readonly approvedNow: number
  /** Approved in the generation before: the packet was judged just before the current one came into force. */
  readonly approvedBefore: number
}

/** Returns the values of a mask. @param mask six adjacent bits @param generation 1 to 15 */
export function marksOf(mask: number, generation: number): Marks {
  const lowest = mask & -mask
  const at = (state: number, low: number) => ((state * 16 + low) * (lowest >>> 0)) >>> 0
  return {
    mask: mask >>> 0,
    stateMask: at(3, 0),
    judge: at(JUDGE, 0),
    known: at(0, KNOWN),
    names: at(0, NAMES),
    reply: at(0, REPLY),
    foreign: at(0, FOREIGN),
    staying: at(0, STAYING),
    blocked: at(BLOCKED, 0),
    dropped: at(BLOCKED, SILENTLY),
    repeatable: at(BLOCKED, REPEATABLE),
    approved: at(APPROVED, 0),
    approvedOnce: at(APPROVED, ONCE),
    approvedNow: at(APPROVED, generation),
    approvedBefore: at(APPROVED, previousGeneration(generation)),
  }
}

/** Returns the generation after this one; 1 after 15. */
export const nextGeneration = (generation: number): number => (generation % GENERATIONS) + 1

const previousGeneration = (generation: number): number => ((generation + GENERATIONS - 2) % GENERATIONS) + 1
