/** Shows the last lines of a log, and reads no more of it than needed. */

import { type BlockFilter, filterLines, type SelectedLine } from './filter.js'
import { type LogFile, readLines } from './rotated-files.js'
import { Unreadable } from './unreadable.js'

/** Bytes at the end of a file that are read first; then four times as many, and so on. */
const FIRST_READ = 256 * 1024

export interface Begin {
  readonly wanted: BlockFilter
  readonly unread: Unreadable
  /**
   * The file that is still written to, when it will be followed: an unfinished line at its end is left for
   * `follow`.
   */
  readonly growing: LogFile | undefined
}

/** Keeps the last items that are pushed. */
export class RingBuffer<T> {
  readonly #items: T[] = []
  readonly #size: number

  constructor(size: number) {
    this.#size = size
  }

  /** Keeps a few more items than the size, so that items are not moved at each call. */
  push(items: readonly T[]): void {
    for (const item of items) this.#items.push(item)
    if (this.#items.length > 2 * this.#size + 1024) this.#items.splice(0, this.#items.length - this.#size)
  }

  get items(): readonly T[] {
    return this.#size === 0 ? [] : this.#items.slice(-this.#size)
  }
}

/**
 * Finds the file that may grow: the last one with contents. After a rotation the new file is empty, or does
 * not exist yet.
 */
export const growingOf = (files: readonly LogFile[]): LogFile | undefined =>
  files.findLast(({ isCompressed, size }) => !isCompressed && size > 0)

/**
 * Shows all selected lines, the oldest first.
 * @returns bytes of the growing file, up to the end of its last whole line
 */
export async function showAll(
  files: readonly LogFile[],
  begin: Begin,
  show: (picked: readonly SelectedLine[]) => void,
): Promise<number> {
  let end = 0
  for (const file of files) {
    const read = await pickFrom(file, 0, begin, show)
    if (file === begin.growing) end = read
  }
  return end
}

/** Shows the last `count` selected lines, the oldest first. @returns as `showAll` */
export async function showLast(
  files: readonly LogFile[],
  begin: Begin,
  count: number,
  show: (picked: readonly SelectedLine[]) => void,
): Promise<number> {
  const found: (readonly SelectedLine[])[] = []
  let [left, end] = [count, undefined as number | undefined]
  for (const file of files.toReversed()) {
    if (left <= 0 && (end !== undefined || begin.growing === undefined)) break
    const last = await lastOf(file, begin, left)
    if (file === begin.growing) end = last.end
    found.unshift(last.picked)
    left -= last.picked.length
  }
  for (const picked of found) show(picked)
  return end ?? 0
}

interface Last {
  readonly picked: readonly SelectedLine[]
  readonly end: number
}

async function lastOf(file: LogFile, begin: Begin, count: number): Promise<Last> {
  for (let bytes = file.isCompressed ? Number.POSITIVE_INFINITY : FIRST_READ; ; bytes *= 4) {
    const from = Math.max(0, file.size - bytes)
    const [ring, unread] = [new RingBuffer<SelectedLine>(count), new Unreadable()]
    const end = await pickFrom(file, from, { ...begin, unread }, (picked) => ring.push(picked))
    if (from > 0 && ring.items.length < count) continue
    begin.unread.add(unread)
    return { picked: ring.items, end }
  }
}

/** @param from bytes; when above 0, the first line has begun before, and is left out @returns as `showAll` */
async function pickFrom(
  file: LogFile,
  from: number,
  { wanted, unread, growing }: Begin,
  take: (picked: readonly SelectedLine[]) => void,
): Promise<number> {
  let [isWhole, end] = [from === 0, from]
  try {
    for await (const read of readLines(file, from, file.isCompressed ? undefined : file.size)) {
      if (file === growing && read.end === end) break
      take(filterLines(isWhole ? read.lines : read.lines.slice(1), wanted, unread))
      isWhole = true
      end = read.end
    }
  } catch (error) {
    unread.trouble(`${file.path} cannot be read to its end: ${(error as Error).message}`)
  }
  return end
}
