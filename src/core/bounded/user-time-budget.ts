import { TokenBucket } from './token-bucket.js'

/** The part of the whole budget that one user can use up. */
const USER_PART = 0.5
/** When more users are known, all are forgotten and start with a full budget: memory stays bounded. */
const MAX_USERS = 1024

/**
 * Limits the time that is spent for all users together, and for each of them: a user who causes a flood uses
 * up only his own part. A budget is saved up for one second.
 */
export class UserTimeBudget {
  readonly #perSecond: number
  readonly #all: TokenBucket
  readonly #users = new Map<number, TokenBucket>()

  /**
   * @param perSecond milliseconds that may be spent in a second @param now milliseconds of a monotonic clock
   */
  constructor(perSecond: number, now: number) {
    this.#perSecond = perSecond
    this.#all = new TokenBucket(perSecond, perSecond, now)
  }

  /** Whether time is left for a user. @param now milliseconds of the same clock */
  has(user: number, now: number): boolean {
    return this.#all.available(now) > 0 && this.#bucketOf(user, now).available(now) > 0
  }

  /** Counts time that was spent. @param ms milliseconds, spent for `user` at `now` */
  spend(user: number, ms: number, now: number): void {
    this.#all.take(ms)
    this.#bucketOf(user, now).take(ms)
  }

  #bucketOf(user: number, now: number): TokenBucket {
    const known = this.#users.get(user)
    if (known !== undefined) return known
    if (this.#users.size >= MAX_USERS) this.#users.clear()
    const perSecond = this.#perSecond * USER_PART
    const bucket = new TokenBucket(perSecond, perSecond, now)
    this.#users.set(user, bucket)
    return bucket
  }
}
