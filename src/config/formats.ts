/** The forms of single values: words, numbers, durations, paths, lists of them. */
import { isMapping } from '../text/json.js'
import type { ConfigLocation, Format } from './location.js'
import { alternatives, quote, unknownKey } from './problems.js'

/** One of these words. */
export function choice<const Word extends string>(...words: Word[]): Format<Word> {
  return (value, place) => {
    const word = words.find((known) => known === value)
    return word ?? place.fail(`must be ${alternatives(words)}, not ${quote(value)}`)
  }
}

/** true or false. */
export const flag: Format<boolean> = (value, place) =>
  typeof value === 'boolean' ? value : place.fail(`must be true or false, not ${quote(value)}`)

/** A whole number from `least` to `most`. */
export function count(least: number, most: number): Format<number> {
  return (value, place) => {
    const fits = typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most
    return fits ? value : place.fail(`must be a whole number from ${least} to ${most}, not ${quote(value)}`)
  }
}

/** Six adjacent bits of the 32-bit packet mark: two of state, four of generation. */
export const sixBitMask: Format<number> = (value, place) => {
  const fits = typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= 0xffffffff
  const lowest = fits ? (value & -value) >>> 0 : 0
  if (fits && value / lowest === 0b111111) return value
  const written = fits ? `0x${value.toString(16)}` : quote(value)
  return place.fail(`must be six adjacent bits of 32, like 0x3f000000 or 0x3f, not ${written}`)
}

const UNIT_SECONDS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 }

/** Seconds, from a number of seconds or a number with a unit: 500ms, 10s, 10m, 1h, 5d. The limits are such texts too. */
export function duration(least: string, most: string): Format<number> {
  const [lower, upper] = [parseDuration(least)!, parseDuration(most)!]
  return (value, place) => {
    const seconds = parseDuration(value)
    if (seconds === undefined)
      return place.fail(`must be a duration like 500ms, 10s, 10m, 1h or 5d, not ${quote(value)}`)
    if (seconds >= lower && seconds <= upper) return seconds
    return place.fail(`must be a duration from ${least} to ${most}, not ${quote(value)}`)
  }
}

function parseDuration(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? value : undefined
  const match = typeof value === 'string' ? /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(value) : null
  if (match === null) return undefined
  // Division keeps 500ms at exactly 0.5.
  return match[2] === 'ms' ? Number(match[1]) / 1000 : Number(match[1]) * UNIT_SECONDS[match[2]!]!
}

/** The shortest text that `duration` reads back as the same number. */
export function formatDuration(seconds: number): string {
  for (const unit of ['d', 'h', 'm', 's']) {
    const amount = seconds / UNIT_SECONDS[unit]!
    if (amount >= 1 && Number.isInteger(amount)) return `${amount}${unit}`
  }
  return seconds < 1 && Number.isInteger(seconds * 1000) ? `${seconds * 1000}ms` : `${seconds}s`
}

/** An absolute path of at most `most` bytes. `words` are accepted as they are (`stdout`). */
export function absolutePath(most = 4095, ...words: string[]): Format<string> {
  return (value, place) => {
    if (typeof value === 'string' && words.includes(value)) return value
    if (typeof value !== 'string' || !value.startsWith('/')) {
      return place.fail(
        `must be ${alternatives([...words, 'a path that begins with /'])}, not ${quote(value)}`,
      )
    }
    if (/\p{Cc}/u.test(value)) return place.fail('has a control character in it')
    if (Buffer.byteLength(value) > most) return place.fail(`is too long: ${most} bytes at most`)
    return value
  }
}

/** The path of a URL, without query. What else the server answers there is taken. */
export function urlPath(...taken: string[]): Format<string> {
  return (value, place) => {
    if (typeof value !== 'string' || !/^\/[\w.~/-]*$/.test(value)) {
      return place.fail(`must be the path of a URL, like /metrics, not ${quote(value)}`)
    }
    return taken.includes(value) ? place.fail(`${value} answers something else: take another path`) : value
  }
}

/** A text that `parse` accepts; `parse` says how it must look otherwise. */
export function text<T>(
  what: string,
  parse: (text: string, place: ConfigLocation) => T | undefined,
): Format<T> {
  return (value, place) =>
    typeof value === 'string' ? parse(value, place) : place.fail(`must be ${what}, not ${quote(value)}`)
}

/** A list with an item or more; `example` is one as it is written. All items are checked. */
export function listOf<T>(item: Format<T>, example: string): Format<readonly T[]> {
  return (value, place) => {
    if (Array.isArray(value) && value.length === 0)
      return place.fail(`is an empty list: name at least one, like ${example}`)
    return listOrNone(item, example)(value, place)
  }
}

/** The same, and it may be empty. */
export function listOrNone<T>(item: Format<T>, example: string): Format<readonly T[]> {
  return (value, place) => {
    if (!Array.isArray(value)) {
      return place.fail(`must be a list, like ${asList(value, example)}`)
    }
    const items = value.map((one, index) => item(one, place.at(index)))
    return items.some((one) => one === undefined) ? undefined : (items as T[])
  }
}

/** What was written, as a list of one; the example where an item is more than a word. */
function asList(value: unknown, example: string): string {
  const isWord = typeof value === 'number' || (typeof value === 'string' && /^[\w.:/-]{1,60}$/.test(value))
  return isWord && !example.startsWith('[{') ? `[${value}]` : example
}

/** The word `auto`, or a list; an empty one says none. */
export function autoOr<T>(item: Format<T>, example: string): Format<'auto' | readonly T[]> {
  return (value, place) => {
    if (value === 'auto') return value
    if (Array.isArray(value)) return listOrNone(item, example)(value, place)
    return place.fail(`must be auto, or a list like ${asList(value, example)}`)
  }
}

/** The entries of a mapping, once its keys are known to be right. */
export interface Fields {
  required<T>(key: string, format: Format<T>): T | undefined
  optional<T>(key: string, format: Format<T>): T | undefined
}

/** A mapping with keys from `known`. Its wrong and missing keys are problems at once; the rest can still be read. */
export function fieldsOf(
  value: unknown,
  place: ConfigLocation,
  known: readonly string[],
): Fields | undefined {
  if (!isMapping(value)) {
    return place.fail(`must be a mapping with ${alternatives(known)}, not ${quote(value)}`)
  }
  const mapping = value as Readonly<Record<string, unknown>>
  for (const key of Object.keys(mapping)) {
    if (!known.includes(key)) place.at(key).fail(unknownKey(key, known))
  }
  const optional = <T>(key: string, format: Format<T>): T | undefined =>
    Object.hasOwn(mapping, key) ? format(mapping[key], place.at(key)) : undefined
  const required = <T>(key: string, format: Format<T>): T | undefined =>
    Object.hasOwn(mapping, key) ? optional(key, format) : place.fail(`has no \`${key}\``)
  return { required, optional }
}
