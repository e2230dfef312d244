import { KeyTable } from '../bounded/key-table.js'
import { hashText } from '../bounded/siphash.js'
import type { Packet } from '../packet/packet.js'
import type { SenderDetails, SenderLookup } from '../packet/sender.js'
import type { Decision } from '../policy/rule.js'
import { SummaryWindow } from './summary-window.js'
import { LineBudget, PARTS, type RecordLimits, type UserQuota, UserQuotas } from './user-shares.js'

/** Names in the first block event of a group. */
export interface BlockNames {
  /** The name that the packet asked a resolver for, when that is the reason of the block. */
  readonly question: string | undefined
  /** The name by which the user found the destination. */
  readonly domain: string | undefined
}

/** Blocks of one user and unit to one destination address, protocol and port for one reason, or of queries for one name. */
export interface BlockGroup {
  /** User id, or -1 for a packet without a user. */
  readonly uid: number
  /** The number of unit and container: see SenderLookup. */
  readonly place: number
  readonly family: Packet['family']
  readonly protocol: number
  readonly source: Uint32Array
  readonly sourcePort: number
  readonly destination: Uint32Array
  readonly destinationPort: number
  /** Index in REASONS. */
  readonly reasonIndex: number
  readonly rule: string | undefined
  readonly names: BlockNames
  /** The sender of the first packet. */
  readonly who: SenderDetails
}

/**
 * A block event that is to be written:
 * - `first`: the first block of a group
 * - `summary`: the further blocks of a group in the last `ms` milliseconds
 * - `suppressed`: the blocks of a user in the last `ms` milliseconds that belong to no tracked group. Without
 *   a uid, those of all further users
 */
export type PendingEvent =
  | { readonly type: 'first'; readonly group: BlockGroup; readonly blocks: 1 }
  | { readonly type: 'summary'; readonly group: BlockGroup; readonly blocks: number; readonly ms: number }
  | {
      readonly type: 'suppressed'
      readonly uid: number | undefined
      readonly blocks: number
      readonly ms: number
      /** The units with most of the blocks whose unit is known. */
      readonly units?: readonly string[]
    }

/** The outcome of noting a block: one more of a tracked group, a new group, or counted for its user only. */
export type NotedBlock = 'repeated' | 'suppressed' | BlockGroup

/** A group that is tracked, with the quota that it is part of. */
interface TrackedGroup {
  readonly group: BlockGroup
  readonly quota: UserQuota
  readonly window: SummaryWindow
}

/** A summary whose window is over; without `tracked` it is that of a user's suppressed blocks. */
interface DueSummary {
  readonly window: SummaryWindow
  readonly quota: UserQuota
  readonly tracked?: TrackedGroup
}

const KEY_WORDS = 9
/** An IPv4 address has only the first of its four words. */
const KEY_WORDS_4 = 6

/**
 * Groups blocks, so that a flood becomes a few lines and summaries. Limits per user keep an attacker who
 * floods from using up memory and log lines, and from hiding the blocks of other users. No block is lost from
 * the sum: at any moment `logged` + `summarized` + `suppressed` is the number of blocks that were noted.
 */
export class BlockAggregator {
  /** Blocks with an event of their own. */
  logged = 0
  /** Blocks that are counted in the summary of their group. */
  summarized = 0
  /** Blocks that are counted only in the summary of their user. */
  suppressed = 0
  readonly #limits: RecordLimits
  readonly #lines: LineBudget
  readonly #quotas: UserQuotas
  readonly #table: KeyTable
  readonly #seed: Uint32Array
  /** In the order of their numbers in the table. */
  #tracked: TrackedGroup[] = []
  #pending: PendingEvent[] = []
  #now: number
  readonly #domainOf: (packet: Packet, uid: number) => string | undefined

  /**
   * @param seed 64 random bits in two words, secret: the sender chooses what is hashed
   * @param now milliseconds of a monotonic clock
   * @param domainOf returns the name of a destination; it is called for the first block of a group only
   */
  constructor(
    limits: RecordLimits,
    seed: Uint32Array,
    now: number,
    domainOf: (packet: Packet, uid: number) => string | undefined,
  ) {
    this.#limits = limits
    this.#domainOf = domainOf
    this.#seed = seed
    this.#lines = new LineBudget(limits.lines, limits.linesPerSecond, now)
    this.#quotas = new UserQuotas(limits, now)
    this.#table = new KeyTable(limits.groups, KEY_WORDS, seed)
    this.#now = now
  }

  /**
   * Counts a block. For the packet path: only the first block of a group costs more than a look-up.
   * @param question the name that a blocked query asks for
   * @throws what `domainOf` and `sender.describe` throw; then nothing was counted
   */
  note(packet: Packet, uid: number, decision: Decision, sender: SenderLookup, question?: string): NotedBlock {
    const { place } = sender
    const index = this.#find(packet, uid, place, decision.reasonIndex, question)
    if (index >= 0) {
      this.#tracked[index]!.window.blocks++
      this.summarized++
      return 'repeated'
    }
    const quota = this.#quotas.of(uid, this.#now)
    if (!this.#mayLog(quota, 'firsts')) {
      this.#suppress(quota, sender.unit)
      return 'suppressed'
    }
    return this.#add(packet, quota, {
      ...fieldsOf(packet),
      uid,
      place,
      reasonIndex: decision.reasonIndex,
      rule: decision.rule?.spec.name,
      names: { question, domain: this.#domainOf(packet, uid) },
      who: sender.describe(),
    })
  }

  /** Returns the events that have become due since the last call. */
  take(): readonly PendingEvent[] {
    if (this.#pending.length === 0) return NO_EVENTS
    const pending = this.#pending
    this.#pending = []
    return pending
  }

  /**
   * Makes events of the summaries whose windows are over, and forgets groups that had no block in theirs. A
   * summary for which no line is left waits and grows.
   * @param now milliseconds of the same clock
   */
  tick(now: number): void {
    this.#now = now
    this.#quotas.forgetIdle(now)
    const forgotten = new Set<TrackedGroup>()
    for (const due of this.#due()) {
      if (due.window.blocks > 0) {
        if (this.#mayLog(due.quota, 'summaries')) this.#summarize(due)
      } else if (due.tracked) forgotten.add(due.tracked)
      else due.quota.suppressed = undefined
    }
    this.#forget(forgotten)
  }

  /** Makes events of all summaries and forgets all groups: before the mode changes or the service stops. */
  end(): void {
    for (const tracked of this.#tracked)
      if (tracked.window.blocks > 0) this.#summarize({ ...tracked, tracked })
    for (const quota of this.#quotas) {
      if (quota.suppressed?.blocks) this.#summarize({ window: quota.suppressed, quota })
      quota.suppressed = undefined
    }
    this.#forget(new Set(this.#tracked))
  }

  /** Returns the summaries whose window is over, the one that has waited longest first. */
  #due(): DueSummary[] {
    const due: DueSummary[] = []
    for (const tracked of this.#tracked)
      if (tracked.window.end <= this.#now) due.push({ window: tracked.window, quota: tracked.quota, tracked })
    for (const quota of this.#quotas)
      if (quota.suppressed && quota.suppressed.end <= this.#now) due.push({ window: quota.suppressed, quota })
    return due.sort((a, b) => a.window.end - b.window.end)
  }

  /** Whether the user and all users together have a line left. */
  #mayLog({ lines }: UserQuota, sort: 'firsts' | 'summaries'): boolean {
    return lines[sort].available(this.#now) >= 1 && this.#lines[sort].available(this.#now) >= 1
  }

  #summarize({ window, quota, tracked }: DueSummary): void {
    const counted = { blocks: window.blocks, ms: window.age(this.#now) }
    if (tracked) this.#pending.push({ type: 'summary', group: tracked.group, ...counted })
    else this.#pending.push({ type: 'suppressed', uid: quota.uid, ...counted, ...window.units.summary })
    quota.lines.summaries.take(1)
    this.#lines.summaries.take(1)
    window.next(this.#now)
  }

  #suppress(quota: UserQuota, unit: string | undefined): void {
    quota.suppressed ??= new SummaryWindow(this.#now)
    quota.suppressed.blocks++
    if (unit !== undefined) quota.suppressed.units.add(unit)
    this.suppressed++
  }

  #add(packet: Packet, quota: UserQuota, group: BlockGroup): BlockGroup {
    if (this.#evict(quota))
      this.#find(packet, group.uid, group.place, group.reasonIndex, group.names.question)
    this.#table.add()
    this.#tracked.push({ group, quota, window: new SummaryWindow(this.#now) })
    this.#pending.push({ type: 'first', group, blocks: 1 })
    quota.lines.firsts.take(1)
    this.#lines.firsts.take(1)
    quota.groups++
    this.logged++
    return group
  }

  /**
   * Evicts a group when the limit is reached: the one that repeats least, of the user who has used up the
   * quota, else of the user with the most groups.
   * @returns whether a group was evicted
   */
  #evict(quota: UserQuota): boolean {
    const isUsedUp = quota.groups >= this.#limits.groups / PARTS
    if (!isUsedUp && this.#tracked.length < this.#limits.groups) return false
    const holder = isUsedUp ? quota : this.#quotas.fullest()
    const evicted = this.#tracked
      .filter((tracked) => tracked.quota === holder)
      .reduce((least, tracked) => (tracked.window.blocks < least.window.blocks ? tracked : least))
    if (evicted.window.blocks > 0) this.#summarize({ ...evicted, tracked: evicted })
    this.#forget(new Set([evicted]))
    return true
  }

  #forget(groups: ReadonlySet<TrackedGroup>): void {
    if (groups.size === 0) return
    for (const { quota } of groups) quota.groups--
    this.#table.keep((index) => !groups.has(this.#tracked[index]!))
    this.#tracked = this.#tracked.filter((tracked) => !groups.has(tracked))
  }

  #find(packet: Packet, uid: number, place: number, reason: number, question?: string): number {
    const { key } = this.#table
    const { destination, family } = packet
    key[0] = family | (packet.protocol << 8) | (reason << 16)
    key[1] = uid
    key[2] = place
    key[3] = packet.destinationPort
    key[4] = question === undefined ? 0 : hashText(this.#seed, question)
    key[5] = destination[0]!
    key[6] = destination[1]!
    key[7] = destination[2]!
    key[8] = destination[3]!
    return this.#table.find(family === 4 ? KEY_WORDS_4 : KEY_WORDS)
  }
}

const NO_EVENTS: readonly PendingEvent[] = []

/** Copies the fields: the packet is written over by the next one. */
const fieldsOf = ({ family, protocol, source, sourcePort, destination, destinationPort }: Packet) => ({
  family,
  protocol,
  source: source.slice(),
  sourcePort,
  destination: destination.slice(),
  destinationPort,
})
