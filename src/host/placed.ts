import type { Origin } from '../core/policy/origin.js'

/** A value, and the line that names it. */
export interface Placed<T> {
  readonly value: T
  readonly origin: Origin
}
