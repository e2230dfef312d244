/** Follows a log through all that becomes of its files: moved, deleted, emptied, and not there yet. */
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

/** How far somebody has read. */
export interface ReadPosition {
  /** Not compressed. */
  readonly file: LogFile
  /** Bytes, up to the end of a line. */
  readonly end: number
}

export interface FollowOptions {
  readonly path: string
  /** Where to go on; undefined: there is no file yet. */
  readonly position: ReadPosition | undefined
  /** Milliseconds since the epoch: what was written before is not wanted, where that cannot be told otherwise. */
  readonly since: number
  /** Waits for a while. @returns false to end */
  readonly pause: () => Promise<boolean>
  /** Something cannot be read. */
  readonly onTrouble: (text: string) => void
}

/** Whole lines that are written from `place` on, each once. The file of `place` is closed by it. */
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

  /** Whole lines that are new. */
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

/** Opens the file that has taken the place of the current one, when there is one. What hinders that is told once, and tried again. */
function opener({ path, onTrouble }: FollowOptions) {
  let told = ''
  return async (current: Following | undefined): Promise<LogFile | undefined> => {
    try {
      return (await isReplaced(path, current)) ? await openFile(path) : undefined
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code !== 'ENOENT' && message !== told) onTrouble(message)
      told = code === 'ENOENT' ? '' : message
      return undefined
    }
  }
}

/** Not before something is in the new one: until then, the old one may still be written to. @throws Error of node:fs (rejects) */
async function isReplaced(path: string, current: Following | undefined): Promise<boolean> {
  const { dev, ino, size } = await stat(path)
  if (current === undefined) return true
  return current.isIn({ device: dev, inode: ino }) ? current.isEmptied() : size > 0
}

/** Lines of files that have come and gone between two looks; and what a copy of the current one has that was not read of it. */
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
