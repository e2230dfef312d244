import { TokenBucket } from '../bounded/token-bucket.js'
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

/** Limits log lines: first occurrences and summaries apart, so that a flood of the one does not hold the other back. */
export class LineBudget {
  readonly firsts: TokenBucket
  readonly summaries: TokenBucket
  readonly #burst: number

  /** @param burst lines at once @param perSecond lines in a second @param now milliseconds of a monotonic clock */
  constructor(burst: number, perSecond: number, now: number) {
    this.#burst = burst
    this.firsts = new TokenBucket(burst, perSecond, now)
    this.summaries = new TokenBucket(burst, perSecond, now)
  }

  isFull(now: number): boolean {
    return this.firsts.available(now) >= this.#burst && this.summaries.available(now) >= this.#burst
  }
}

/** What one user has of the log, or all those together for whom there was no share. */
export class UserQuota {
  /** undefined: further users. */
  readonly uid: number | undefined
  readonly lines: LineBudget
  /** How many kinds of this user are known. */
  kinds = 0
  /** Blocks for which there was no place. */
  suppressed: SummaryWindow | undefined

  constructor(uid: number | undefined, { lines, linesPerSecond }: Bounds, now: number) {
    this.uid = uid
    this.lines = new LineBudget(lines / PARTS, linesPerSecond / PARTS, now)
  }

  /** Whether it is as a new one would be. */
  isIdle(now: number): boolean {
    return this.kinds === 0 && this.suppressed === undefined && this.lines.isFull(now)
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

  constructor(bounds: Bounds, now: number) {
    this.#bounds = bounds
    this.#others = new UserQuota(undefined, bounds, now)
    this.#last = this.#others
  }

  of(uid: number, now: number): UserQuota {
    if (this.#lastUser !== uid) {
      this.#last = this.#byUser.get(uid) ?? this.#make(uid, now)
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

  /** Forgets the users whose quota is as good as new. */
  forgetIdle(now: number): void {
    for (const [uid, share] of this.#byUser) if (share.isIdle(now)) this.#byUser.delete(uid)
    this.#lastUser = undefined
  }

  #make(uid: number, now: number): UserQuota {
    if (this.#byUser.size >= this.#bounds.users) return this.#others
    const share = new UserQuota(uid, this.#bounds, now)
    this.#byUser.set(uid, share)
    return share
  }
}
