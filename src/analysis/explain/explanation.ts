/**
 * Defines an answer of `explain`. Programs get it as JSON; src/commands/explain-text.ts formats it for
 * people.
 */
import type { Miss } from '../../core/policy/explain.js'
import type { Decision, Reason } from '../../core/policy/rule.js'
import type { Query } from './query.js'

type Verdict = Decision['verdict']

export interface Explained {
  /** The source of the answer: the running service, or the configuration alone. */
  readonly source: 'service' | 'file'
  readonly mode: 'observe' | 'enforce'
  readonly protocol: Query['protocol']
  /** The destination as it was understood: `api.example.org:443`. */
  readonly to: string
  readonly user?: string | undefined
  readonly unit?: string | undefined
  readonly fromPort?: number | undefined
  /** The name in a DNS query to a resolver. */
  readonly question?: string | undefined
  /**
   * The verdict of the policy: `accept` when all addresses are accepted. In mode observe, blocked packets
   * pass nevertheless.
   */
  readonly verdict: Verdict
  /** The results for the address, or for each known address of the name. */
  readonly judged: readonly Judged[]
  /** The rules that almost match, the closest first. */
  readonly near: readonly Near[]
  /** An entry for `allow` that would let the packet pass. */
  readonly entry?: AllowSuggestion | undefined
  /** Notes, a sentence each. */
  readonly notes: readonly string[]
}

export interface Judged {
  /** undefined: any address that the name may get. */
  readonly address?: string | undefined
  /** End of validity of the address, RFC 3339. In the past: no newer answer came. */
  readonly until?: string | undefined
  readonly verdict: Verdict
  /** `loopback`: the packet goes to this host itself, and is never judged. */
  readonly reason: Reason | 'loopback'
  readonly rule?: RuleFacts | undefined
  /** The verdict of the kernel while the service does not answer. */
  readonly whileSilent: Verdict
}

export interface RuleFacts {
  readonly name: string
  readonly reason: Reason
  /** `file:line`, or the setting that the rule follows from. */
  readonly found: string
}

export interface Near {
  readonly rule: RuleFacts
  readonly misses: readonly Miss[]
  /** Why the rule does not match, a phrase for each miss: `the user: it is for root, not www-data`. */
  readonly but: readonly string[]
}

/** An entry of `allow`, in the form of the configuration. */
export interface AllowSuggestion {
  readonly name: string
  readonly to: readonly string[]
  readonly ports?: readonly number[]
  readonly protocol?: Query['protocol']
  readonly users?: readonly string[]
  readonly units?: readonly string[]
}
