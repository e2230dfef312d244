import { UnitCounts } from './unit-counts.js'

/** Milliseconds until the first summary. Each further window lasts twice as long as the one before, */
export const FIRST_WINDOW = 30_000
/**
 * but never longer than this (milliseconds), so that the log always shows whether something still goes on.
 */
export const LONGEST_WINDOW = 15 * 60_000

/**
 * Counts blocks in a window of time, at whose end one summary is logged. All times are milliseconds of one
 * clock.
 */
export class SummaryWindow {
  /** Blocks in the current window. */
  blocks = 0
  /** The units of those blocks, where they may be several. */
  units = new UnitCounts()
  #start: number
  #length = FIRST_WINDOW

  constructor(now: number) {
    this.#start = now
  }

  /** When the current window ends. */
  get end(): number {
    return this.#start + this.#length
  }

  /** Returns the milliseconds since the window began. */
  age(now: number): number {
    return now - this.#start
  }

  /** Begins the next window. */
  next(now: number): void {
    this.blocks = 0
    this.units = new UnitCounts()
    this.#start = now
    this.#length = Math.min(this.#length * 2, LONGEST_WINDOW)
  }
}
