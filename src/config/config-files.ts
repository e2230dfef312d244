/** Reads the files of a configuration: the main file, then conf.d/*.yaml beside it. */
import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Problem } from './problems.js'

const MAX_BYTES = 1024 * 1024

export interface TextFile {
  readonly file: string
  readonly text: string
}

export interface FilesRead {
  readonly files: readonly TextFile[]
  readonly problems: readonly Problem[]
  /** Messages about files of conf.d that are not read because of their names. */
  readonly notes: readonly string[]
}

/**
 * Reads `path`, then the files of conf.d beside it in the order of their names. Reports every file that
 * cannot be read.
 */
export function readFiles(path: string): FilesRead {
  const directory = join(dirname(path), 'conf.d')
  const listed = listDirectory(directory)
  const problems: Problem[] = [...listed.problems]
  const files: TextFile[] = []
  const fragments = listed.names.filter((name) => name.endsWith('.yaml')).map((name) => join(directory, name))
  for (const file of [path, ...fragments]) {
    const read = readText(file)
    if ('text' in read) files.push({ file, text: read.text })
    else problems.push({ origin: { file, line: read.line }, key: '', reason: read.reason })
  }
  const notes = listed.names
    .filter((name) => name.endsWith('.yml'))
    .map((name) => `${join(directory, name)} is not read: its name does not end in .yaml`)
  return { files, problems, notes }
}

/**
 * Lists the names in conf.d, sorted, without names that begin with a dot. A missing conf.d counts as an empty
 * one.
 */
function listDirectory(directory: string): { names: string[]; problems: Problem[] } {
  try {
    const names = readdirSync(directory).filter((name) => !name.startsWith('.'))
    return { names: names.sort(), problems: [] }
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return { names: [], problems: [] }
    const reason = errorCode(error) === 'ENOTDIR' ? 'must be a directory of *.yaml files' : explain(error)
    return { names: [], problems: [{ origin: { file: directory, line: undefined }, key: '', reason }] }
  }
}

/**
 * The text of a file, or the reason why it cannot be used. A message is the path, its line if known, and the
 * reason.
 */
export type TextRead = { text: string } | { reason: string; line: number | undefined }

/** Reads a regular file of up to 1 MiB of UTF-8. Never throws. */
export function readText(file: string): TextRead {
  let descriptor: number | undefined
  try {
    // O_NONBLOCK: a FIFO without a writer must not hang the start.
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK)
    const stat = fstatSync(descriptor)
    if (stat.isDirectory()) return { reason: 'is a directory: give the file in it', line: undefined }
    if (!stat.isFile()) return { reason: 'is not a regular file', line: undefined }
    if (stat.size > MAX_BYTES) return tooLarge(stat.size)
    return decode(readFileSync(descriptor))
  } catch (error) {
    return { reason: explain(error), line: undefined }
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}

function tooLarge(size: number): TextRead {
  const reason = `has ${size} bytes, more than the ${MAX_BYTES} (1 MiB) of a configuration: is it the right file?`
  return { reason, line: undefined }
}

/** Decodes UTF-8 without zero bytes. Otherwise returns the line of the first wrong byte. */
function decode(bytes: Buffer): TextRead {
  if (bytes.length > MAX_BYTES) return tooLarge(bytes.length)
  const zero = bytes.indexOf(0)
  if (zero >= 0)
    return { reason: 'is not text: there is a zero byte on this line', line: lineAt(bytes, zero) }
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) }
  } catch {
    return { reason: 'is not UTF-8: save the file in that encoding', line: firstBadLine(bytes) }
  }
}

function lineAt(bytes: Buffer, offset: number): number {
  return bytes.subarray(0, offset).filter((byte) => byte === 0x0a).length + 1
}

/**
 * Finds the first line that is not UTF-8. A line feed is never part of a longer UTF-8 sequence, so lines are
 * tried one by one.
 */
function firstBadLine(bytes: Buffer): number {
  const lines = bytes.toString('latin1').split('\n')
  const isBad = (line: string): boolean => {
    const raw = Buffer.from(line, 'latin1')
    return !Buffer.from(raw.toString('utf8'), 'utf8').equals(raw)
  }
  return lines.findIndex(isBad) + 1
}

function errorCode(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code
}

function explain(error: unknown): string {
  switch (errorCode(error)) {
    case 'ENOENT':
      return 'does not exist: create it, or name another file'
    case 'EACCES':
      return `may not be read by user ${process.getuid?.()}: run as root, or change the owner or the mode of the file`
    case 'ENOTDIR':
      return 'cannot exist: a part of its path is a file, not a directory'
    case 'ELOOP':
      return 'is a symbolic link that leads to itself'
    default:
      return `cannot be read (${errorCode(error) ?? 'unknown error'})`
  }
}
