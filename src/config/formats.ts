/** Formats of single values (words, numbers, durations, paths), and of lists and mappings. */
import { isMapping } from '../text/json.js'
import type { ConfigLocation, Format } from './location.js'
import { alternatives, quote, unknownKey } from './problems.js'

/** Returns the format of a choice between words. */
export function choice<const Word extends string>(...words: Word[]): Format<Word> {
  return (value, location) => {
    const word = words.find((known) => known === value)
    return word ?? location.fail(`must be ${alternatives(words)}, not ${quote(value)}`)
  }
}

/** The format of true or false. */
export const flag: Format<boolean> = (value, location) =>
  typeof value === 'boolean' ? value : location.fail(`must be true or false, not ${quote(value)}`)

/** Returns the format of a whole number from `min` to `max`. */
export function count(min: number, max: number): Format<number> {
  return (value, location) => {
    const fits = typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
    return fits ? value : location.fail(`must be a whole number from ${min} to ${max}, not ${quote(value)}`)
  }
}

/** The format of six adjacent bits of the 32-bit packet mark: two bits of state, four of generation. */
export const sixBitMask: Format<number> = (value, location) => {
  const fits = typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= 0xffffffff
  const lowest = fits ? (value & -value) >>> 0 : 0
  if (fits && value / lowest === 0b111111) return value
  const written = fits ? `0x${value.toString(16)}` : quote(value)
  return location.fail(`must be six adjacent bits of 32, like 0x3f000000 or 0x3f, not ${written}`)
}

const UNIT_SECONDS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 }

/**
 * Returns the format of a duration in seconds: a number of seconds, or a number with a unit (500ms, 10s, 10m,
 * 1h, 5d).
 * @param min the shortest duration, with a unit
 * @param max the longest duration, with a unit
 */
export function duration(min: string, max: string): Format<number> {
  const [lower, upper] = [parseDuration(min)!, parseDuration(max)!]
  return (value, location) => {
    const seconds = parseDuration(value)
    if (seconds === undefined)
      return location.fail(`must be a duration like 500ms, 10s, 10m, 1h or 5d, not ${quote(value)}`)
    if (seconds >= lower && seconds <= upper) return seconds
    return location.fail(`must be a duration from ${min} to ${max}, not ${quote(value)}`)
  }
}

/** Returns seconds, or undefined when the value is no duration. */
function parseDuration(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? value : undefined
  const match = typeof value === 'string' ? /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(value) : null
  if (match === null) return undefined
  // Division keeps 500ms at exactly 0.5.
  return match[2] === 'ms' ? Number(match[1]) / 1000 : Number(match[1]) * UNIT_SECONDS[match[2]!]!
}

/** Formats seconds with the largest unit that fits: the format `duration` reads the same number from it. */
export function formatDuration(seconds: number): string {
  for (const unit of ['d', 'h', 'm', 's']) {
    const amount = seconds / UNIT_SECONDS[unit]!
    if (amount >= 1 && Number.isInteger(amount)) return `${amount}${unit}`
  }
  return seconds < 1 && Number.isInteger(seconds * 1000) ? `${seconds * 1000}ms` : `${seconds}s`
}

/** Returns the format of an absolute path of up to `max` bytes, or one of `words` (`stdout`). */
export function absolutePath(max: number, ...words: string[]): Format<string> {
  return (value, location) => {
    if (typeof value === 'string' && words.includes(value)) return value
    if (typeof value !== 'string' || !value.startsWith('/')) {
      return location.fail(
        `must be ${alternatives([...words, 'a path that begins with /'])}, not ${quote(value)}`,
      )
    }
    if (/\p{Cc}/u.test(value)) return location.fail('has a control character in it')
    if (Buffer.byteLength(value) > max) return location.fail(`is too long: ${max} bytes at most`)
    return value
  }
}

/**
 * Returns the format of the path of a URL, without query. The server uses the `taken` paths for something
 * else.
 */
export function urlPath(...taken: string[]): Format<string> {
  return (value, location) => {
    if (typeof value !== 'string' || !/^\/[\w.~/-]*$/.test(value)) {
      return location.fail(`must be the path of a URL, like /metrics, not ${quote(value)}`)
    }
    return taken.includes(value) ? location.fail(`${value} answers something else: take another path`) : value
  }
}

/**
 * Returns the format of a text that `parse` accepts. `what` describes it; `parse` reports what is wrong with
 * a text.
 */
export function text<T>(
  what: string,
  parse: (text: string, location: ConfigLocation) => T | undefined,
): Format<T> {
  return (value, location) =>
    typeof value === 'string' ? parse(value, location) : location.fail(`must be ${what}, not ${quote(value)}`)
}

/**
 * Returns the format of a list with at least one item. All items are checked. `example` is such a list, for
 * messages.
 */
export function listOf<T>(item: Format<T>, example: string): Format<readonly T[]> {
  return (value, location) => {
    if (Array.isArray(value) && value.length === 0)
      return location.fail(`is an empty list: name at least one, like ${example}`)
    return listOrNone(item, example)(value, location)
  }
}

/** Returns the format of a list, which may be empty. */
export function listOrNone<T>(item: Format<T>, example: string): Format<readonly T[]> {
  return (value, location) => {
    if (!Array.isArray(value)) {
      return location.fail(`must be a list, like ${asList(value, example)}`)
    }
    const items = value.map((one, index) => item(one, location.at(index)))
    return items.some((one) => one === undefined) ? undefined : (items as T[])
  }
}

/** Returns an example of a list: a word that was written as a list of one, or `example`. */
function asList(value: unknown, example: string): string {
  const isWord = typeof value === 'number' || (typeof value === 'string' && /^[\w.:/-]{1,60}$/.test(value))
  return isWord && !example.startsWith('[{') ? `[${value}]` : example
}

/** Returns the format of `auto` or a list. An empty list means none. */
export function autoOr<T>(item: Format<T>, example: string): Format<'auto' | readonly T[]> {
  return (value, location) => {
    if (value === 'auto') return value
    if (Array.isArray(value)) return listOrNone(item, example)(value, location)
    return location.fail(`must be auto, or a list like ${asList(value, example)}`)
  }
}

/** The values of a mapping by key. */
export interface Fields {
  required<T>(key: string, format: Format<T>): T | undefined
  optional<T>(key: string, format: Format<T>): T | undefined
}

/**
 * Reads a mapping with keys from `known`. Reports unknown keys at once, and the values are still read, so
 * that their problems are reported, too. Returns undefined when the value is no mapping.
 */
export function fieldsOf(
  value: unknown,
  location: ConfigLocation,
  known: readonly string[],
): Fields | undefined {
  if (!isMapping(value)) {
    return location.fail(`must be a mapping with ${alternatives(known)}, not ${quote(value)}`)
  }
  const mapping = value as Readonly<Record<string, unknown>>
  for (const key of Object.keys(mapping)) {
    if (!known.includes(key)) location.at(key).fail(unknownKey(key, known))
  }
  const optional = <T>(key: string, format: Format<T>): T | undefined =>
    Object.hasOwn(mapping, key) ? format(mapping[key], location.at(key)) : undefined
  const required = <T>(key: string, format: Format<T>): T | undefined =>
    Object.hasOwn(mapping, key) ? optional(key, format) : location.fail(`has no \`${key}\``)
  return { required, optional }
}
