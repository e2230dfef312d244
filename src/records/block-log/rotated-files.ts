/** The files of a log: the one that is written to, and those that logrotate has made of it. */
import { constants } from 'node:fs'
import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { pipeline, Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { LINE_AT_MOST, readLine } from './event-reader.js'
import { LineSplitter, type Lines } from './line-splitter.js'

const CHUNK = 256 * 1024

/** A file, or what has come of one. Where two are the same, it is so: by number, or, once it was copied or compressed, by its beginning. */
export interface Identity {
  readonly device: number
  readonly inode: number
  /** Its first line; undefined where it has none yet. */
  readonly head: string | undefined
}

/** An open file of a log. The one who has asked for it closes it. */
export interface LogFile extends Identity {
  readonly path: string
  readonly handle: FileHandle
  readonly isCompressed: boolean
  /** Bytes, of which a compressed file has more to tell. */
  readonly size: number
  /** Of its first event; where there is none, of its last change. Milliseconds since the epoch. */
  readonly begins: number
}

/** Of rotated files: `blocks.json.1`, `blocks.json-20261126`, `blocks.json-20261126-1800.gz`. */
const ROTATED = /^(?:\.\d+|[-.]\d{8}[-_T\d]*)(\.gz)?$/
/** How logrotate may have compressed one so that it is not read here. */
const UNREADABLE = /^(?:\.\d+|[-.]\d{8}[-_T\d]*)\.(?:bz2|xz|zst|lz4|Z)$/

export interface FoundFiles {
  /** The oldest first; the one that is written to, if there is one, is the last. */
  readonly files: readonly LogFile[]
  /** Those that cannot be read here, and why. */
  readonly unread: readonly string[]
}

/** How often files may be moved while they are being opened. */
const TRIES = 100

/**
 * Opens all files of a log. None is missing and none there twice, even if they are rotated meanwhile.
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

/** Paths of the files that there are now. Where both are there, one is being compressed: the other one is whole. */
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

/** An old one that cannot be read hinders nobody. @returns undefined where one of them is gone by now @throws for `path` itself */
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

/** Whether the same names still stand for the same files. */
async function isStill(path: string, names: readonly string[], files: readonly LogFile[]): Promise<boolean> {
  const again = await list(path)
  if (again.names.toSorted().join('\0') !== names.toSorted().join('\0')) return false
  const now = await Promise.all(files.map((file) => stat(file.path).catch(() => undefined)))
  return files.every(({ device, inode }, i) => now[i]?.ino === inode && now[i].dev === device)
}

/** @throws Error of node:fs (rejects) */
export async function openFile(path: string): Promise<LogFile> {
  // A FIFO without a writer must not hang whoever reads a log.
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

/** RFC 1952, section 2.3.1: ID1 and ID2. By them, not by its name: a file may have been given another one. */
async function isGzip(handle: FileHandle): Promise<boolean> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(2), 0, 2, 0)
  return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b
}

/** Only a whole one says who it is: of another nobody knows how it goes on. */
export async function firstLine({
  handle,
  isCompressed,
}: Pick<LogFile, 'handle' | 'isCompressed'>): Promise<string | undefined> {
  try {
    for await (const { lines, end } of readLines({ handle, isCompressed }, 0, LINE_AT_MOST + 1))
      return end > 0 ? lines[0] : undefined
  } catch {
    // Whoever reads all of it will say why that fails.
  }
  return undefined
}

/** By what they hold, and not by their names: those depend on logrotate's settings, and these may have changed. */
const inOrder = (files: readonly LogFile[], path: string) =>
  files.toSorted((a, b) => Number(a.path === path) - Number(b.path === path) || a.begins - b.begins)

/** Whether two are the same file, or one is a copy of the other. */
export const isSame = (a: Identity, b: Identity): boolean =>
  (a.device === b.device && a.inode === b.inode) || (a.head !== undefined && a.head === b.head)

/** Lines, and how many bytes there are up to the end of the last of them. */
export interface Read {
  readonly lines: Lines
  readonly end: number
}

/**
 * Reads whole lines, and at the end of the file what follows the last one, in pieces.
 * @param from bytes, uncompressed, to leave out @param to the end, as far as anybody knows
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

/** All of a file that can be read of it: a compressed one may be damaged, or cut short. @param onTrouble is told */
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

/** Each piece is valid until the next is asked for. */
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

/** Lines of a stream, as they come. */
export async function* linesOf(stream: Readable): AsyncGenerator<Lines> {
  const splitter = new LineSplitter()
  for await (const bytes of stream as AsyncIterable<Buffer>) yield splitter.push(bytes)
  yield splitter.flush()
}
