import { TimeBudget } from './time-budget.js'

/** What one user can use up of it. */
const SHARE = 0.5
/** More users are forgotten, and begin anew: the whole stays bounded. */
const USERS_AT_MOST = 1024

/** A TimeBudget for all users, of which no single one can use up everything: so that who floods takes away his own time. */
export class UserTimeBudget {
  readonly #perSecond: number
  readonly #all: TimeBudget
  readonly #users = new Map<number, TimeBudget>()

  /** @param perSecond milliseconds that may be spent in a second @param now milliseconds of a monotonic clock */
  constructor(perSecond: number, now: number) {
    this.#perSecond = perSecond
    this.#all = new TimeBudget(perSecond, now)
  }

  /** Whether there is any left for a user. */
  has(user: number, now: number): boolean {
    return this.#all.has(now) && this.#of(user, now).has(now)
  }

  /** @param ms that were spent for a user at `now` */
  spend(user: number, ms: number, now: number): void {
    this.#all.spend(ms)
    this.#of(user, now).spend(ms)
  }

  #of(user: number, now: number): TimeBudget {
    let budget = this.#users.get(user)
    if (budget !== undefined) return budget
    if (this.#users.size >= USERS_AT_MOST) this.#users.clear()
    budget = new TimeBudget(this.#perSecond * SHARE, now)
    this.#users.set(user, budget)
    return budget
  }
}
