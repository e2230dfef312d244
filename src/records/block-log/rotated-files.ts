/**
 * Finds and reads the files of a log: the one that is written to, and those that logrotate has made of it.
 */
import { constants } from 'node:fs'
import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { pipeline, Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { LINE_AT_MOST, readLine } from './event-reader.js'
import { LineSplitter, type Lines } from './line-splitter.js'

const CHUNK = 256 * 1024

/** Identifies a file, by its inode number or, after it was copied or compressed, by its first line. */
export interface Identity {
  readonly device: number
  readonly inode: number
  /** The first line; undefined when it is not complete yet. */
  readonly head: string | undefined
}

/** An open file of a log. The caller closes it. */
export interface LogFile extends Identity {
  readonly path: string
  readonly handle: FileHandle
  readonly isCompressed: boolean
  /** Size on disk, in bytes. */
  readonly size: number
  /** Time of the first event, or of the last change when there is no event. Milliseconds since the epoch. */
  readonly begins: number
}

/** Endings of rotated files: `blocks.json.1`, `blocks.json-20261126`, `blocks.json-20261126-1800.gz`. */
const ROTATED = /^(?:\.\d+|[-.]\d{8}[-_T\d]*)(\.gz)?$/
/** Endings of files in compressed formats that are not read. */
const UNREADABLE = /^(?:\.\d+|[-.]\d{8}[-_T\d]*)\.(?:bz2|xz|zst|lz4|Z)$/

export interface FoundFiles {
  /** The oldest first. The file that is written to, if there is one, is the last. */
  readonly files: readonly LogFile[]
  /** Messages about files that cannot be read. */
  readonly unread: readonly string[]
}

/** Maximum number of attempts when files are moved while they are opened. */
const TRIES = 100

/**
 * Opens all files of a log. No file is missing or twice in the list, even when the log is rotated meanwhile.
 * @throws Error of node:fs (rejects)
 */
export async function openFiles(path: string): Promise<FoundFiles> {
  for (let tries = 0; tries < TRIES; tries++) {
    const { names, foreign } = await list(path)
    const opened = await openEach(path, names)
    if (opened === undefined) continue
    const { files, unread } = opened
    if (await isStill(path, names, files))
      return { files: inOrder(files, path), unread: [...unread, ...foreign.map(foreignText)] }
    await closeFiles(files)
  }
  throw new Error(`${path} is being rotated all the time: try again`)
}

const foreignText = (path: string) => `${path} is not read: only .gz is`

export async function closeFiles(files: readonly LogFile[]): Promise<void> {
  await Promise.all(files.map(({ handle }) => handle.close()))
}

/**
 * Lists the current files. When a file and its .gz exist, it is being compressed, and only the file is
 * complete.
 */
async function list(path: string): Promise<{ names: string[]; foreign: string[] }> {
  const [folder, name] = [dirname(path), basename(path)]
  const all = (await namesIn(folder)).filter((each) => each.startsWith(name))
  const ends = (each: string) => each.slice(name.length)
  const names = all.filter((each) => each === name || ROTATED.test(ends(each)))
  const whole = names.filter((each) => !(each.endsWith('.gz') && names.includes(each.slice(0, -3))))
  const foreign = all.filter((each) => UNREADABLE.test(ends(each)))
  return {
    names: whole.map((each) => join(folder, each)),
    foreign: foreign.map((each) => join(folder, each)),
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/**
 * Opens files; an old one that cannot be opened is skipped.
 * @returns undefined when one is gone by now
 * @throws for `path` itself
 */
async function openEach(
  path: string,
  names: readonly string[],
): Promise<{ files: LogFile[]; unread: string[] } | undefined> {
  const [files, unread] = [[] as LogFile[], [] as string[]]
  for (const name of names)
    try {
      files.push(await openFile(name))
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code !== 'ENOENT' && name !== path) {
        unread.push(`${name} cannot be read: ${message}`)
        continue
      }
      await closeFiles(files)
      if (code === 'ENOENT') return undefined
      throw error
    }
  return { files, unread }
}

/** Whether the same paths still lead to the same files. */
async function isStill(path: string, names: readonly string[], files: readonly LogFile[]): Promise<boolean> {
  const again = await list(path)
  if (again.names.toSorted().join('\0') !== names.toSorted().join('\0')) return false
  const now = await Promise.all(files.map((file) => stat(file.path).catch(() => undefined)))
  return files.every(({ device, inode }, i) => now[i]?.ino === inode && now[i].dev === device)
}

/** @throws Error of node:fs (rejects) */
export async function openFile(path: string): Promise<LogFile> {
  // With O_NONBLOCK a FIFO without a writer does not hang the reader.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const { dev, ino, size, mtimeMs } = await handle.stat()
    const isCompressed = await isGzip(handle)
    const head = await firstLine({ handle, isCompressed })
    const line = readLine(head)
    const begins = line?.kind === 'block' ? line.time : mtimeMs
    return { path, handle, device: dev, inode: ino, size, isCompressed, head, begins }
  } catch (error) {
    await handle.close()
    throw error
  }
}

/**
 * Recognises a gzip file by ID1 and ID2 (RFC 1952, section 2.3.1), not by its name: a file may have been
 * renamed.
 */
async function isGzip(handle: FileHandle): Promise<boolean> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(2), 0, 2, 0)
  return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b
}

/** Reads the first line. An incomplete line is no identity: returns undefined then. */
export async function firstLine({
  handle,
  isCompressed,
}: Pick<LogFile, 'handle' | 'isCompressed'>): Promise<string | undefined> {
  try {
    for await (const { lines, end } of readLines({ handle, isCompressed }, 0, LINE_AT_MOST + 1))
      return end > 0 ? lines[0] : undefined
  } catch {
    // The error is reported when the whole file is read.
  }
  return undefined
}

/**
 * Sorts files by the time of their first event, not by name: names depend on settings of logrotate, which may
 * have changed.
 */
const inOrder = (files: readonly LogFile[], path: string) =>
  files.toSorted((a, b) => Number(a.path === path) - Number(b.path === path) || a.begins - b.begins)

/** Whether two files are the same, or one is a copy of the other. */
export const isSame = (a: Identity, b: Identity): boolean =>
  (a.device === b.device && a.inode === b.inode) || (a.head !== undefined && a.head === b.head)

/** Lines, and the number of bytes up to the end of the last one. */
export interface Read {
  readonly lines: Lines
  readonly end: number
}

/**
 * Reads whole lines in pieces, and at the end of the file the rest after the last line feed.
 * @param from uncompressed bytes to skip @param to known size of an uncompressed file, in bytes
 */
export async function* readLines(
  file: Pick<LogFile, 'handle' | 'isCompressed'>,
  from = 0,
  to = Number.POSITIVE_INFINITY,
): AsyncGenerator<Read> {
  const splitter = new LineSplitter(from)
  for await (const bytes of file.isCompressed ? gunzipped(file.handle, from) : plain(file.handle, from, to)) {
    const lines = splitter.push(bytes)
    if (lines.length > 0) yield { lines, end: splitter.end }
  }
  const { end } = splitter
  const rest = splitter.flush()
  if (rest.length > 0) yield { lines: rest, end }
}

/**
 * Reads as much of a file as possible: a compressed file may be damaged, or cut short.
 * @param onTrouble receives the message
 */
export async function* readWhole(
  file: LogFile,
  onTrouble: (text: string) => void,
  from = 0,
): AsyncGenerator<Lines> {
  try {
    for await (const { lines } of readLines(file, from)) yield lines
  } catch (error) {
    onTrouble(`${file.path} cannot be read to its end: ${(error as Error).message}`)
  }
}

/** Yields pieces of a file. Each piece is valid until the next is requested. */
async function* plain(handle: FileHandle, from: number, to: number): AsyncGenerator<Buffer> {
  const buffer = Buffer.allocUnsafe(CHUNK)
  for (let at = from; at < to; ) {
    const { bytesRead } = await handle.read(buffer, 0, Math.min(CHUNK, to - at), at)
    if (bytesRead === 0) return
    at += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}

async function* gunzipped(handle: FileHandle, from: number): AsyncGenerator<Buffer> {
  const source = Readable.from(copied(plain(handle, 0, Number.POSITIVE_INFINITY)))
  const unzipped = pipeline(source, createGunzip({ chunkSize: CHUNK }), () => {})
  let skip = from
  for await (const bytes of unzipped as AsyncIterable<Buffer>) {
    if (bytes.length > skip) yield bytes.subarray(skip)
    skip = Math.max(0, skip - bytes.length)
  }
}

async function* copied(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const bytes of pieces) yield Buffer.from(bytes)
}

/** Yields the lines of a stream as they come. */
export async function* linesOf(stream: Readable): AsyncGenerator<Lines> {
  const splitter = new LineSplitter()
  for await (const bytes of stream as AsyncIterable<Buffer>) yield splitter.push(bytes)
  yield splitter.flush()
}
