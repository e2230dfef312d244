import { namesOf } from '../core/policy/allowlist.js'
import type { Policy } from '../core/policy/policy.js'
import type { Rule } from '../core/policy/rule.js'
import type { Asker } from './confirmations.js'

/**
 * Holds the policies that get the addresses of names: the one in force, and one that is about to come into
 * force.
 */
export class ServedPolicies {
  #policies: readonly Policy[] = []
  /** The names that the rules list themselves. */
  #listed: ReadonlySet<string> = new Set()

  /** Replaces the policies. @returns those that are new */
  take(policies: readonly Policy[]): Policy[] {
    const fresh = policies.filter((policy) => !this.#policies.includes(policy))
    this.#policies = policies
    this.#listed = new Set(policies.flatMap((policy) => [...namesOf(policy)]))
    return fresh
  }

  get all(): readonly Policy[] {
    return this.#policies
  }

  /** Whether some rule allows a name, by itself or by its domain. */
  has(name: string): boolean {
    return this.#policies.some((policy) => policy.names.has(name))
  }

  /** Whether some rule lists a name itself. */
  lists(name: string): boolean {
    return this.#listed.has(name)
  }

  /** The rules of all policies that allow a name. */
  rulesFor(name: string): Rule[] {
    return this.#policies.flatMap((policy) => policy.names.find(name))
  }

  /**
   * Whether a rule with this name is for untrusted users too: a forged address would be of use to an
   * accomplice.
   */
  isShared(name: string): boolean {
    return this.#policies.some(({ names, trustedUsers }) =>
      names.find(name).some(({ spec: { users } }) => !users?.every((uid) => trustedUsers.includes(uid))),
    )
  }

  /**
   * Whether a rule has this name for a user: for all other users its addresses are of no use. A trusted user
   * may ask on behalf of others.
   */
  serves(name: string, { uid, trusted }: Asker): boolean {
    if (trusted) return true
    return this.rulesFor(name).some(({ spec }) => spec.users === undefined || spec.users.includes(uid))
  }
}
