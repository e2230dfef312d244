import type { Policy } from '../core/policy/policy.js'
import type { Marks } from '../core/ruleset/marks.js'

/** The policy and marks that packets are judged by; a reload replaces both at once. */
export interface ActivePolicy {
  readonly policy: Policy
  readonly marks: Marks
  /** Whether the kernel may remember what this policy blocks: not while another one comes into force. */
  readonly remembersBlocks: boolean
}

/** Who holds the active policy. */
export interface PolicyHolder {
  readonly rules: ActivePolicy
  /** When the kernel last remembered what the policy has blocked: milliseconds of a monotonic clock. */
  rememberedAt: number
}
