/**
 * Finds the log that a command reads: a file, standard input, or the log of the configuration with its
 * rotated files.
 */
import { createReadStream, statSync } from 'node:fs'
import type { Lines } from './line-splitter.js'
import { closeFiles, type FoundFiles, linesOf, openFile, openFiles, readWhole } from './rotated-files.js'
import type { Unreadable } from './unreadable.js'

export interface Source {
  /** undefined: standard input. */
  readonly path: string | undefined
  /** Whether rotated files beside it belong to it: `blocks.json.1`. */
  readonly hasRotated: boolean
}

const FROM_JOURNAL =
  'the blocks are in the journal (log.destination is stdout): journalctl -u checkvalve -o cat | checkvalve'

/**
 * @param word argument of the command line: a path, or `-`
 * @param destination returns log.destination; called when there is no argument
 * @param command named in the advice
 * @throws Error when the log is in the journal
 */
export function sourceOf(word: string | undefined, destination: () => string, command: string): Source {
  if (word === '-') return { path: undefined, hasRotated: false }
  if (word !== undefined) return { path: word, hasRotated: false }
  const path = destination()
  if (path === 'stdout') throw new Error(`${FROM_JOURNAL} ${command} -`)
  return { path, hasRotated: true }
}

/** @throws Error (rejects) with a message for the operator */
export async function openSource({ path, hasRotated }: Source): Promise<FoundFiles> {
  if (path === undefined) return { files: [], unread: [] }
  try {
    return hasRotated ? await openFiles(path) : { files: [await openFile(path)], unread: [] }
  } catch (error) {
    throw new Error(explain(error as NodeJS.ErrnoException, path))
  }
}

function explain({ code, message }: NodeJS.ErrnoException, path: string): string {
  if (code === 'EACCES')
    return `${path} may not be read by user ${process.getuid!()}: be root, or a member of the file's group`
  return code === 'ENOENT' ? `${path} does not exist` : `${path} cannot be read: ${message}`
}

/**
 * Whether a path is a pipe, such as a shell's <(...): it can be read only once, as it comes. A path that may
 * not be looked at is none; to open it says why.
 */
export function isStream(path: string): boolean {
  try {
    return statSync(path).isFIFO()
  } catch {
    return false
  }
}

/**
 * Yields all lines of the files that may have events since a time, the oldest first.
 * @throws Error (rejects) with a message for the operator
 */
export async function* linesFrom(source: Source, since: number, unread: Unreadable): AsyncGenerator<Lines> {
  if (source.path === undefined) yield* linesOf(process.stdin)
  else if (isStream(source.path)) yield* linesOf(createReadStream(source.path))
  else {
    const found = await openSource(source)
    try {
      if (found.files.length === 0) throw new Error(missing(source.path))
      for (const text of found.unread) unread.trouble(text)
      for (const file of found.files.slice(firstSince(found, since)))
        yield* readWhole(file, (text) => unread.trouble(text))
    } finally {
      await closeFiles(found.files)
    }
  }
}

export const missing = (path: string) =>
  `there is no block log at ${path}: has the service run? If it writes elsewhere, set log.destination`

/**
 * Returns the index of the first file to read: a file is skipped when the next one begins before that time.
 */
export function firstSince({ files }: FoundFiles, since: number): number {
  return Math.max(
    0,
    files.findLastIndex(({ begins }) => begins < since),
  )
}
