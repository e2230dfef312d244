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
  /** false: nobody wrote it, it is the default. */
  readonly written: boolean
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
 * The place of one setting. `parts` has the places inside of it by their path (`[2].ports[0]`); what has none of its
 * own, such as a key that is missing, is where the thing around it is.
 */
export function locationOf(
  located: Located,
  parts: ReadonlyMap<string, Located>,
  problems: Problem[],
  path = '',
): ConfigLocation {
  const { origin, key } = located
  return {
    origin,
    key,
    written: origin !== DEFAULT,
    fail: (reason) => {
      problems.push({ origin, key, reason })
      return undefined
    },
    at: (inside) => {
      const inner = step(path, inside)
      return locationOf(parts.get(inner) ?? { origin, key: step(key, inside) }, parts, problems, inner)
    },
  }
}

/**
 * The value of one setting as plain data: lists are arrays, mappings are objects without a prototype. `parts` says
 * where the things inside of it were written, by their path (`[2].ports[0]`).
 */
export interface Leaf extends Located {
  readonly value: unknown
  readonly parts: ReadonlyMap<string, Located>
}
