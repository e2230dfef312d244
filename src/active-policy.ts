import type { Marks } from './core/marks.js'
import type { Policy } from './core/policy.js'

/** What a packet is judged by; swapped whole on reload. */
export interface Rules {
  readonly policy: Policy
  readonly marks: Marks
}
