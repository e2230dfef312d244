/**
 * The packet mark and the connection mark, where kernel and service tell each other of a packet.
 * They use six adjacent bits (`firewall.mark.mask`): two of state, four of policy generation; all other
 * bits belong to whoever else sets marks on this host and are never touched.
 */

/** States, in the upper two of the six bits. 0 is: not ours. */
const APPROVED = 1
const JUDGE = 2
const BLOCKED = 3

/** In a judged packet's generation bits: its connection was approved by an earlier policy. */
const KNOWN = 1
/** The same bits: it speaks with a resolver. */
const NAMES = 2
/** And beside that: connection tracking takes it for a reply. */
const REPLY = 4

/** Generations run from 1 to 15 and start over; 0 stands for an approval that is not remembered. */
export const GENERATIONS = 15
export const ONCE = 0

/** The values of one mask, each already at its place in the 32 bits. */
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
  readonly blocked: number
  /** Approved, in any generation: compare under `stateMask`. */
  readonly approved: number
  /** This packet only: the connection is judged again. */
  readonly approvedOnce: number
  /** Approved in the current generation: remembered in the connection's mark. */
  readonly approvedNow: number
  /** The same in the one before: the packet was judged when the current one was about to come into force. */
  readonly approvedBefore: number
}

/** @param mask six adjacent bits @param generation 1 to 15 */
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
    blocked: at(BLOCKED, 0),
    approved: at(APPROVED, 0),
    approvedOnce: at(APPROVED, ONCE),
    approvedNow: at(APPROVED, generation),
    approvedBefore: at(APPROVED, previousGeneration(generation)),
  }
}

export const nextGeneration = (generation: number): number => (generation % GENERATIONS) + 1

const previousGeneration = (generation: number): number => ((generation + GENERATIONS - 2) % GENERATIONS) + 1
