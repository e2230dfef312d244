import { TokenBucket } from '../bounded/token-bucket.js'
import type { SummaryWindow } from './summary-window.js'

/**
 * Limits for all users together: tracked groups, and burst and rate of log lines. First blocks and summaries
 * count separately.
 */
export interface RecordLimits {
  /** Groups that are tracked at a time. */
  readonly groups: number
  /** Lines that may be logged at once. */
  readonly lines: number
  readonly linesPerSecond: number
  /** Users with a quota of their own; all further users share one. */
  readonly users: number
}

/** The limits of the block log. docs/log.md explains what follows from them. */
export const BLOCK_LOG_LIMITS: RecordLimits = { groups: 512, lines: 512, linesPerSecond: 1, users: 64 }

/**
 * One user gets at most this part of each limit (1/4), so that a flood of one user hides nothing of the
 * others.
 */
export const PARTS = 4

/**
 * Limits log lines: first blocks and summaries apart, so that a flood of the one does not hold the other
 * back.
 */
export class LineBudget {
  readonly firsts: TokenBucket
  readonly summaries: TokenBucket
  readonly #burst: number

  /**
   * @param burst lines at once @param perSecond lines in a second
   * @param now milliseconds of a monotonic clock
   */
  constructor(burst: number, perSecond: number, now: number) {
    this.#burst = burst
    this.firsts = new TokenBucket(burst, perSecond, now)
    this.summaries = new TokenBucket(burst, perSecond, now)
  }

  isFull(now: number): boolean {
    return this.firsts.available(now) >= this.#burst && this.summaries.available(now) >= this.#burst
  }
}

/** Holds what one user has used of the limits; all users without a quota of their own share one. */
export class UserQuota {
  /** The user id, or -1 for packets without a user; undefined for all further users together. */
  readonly uid: number | undefined
  readonly lines: LineBudget
  /** Groups of this user that are tracked. */
  groups = 0
  /** Blocks of this user that belong to no tracked group. */
  suppressed: SummaryWindow | undefined

  constructor(uid: number | undefined, { lines, linesPerSecond }: RecordLimits, now: number) {
    this.uid = uid
    this.lines = new LineBudget(lines / PARTS, linesPerSecond / PARTS, now)
  }

  /** Whether the quota is as good as new. */
  isIdle(now: number): boolean {
    return this.groups === 0 && this.suppressed === undefined && this.lines.isFull(now)
  }
}

/** Holds the quotas of all users. Iterates over all of them, the shared one last. */
export class UserQuotas {
  readonly #limits: RecordLimits
  readonly #byUser = new Map<number, UserQuota>()
  readonly #shared: UserQuota
  /** The user of the last call, and the quota: a flood is mostly of one user. */
  #lastUser: number | undefined
  #last: UserQuota

  /** @param now milliseconds of a monotonic clock, the same for all calls */
  constructor(limits: RecordLimits, now: number) {
    this.#limits = limits
    this.#shared = new UserQuota(undefined, limits, now)
    this.#last = this.#shared
  }

  /** Returns the quota of a user, or the shared one when there are too many users. */
  of(uid: number, now: number): UserQuota {
    if (this.#lastUser !== uid) {
      this.#last = this.#byUser.get(uid) ?? this.#create(uid, now)
      this.#lastUser = uid
    }
    return this.#last
  }

  *[Symbol.iterator](): Generator<UserQuota> {
    yield* this.#byUser.values()
    yield this.#shared
  }

  /** Returns the quota with the most tracked groups. */
  fullest(): UserQuota {
    let fullest = this.#shared
    for (const quota of this) if (quota.groups > fullest.groups) fullest = quota
    return fullest
  }

  /** Forgets the users whose quota is as good as new. */
  forgetIdle(now: number): void {
    for (const [uid, quota] of this.#byUser) if (quota.isIdle(now)) this.#byUser.delete(uid)
    this.#lastUser = undefined
  }

  #create(uid: number, now: number): UserQuota {
    if (this.#byUser.size >= this.#limits.users) return this.#shared
    const quota = new UserQuota(uid, this.#limits, now)
    this.#byUser.set(uid, quota)
    return quota
  }
}
