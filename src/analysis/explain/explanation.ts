/** What an answer to a question says: for programs as it is (JSON), for people by src/commands/explain-text.ts. */
import type { Miss } from '../../core/policy/explain.js'
import type { Decision, Reason } from '../../core/policy/policy.js'
import type { Query } from './query.js'

type Verdict = Decision['verdict']

export interface Explained {
  /** Who has answered: the running service, or nobody but the configuration. */
  readonly source: 'service' | 'file'
  readonly mode: 'observe' | 'enforce'
  readonly protocol: Query['protocol']
  /** As it was understood: `api.example.org:443`. */
  readonly to: string
  readonly user?: string | undefined
  readonly unit?: string | undefined
  readonly fromPort?: number | undefined
  /** The name that a resolver is asked for. */
  readonly question?: string | undefined
  /** What the policy says: `accept` where it says so of all addresses. In mode observe all passes nevertheless. */
  readonly verdict: Verdict
  /** Of an address, or each address that is known of a name now. */
  readonly judged: readonly Judged[]
  /** The rules that come nearest to letting it pass, the nearest first. */
  readonly near: readonly Near[]
  /** What could be added to `allow`, so that it passes. */
  readonly entry?: AllowSuggestion | undefined
  /** What else is to be known, a sentence each. */
  readonly notes: readonly string[]
}

export interface Judged {
  /** undefined: whatever address the name may get. */
  readonly address?: string | undefined
  /** RFC 3339: so long the name is known to have it. In the past: no resolver has said anything newer. */
  readonly until?: string | undefined
  readonly verdict: Verdict
  /** `loopback`: it goes to this host itself, and is never judged. */
  readonly reason: Reason | 'loopback'
  readonly rule?: RuleFacts | undefined
  /** What the kernel says by itself while the service is silent. */
  readonly whileSilent: Verdict
}

export interface RuleFacts {
  readonly name: string
  readonly reason: Reason
  /** `file:line`, or the setting that it follows from. */
  readonly found: string
}

export interface Near {
  readonly rule: RuleFacts
  readonly misses: readonly Miss[]
  /** What is in the way, a phrase for each miss: `the user: it is for root, not www-data`. */
  readonly but: readonly string[]
}

/** An entry of `allow`, as it is written. */
export interface AllowSuggestion {
  readonly name: string
  readonly to: readonly string[]
  readonly ports?: readonly number[]
  readonly protocol?: Query['protocol']
  readonly users?: readonly string[]
  readonly units?: readonly string[]
}
