import { SummaryWindow } from '../core/record/summary-window.js'
import type { VerdictCounts } from '../core/record/verdict-counts.js'
import type { BlockLog } from '../records/block-log/block-log.js'

/** Milliseconds between two reads: each runs nft. */
const INTERVAL_MS = 10_000

export interface RefusedPacketsOptions {
  /** Reads the packets that the kernel has refused each user, since the table was loaded. */
  readonly read: () => Promise<ReadonlyMap<number, number>>
  readonly counts: () => Pick<VerdictCounts, 'addRefused' | 'blocks'>
  readonly blockLog: Pick<BlockLog, 'noteRefused'>
  readonly isQuarantined: (uid: number) => boolean
}

/** Takes what the kernel has refused without waking the service into counters and log, so that the sums are exact. */
export class RefusedPackets {
  readonly #options: RefusedPacketsOptions
  /** What was read last. */
  #read: ReadonlyMap<number, number> = new Map()
  readonly #windows = new Map<number, SummaryWindow>()
  #notBefore = 0
  /** Blocks of the service at the last read: the kernel refuses nobody whom the service has not blocked. */
  #blocks = 0

  constructor(options: RefusedPacketsOptions) {
    this.#options = options
  }

  /** Reads when it is due. @param now milliseconds of a monotonic clock @throws CommandError (rejects) of nft */
  async tick(now: number): Promise<void> {
    if (now < this.#notBefore) return
    this.#notBefore = now + INTERVAL_MS
    const { blocks } = this.#options.counts()
    if (blocks !== this.#blocks || this.#windows.size > 0) await this.read(now)
    this.#blocks = blocks
    for (const [uid, window] of this.#windows) if (window.end <= now) this.#summarize(uid, window, now)
  }

  /** Reads now: for a scrape, and before the table is removed. @throws CommandError (rejects) of nft */
  async read(now: number): Promise<void> {
    const current = await this.#options.read()
    for (const [uid, packets] of current) {
      const before = this.#read.get(uid) ?? 0
      // A table that was put back counts from 0.
      const more = packets >= before ? packets - before : packets
      if (more > 0) this.#add(uid, more, now)
    }
    this.#read = current
  }

  /** Writes all summaries, before the log is closed. */
  end(now: number): void {
    for (const [uid, window] of this.#windows) if (window.blocks > 0) this.#summarize(uid, window, now)
  }

  #add(uid: number, packets: number, now: number): void {
    this.#options.counts().addRefused(uid, packets)
    const window = this.#windows.get(uid) ?? new SummaryWindow(now)
    window.blocks += packets
    this.#windows.set(uid, window)
  }

  #summarize(uid: number, window: SummaryWindow, now: number): void {
    if (window.blocks === 0) {
      this.#windows.delete(uid)
      return
    }
    const reason = this.#options.isQuarantined(uid) ? 'quarantined' : 'repeated'
    this.#options.blockLog.noteRefused({ uid, packets: window.blocks, ms: window.age(now), reason })
    window.next(now)
  }
}
