/** The last lines of a log, without reading all of it where that is not needed. */

import { type BlockFilter, filterLines, type SelectedLine } from './filter.js'
import { type LogFile, readLines } from './rotated-files.js'
import { Unreadable } from './unreadable.js'

/** The end of a file is looked at first, then four times as much, and so on. */
const FIRST_LOOK = 256 * 1024

export interface Begin {
  readonly wanted: BlockFilter
  readonly unread: Unreadable
  /** The file that is still being written to, if somebody will read on: the beginning of a line at its end is left to him. */
  readonly growing: LogFile | undefined
}

/** Keeps the last ones only. */
export class RingBuffer<T> {
  readonly #items: T[] = []
  readonly #size: number

  constructor(size: number) {
    this.#size = size
  }

  /** A few more than wanted are kept, so that they are not moved each time. */
  push(items: readonly T[]): void {
    for (const item of items) this.#items.push(item)
    if (this.#items.length > 2 * this.#size + 1024) this.#items.splice(0, this.#items.length - this.#size)
  }

  get items(): readonly T[] {
    return this.#size === 0 ? [] : this.#items.slice(-this.#size)
  }
}

/** The one of the files that may grow: where it was just moved away, the new one is empty, or is not there yet. */
export const growingOf = (files: readonly LogFile[]): LogFile | undefined =>
  files.findLast(({ isCompressed, size }) => !isCompressed && size > 0)

/**
 * All lines that are wanted, the oldest first.
 * @returns bytes of the file that grows, up to the end of its last whole line
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

/** The last `count` of them, as `showAll`. */
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
  for (let look = file.isCompressed ? Number.POSITIVE_INFINITY : FIRST_LOOK; ; look *= 4) {
    const from = Math.max(0, file.size - look)
    const [ring, unread] = [new RingBuffer<SelectedLine>(count), new Unreadable()]
    const end = await pickFrom(file, from, { ...begin, unread }, (picked) => ring.push(picked))
    if (from > 0 && ring.items.length < count) continue
    begin.unread.add(unread)
    return { picked: ring.items, end }
  }
}

/** @param from bytes: the line there has begun before, unless it is 0, and is left out @returns as `showAll` */
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
