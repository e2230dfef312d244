/** Follows a log while its files are created, moved, deleted or emptied. */
import { stat } from 'node:fs/promises'
import { readLine } from './event-reader.js'
import { LineSplitter, type Lines } from './line-splitter.js'
import {
  closeFiles,
  firstLine,
  isSame,
  type LogFile,
  openFile,
  openFiles,
  readWhole,
} from './rotated-files.js'

const CHUNK = 256 * 1024

/** A position in a log. */
export interface ReadPosition {
  /** The file, not compressed. */
  readonly file: LogFile
  /** Bytes, up to the end of a line. */
  readonly end: number
}

export interface FollowOptions {
  readonly path: string
  /** Position to go on from; undefined: there is no file yet. */
  readonly position: ReadPosition | undefined
  /**
   * Milliseconds since the epoch. Files that begin before are skipped when the position does not say what was
   * read.
   */
  readonly since: number
  /** Waits before the next check. @returns false to end */
  readonly pause: () => Promise<boolean>
  /** Called when something cannot be read. */
  readonly onTrouble: (text: string) => void
}

/** Yields whole lines from `position` on, each once. Closes the file of `position`. */
export async function* follow(options: FollowOptions): AsyncGenerator<Lines> {
  let current = options.position && new Following(options.position)
  let { since } = options
  const open = opener(options)
  try {
    for (;;) {
      const next = await open(current)
      if (next === undefined) {
        if (current !== undefined) yield* current.grown()
        if (await options.pause()) continue
        return
      }
      try {
        if (current !== undefined && !current.isIn(next)) yield* current.grown()
        since = Math.max(since, current?.last ?? 0)
        yield* between(options, current, next, since)
      } finally {
        await current?.file.handle.close()
        current = new Following({ file: next, end: 0 })
      }
    }
  } finally {
    await current?.file.handle.close()
  }
}

/** A file that is being read as it grows. */
class Following {
  readonly file: LogFile
  /** The first line. */
  head: string | undefined
  /** The time of the last event. */
  last = 0
  readonly #splitter: LineSplitter
  readonly #buffer = Buffer.allocUnsafe(CHUNK)
  #at: number

  constructor({ file, end }: ReadPosition) {
    this.file = file
    this.head = file.head
    this.#splitter = new LineSplitter(end)
    this.#at = end
  }

  /** Bytes read, up to the end of the last whole line. */
  get end(): number {
    return this.#splitter.end
  }

  isIn({ device, inode }: Pick<LogFile, 'device' | 'inode'>): boolean {
    return this.file.device === device && this.file.inode === inode
  }

  /** Yields new whole lines. */
  async *grown(): AsyncGenerator<Lines> {
    for (;;) {
      const { bytesRead } = await this.file.handle.read(this.#buffer, 0, CHUNK, this.#at)
      if (bytesRead === 0) return
      const isFirst = this.#splitter.end === 0
      const lines = this.#splitter.push(this.#buffer.subarray(0, bytesRead))
      this.#at += bytesRead
      if (lines.length === 0) continue
      if (isFirst) this.head ??= lines[0]
      const line = readLine(lines.at(-1))
      if (line?.kind === 'block') this.last = line.time
      yield lines
    }
  }

  /** Whether the file was emptied, and may have been filled again since. */
  async isEmptied(): Promise<boolean> {
    const { size } = await this.file.handle.stat()
    if (size < this.#at) return true
    if (size === this.#at || this.head === undefined) return false
    return (await firstLine(this.file)) !== this.head
  }
}

/**
 * Returns a function that opens the file that has replaced the current one, if any. An error is reported
 * once, and tried again.
 */
function opener({ path, onTrouble }: FollowOptions) {
  let reported = ''
  return async (current: Following | undefined): Promise<LogFile | undefined> => {
    try {
      return (await isReplaced(path, current)) ? await openFile(path) : undefined
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code !== 'ENOENT' && message !== reported) onTrouble(message)
      reported = code === 'ENOENT' ? '' : message
      return undefined
    }
  }
}

/**
 * Whether another file is at the path. An empty new file does not count: until it has contents, the old one
 * may still be written to.
 * @throws Error of node:fs (rejects)
 */
async function isReplaced(path: string, current: Following | undefined): Promise<boolean> {
  const { dev, ino, size } = await stat(path)
  if (current === undefined) return true
  return current.isIn({ device: dev, inode: ino }) ? current.isEmptied() : size > 0
}

/**
 * Yields lines of files that were created and rotated between two checks, and unread lines in a copy of the
 * current file.
 */
async function* between(
  { path, onTrouble }: FollowOptions,
  current: Following | undefined,
  next: LogFile,
  since: number,
): AsyncGenerator<Lines> {
  const files = await openFiles(path).then(
    (found) => found.files,
    (error: Error) => {
      onTrouble(error.message)
      return []
    },
  )
  try {
    const end = files.findIndex(({ device, inode }) => device === next.device && inode === next.inode)
    const moved = files.slice(0, end < 0 ? files.length : end)
    const own =
      current === undefined
        ? -1
        : moved.findLastIndex((file) => isSame(file, { ...current.file, head: current.head }))
    const later = own < 0 ? moved.filter(({ begins }) => begins >= since) : moved.slice(own + 1)
    if (own >= 0 && !current!.isIn(moved[own]!)) yield* readWhole(moved[own]!, onTrouble, current!.end)
    for (const file of later) yield* readWhole(file, onTrouble)
  } finally {
    await closeFiles(files)
  }
}
