import type { Policy } from '../core/policy/policy.js'
import type { Marks } from '../core/ruleset/marks.js'

/** What a packet is judged by; swapped whole on reload. */
export interface ActivePolicy {
  readonly policy: Policy
  readonly marks: Marks
}
