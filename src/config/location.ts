/** One spot of a configuration while it is checked: where it was written, and what is wrong with it. */
import type { Origin } from '../core/policy/origin.js'
import type { Problem } from './problems.js'
import { step } from './yaml.js'

/** Where a value was written, and under which key in that file. */
export interface Located {
  readonly origin: Origin
  readonly key: string
}

export interface ConfigLocation extends Located {
  /** Whether somebody wrote it: false for a default. */
  readonly written: boolean
  /** All problems reported so far, here and elsewhere. */
  readonly problems: readonly Problem[]
  /** Notes a problem here; the result is what a format returns for a value it refuses. */
  fail(reason: string): undefined
  /** The spot of an item or an entry inside of this one. */
  at(inside: string | number): ConfigLocation
}

/** Turns what was written into what is used. undefined: it is wrong, and the place has been told why. */
export type Format<T> = (value: unknown, place: ConfigLocation) => T | undefined

/** The place of a default: it has no line, and no problems either. */
export const DEFAULT: Origin = { file: 'default', line: undefined }

/**
 * The value of one setting as plain data: lists are arrays, mappings are objects without a prototype. `parts` has the
 * locations inside of it by their path (`[2].ports[0]`), where the value was written in a file.
 */
export interface Leaf extends Located {
  readonly value: unknown
  readonly parts?: ReadonlyMap<string, Located> | undefined
}

/**
 * Returns the location of a setting. What has no location of its own, such as a key that is missing, has that of the
 * thing around it.
 */
export function locationOf(
  { origin, key, parts }: Located & Pick<Leaf, 'parts'>,
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
