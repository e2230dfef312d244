import { KeyTable } from '../bounded/key-table.js'
import type { Packet } from '../packet/packet.js'
import type { SenderDetails, SenderLookup } from '../packet/sender.js'
import type { Decision } from '../policy/policy.js'
import { SummaryWindow } from './summary-window.js'
import { type Bounds, LineBudget, PARTS, type UserQuota, UserQuotas } from './user-shares.js'

/** Names in the first block of a kind. */
export interface Names {
  /** That it asked for, where that is why. */
  readonly question: string | undefined
  /** By which its destination was found. */
  readonly domain: string | undefined
}

/** A kind of block: who was kept, from where, from reaching which address and port, by which reason. */
export interface Kind {
  readonly uid: number
  /** See Attributed. */
  readonly place: number
  readonly family: Packet['family']
  readonly protocol: number
  readonly source: Uint32Array
  readonly sourcePort: number
  readonly destination: Uint32Array
  readonly destinationPort: number
  readonly reasonIndex: number
  readonly rule: string | undefined
  readonly names: Names
  /** Who has sent the first of them. */
  readonly who: SenderDetails
}

/**
 * What the log is to say of blocks:
 * - `first`: of the first one of a kind
 * - `sum`: of its repeats in the last `ms` milliseconds
 * - `suppressed`: of those of a user in that time that had no place; without a uid, of those of all further users
 */
export type Telling =
  | { readonly what: 'first'; readonly kind: Kind; readonly blocks: 1 }
  | { readonly what: 'sum'; readonly kind: Kind; readonly blocks: number; readonly ms: number }
  | {
      readonly what: 'suppressed'
      readonly uid: number | undefined
      readonly blocks: number
      readonly ms: number
    }

/** A kind that is known, whose share it takes up, and its repeats. */
interface Known {
  readonly kind: Kind
  readonly share: UserQuota
  readonly sum: SummaryWindow
}

const KEY_WORDS = 8
/** Those of IPv4: of an address it has only the first word. */
const KEY_WORDS_4 = 5

/**
 * The kinds of blocks that the log knows at a time, so that a flood becomes a few lines and sums. Whoever floods bounds
 * neither memory nor lines, nor hides others: all is bounded by user, too. No block is lost from the sum:
 * `told` + `summed` + `suppressed` are the blocks that were noted, at any moment.
 */
export class BlockAggregator {
  /** Blocks that are told one by one. */
  told = 0
  /** Blocks that are told in the sum of their kind. */
  summed = 0
  /** Blocks of which nothing is told but the sum of their user. */
  suppressed = 0
  readonly #bounds: Bounds
  readonly #lines: LineBudget
  readonly #shares: UserQuotas
  readonly #table: KeyTable
  #known: Known[] = []
  #tellings: Telling[] = []
  #now: number
  readonly #namesOf: (packet: Packet, decision: Decision, uid: number) => Names

  /**
   * @param seed two random words: the sender chooses what is hashed
   * @param now milliseconds, of any clock that never goes back
   * @param namesOf is asked for the first of a kind only
   */
  constructor(
    bounds: Bounds,
    seed: Uint32Array,
    now: number,
    namesOf: (packet: Packet, decision: Decision, uid: number) => Names,
  ) {
    this.#bounds = bounds
    this.#namesOf = namesOf
    this.#lines = new LineBudget(bounds.lines, bounds.linesPerSecond, now)
    this.#shares = new UserQuotas(bounds, now)
    this.#table = new KeyTable(bounds.kinds, KEY_WORDS, seed)
    this.#now = now
  }

  /** For the packet path: what costs something is done for the first of a kind only. Where that throws, nothing was counted. */
  note(packet: Packet, uid: number, decision: Decision, attributed: SenderLookup): void {
    const { place } = attributed
    const index = this.#find(packet, uid, place, decision.reasonIndex)
    if (index >= 0) {
      this.#known[index]!.sum.blocks++
      this.summed++
      return
    }
    const share = this.#shares.of(uid, this.#now)
    if (this.#mayLog(share, 'firsts'))
      this.#add(packet, share, {
        ...fieldsOf(packet),
        uid,
        place,
        reasonIndex: decision.reasonIndex,
        rule: decision.rule?.spec.name,
        names: this.#namesOf(packet, decision, uid),
        who: attributed.describe(),
      })
    else this.#suppress(share)
  }

  /** What is to be said since the last call. */
  take(): readonly Telling[] {
    if (this.#tellings.length === 0) return NONE
    const tellings = this.#tellings
    this.#tellings = []
    return tellings
  }

  /**
   * Time has gone by: tells the sums whose windows are over, and forgets kinds that were not repeated in theirs. A sum for
   * which there is no line left waits, and grows.
   */
  tick(now: number): void {
    this.#now = now
    this.#shares.forgetIdle(now)
    const forgotten = new Set<Known>()
    for (const { sum, share, known } of this.#due()) {
      if (sum.blocks === 0) {
        if (known) forgotten.add(known)
        else share.suppressed = undefined
      } else if (this.#mayLog(share, 'summaries')) this.#tell(sum, share, known)
    }
    this.#forget(forgotten)
  }

  /** Tells everything that was not told yet, and forgets all kinds: blocks are of another nature from now on, or there are no more. */
  end(): void {
    for (const known of this.#known) if (known.sum.blocks > 0) this.#tell(known.sum, known.share, known)
    for (const share of this.#shares) {
      if (share.suppressed?.blocks) this.#tell(share.suppressed, share)
      share.suppressed = undefined
    }
    this.#forget(new Set(this.#known))
  }

  /** Sums at the end of their window; who waits longest comes first. */
  #due(): { sum: SummaryWindow; share: UserQuota; known?: Known }[] {
    const due: { sum: SummaryWindow; share: UserQuota; known?: Known }[] = []
    for (const known of this.#known)
      if (known.sum.end <= this.#now) due.push({ sum: known.sum, share: known.share, known })
    for (const share of this.#shares)
      if (share.suppressed && share.suppressed.end <= this.#now) due.push({ sum: share.suppressed, share })
    return due.sort((a, b) => a.sum.end - b.sum.end)
  }

  /** Whether the user and all users together have a line left. */
  #mayLog({ lines }: UserQuota, sort: 'firsts' | 'summaries'): boolean {
    return lines[sort].available(this.#now) >= 1 && this.#lines[sort].available(this.#now) >= 1
  }

  #tell(sum: SummaryWindow, share: UserQuota, known?: Known): void {
    const told = { blocks: sum.blocks, ms: sum.age(this.#now) }
    if (known) this.#tellings.push({ what: 'sum', kind: known.kind, ...told })
    else this.#tellings.push({ what: 'suppressed', uid: share.uid, ...told })
    share.lines.summaries.take(1)
    this.#lines.summaries.take(1)
    sum.next(this.#now)
  }

  #suppress(share: UserQuota): void {
    share.suppressed ??= new SummaryWindow(this.#now)
    share.suppressed.blocks++
    this.suppressed++
  }

  #add(packet: Packet, share: UserQuota, kind: Kind): void {
    if (this.#makeRoom(share)) this.#find(packet, kind.uid, kind.place, kind.reasonIndex)
    this.#table.add()
    this.#known.push({ kind, share, sum: new SummaryWindow(this.#now) })
    this.#tellings.push({ what: 'first', kind, blocks: 1 })
    share.lines.firsts.take(1)
    this.#lines.firsts.take(1)
    share.kinds++
    this.told++
  }

  /**
   * Of a user who has used up the share, or of the one who has most, the kind goes that is repeated least: it was told of.
   * @returns whether one had to
   */
  #makeRoom(share: UserQuota): boolean {
    const exhausted = share.kinds >= this.#bounds.kinds / PARTS
    if (!exhausted && this.#known.length < this.#bounds.kinds) return false
    const holder = exhausted ? share : this.#shares.fullest()
    const victim = this.#known
      .filter((known) => known.share === holder)
      .reduce((least, known) => (known.sum.blocks < least.sum.blocks ? known : least))
    if (victim.sum.blocks > 0) this.#tell(victim.sum, holder, victim)
    this.#forget(new Set([victim]))
    return true
  }

  #forget(kinds: ReadonlySet<Known>): void {
    if (kinds.size === 0) return
    for (const { share } of kinds) share.kinds--
    this.#table.keep((index) => !kinds.has(this.#known[index]!))
    this.#known = this.#known.filter((known) => !kinds.has(known))
  }

  #find(packet: Packet, uid: number, place: number, reason: number): number {
    const { key } = this.#table
    const { destination, family } = packet
    key[0] = family | (packet.protocol << 8) | (reason << 16)
    key[1] = uid
    key[2] = place
    key[3] = packet.destinationPort
    key[4] = destination[0]!
    key[5] = destination[1]!
    key[6] = destination[2]!
    key[7] = destination[3]!
    return this.#table.find(family === 4 ? KEY_WORDS_4 : KEY_WORDS)
  }
}

const NONE: readonly Telling[] = []

/** The packet is written over by the next one. */
const fieldsOf = ({ family, protocol, source, sourcePort, destination, destinationPort }: Packet) => ({
  family,
  protocol,
  source: source.slice(),
  sourcePort,
  destination: destination.slice(),
  destinationPort,
})
