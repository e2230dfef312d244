import { Tokens } from '../bounded/token-bucket.js'
import type { SummaryWindow } from './summary-window.js'

/** What all users together may have: kinds known at a time, and lines at once and a second, for first ones and for sums each. */
export interface Bounds {
  readonly kinds: number
  readonly lines: number
  readonly linesPerSecond: number
  /** Users with a share of their own; all further ones have one together. */
  readonly users: number
}

/** Those of the block log. docs/log.md says what follows from them. */
export const BOUNDS: Bounds = { kinds: 512, lines: 512, linesPerSecond: 1, users: 64 }

/** No user has more than one of so many parts of anything: so a flood of one hides nothing of the others. */
export const PARTS = 4

/** Lines about the first of a kind, and lines with sums: a flood of the one must not keep the others back. */
export class Lines {
  readonly firsts: Tokens
  readonly sums: Tokens

  constructor(burst: number, perSecond: number) {
    this.firsts = new Tokens(burst, perSecond)
    this.sums = new Tokens(burst, perSecond)
  }

  get full(): boolean {
    return this.firsts.full && this.sums.full
  }

  refill(ms: number): void {
    this.firsts.refill(ms)
    this.sums.refill(ms)
  }
}

/** What one user has of the log, or all those together for whom there was no share. */
export class UserQuota {
  /** undefined: further users. */
  readonly uid: number | undefined
  readonly lines: Lines
  /** How many kinds of this user are known. */
  kinds = 0
  /** Blocks for which there was no place. */
  suppressed: SummaryWindow | undefined

  constructor(uid: number | undefined, { lines, linesPerSecond }: Bounds) {
    this.uid = uid
    this.lines = new Lines(lines / PARTS, linesPerSecond / PARTS)
  }

  /** Whether it is as a new one would be. */
  get idle(): boolean {
    return this.kinds === 0 && this.suppressed === undefined && this.lines.full
  }
}

/** The shares of all users. */
export class UserQuotas {
  readonly #bounds: Bounds
  readonly #byUser = new Map<number, UserQuota>()
  readonly #others: UserQuota
  /** A flood is of one user: who came last comes next. */
  #lastUser: number | undefined
  #last: UserQuota

  constructor(bounds: Bounds) {
    this.#bounds = bounds
    this.#others = new UserQuota(undefined, bounds)
    this.#last = this.#others
  }

  of(uid: number): UserQuota {
    if (this.#lastUser !== uid) {
      this.#last = this.#byUser.get(uid) ?? this.#make(uid)
      this.#lastUser = uid
    }
    return this.#last
  }

  *[Symbol.iterator](): Generator<UserQuota> {
    yield* this.#byUser.values()
    yield this.#others
  }

  /** The one that knows the most kinds. */
  fullest(): UserQuota {
    let fullest = this.#others
    for (const share of this) if (share.kinds > fullest.kinds) fullest = share
    return fullest
  }

  /** Lets time go by, and forgets those of whom there is nothing left to know. */
  refill(ms: number): void {
    for (const share of this) share.lines.refill(ms)
    for (const [uid, share] of this.#byUser) if (share.idle) this.#byUser.delete(uid)
    this.#lastUser = undefined
  }

  #make(uid: number): UserQuota {
    if (this.#byUser.size >= this.#bounds.users) return this.#others
    const share = new UserQuota(uid, this.#bounds)
    this.#byUser.set(uid, share)
    return share
  }
}
