/** Locations of values in a configuration, and the problems that formats report there. */
import type { Origin } from '../core/policy/origin.js'
import type { Problem } from './problems.js'
import { step } from './yaml.js'

/** Where a value was written, and its key in that file. */
export interface ValueOrigin {
  readonly origin: Origin
  readonly key: string
}

/** The location of a value while a format checks it. */
export interface ConfigLocation extends ValueOrigin {
  /** Whether somebody wrote it: false for a default. */
  readonly written: boolean
  /** All problems reported so far, here and elsewhere. */
  readonly problems: readonly Problem[]
  /** Reports a problem here. Returns undefined, as a format does for a value that it refuses. */
  fail(reason: string): undefined
  /** Returns the location of an item (by index) or an entry (by key) of this value. */
  at(inside: string | number): ConfigLocation
}

/**
 * Checks a written value and converts it. Reports all problems of the value at `location`; returns undefined
 * when there is no usable value.
 */
export type Format<T> = (value: unknown, location: ConfigLocation) => T | undefined

/** The origin of defaults. */
export const DEFAULT: Origin = { file: 'default', line: undefined }

/**
 * The value of one setting as plain data: lists are arrays, mappings are objects without a prototype. `parts`
 * has the locations inside of it by their path (`[2].ports[0]`), where the value was written in a file.
 */
export interface WrittenValue extends ValueOrigin {
  readonly value: unknown
  readonly parts?: ReadonlyMap<string, ValueOrigin> | undefined
}

/**
 * Returns the location of a setting. An inner value without its own location, such as a missing key, has the
 * location of the value around it.
 */
export function locationOf(
  { origin, key, parts }: ValueOrigin & Pick<WrittenValue, 'parts'>,
  problems: Problem[],
  path = '',
): ConfigLocation {
  return {
    origin,
    key,
    written: origin !== DEFAULT,
    problems,
    fail: (reason) => {
      problems.push({ origin, key, reason })
      return undefined
    },
    at: (inside) => {
      const inner = step(path, inside)
      const located = parts?.get(inner) ?? { origin, key: step(key, inside) }
      return locationOf({ ...located, parts }, problems, inner)
    },
  }
}
