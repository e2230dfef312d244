/**
 * The reason why a change of the policy is refused; the control API answers with the same word as `code`:
 * - `starting`, `stopping`: the service is not ready for changes yet, or not any more
 * - `configured-rule`: the configuration has a rule of that name
 * - `entry-exists`: there is a runtime entry of that name already
 * - `unknown-entry`: there is no runtime entry of that name
 * - `too-many-entries`, `entries-too-large`: runtime entries have a limit in number and in bytes
 */
export type PolicyRefusalCode =
  | 'starting'
  | 'stopping'
  | 'configured-rule'
  | 'entry-exists'
  | 'unknown-entry'
  | 'too-many-entries'
  | 'entries-too-large'

/**
 * Thrown when a change of the policy is refused; nothing has changed then. The message is for the operator.
 */
export class PolicyRefusal extends Error {
  constructor(
    readonly code: PolicyRefusalCode,
    message: string,
  ) {
    super(message)
  }
}
