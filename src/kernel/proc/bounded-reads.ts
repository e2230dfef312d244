/**
 * Reads directories and files of the kernel part by part: users can make them very long, and the packet path
 * has little time.
 */
import {
  closeSync,
  type Dir,
  type Dirent,
  opendirSync,
  openSync,
  readSync,
  type Stats,
  statSync,
} from 'node:fs'

/** The kernel returns no more of such a file in one read (fs/seq_file.c): bytes. */
const PART_LENGTH = 4096

/**
 * Reads the entries of a directory one by one, so that a user who makes very many cannot delay the packet
 * path. Yields none when the directory cannot be read or is gone.
 */
export function* entriesOf(path: string): Generator<Dirent> {
  const folder = open(path)
  if (folder === undefined) return
  try {
    for (let entry = next(folder); entry !== null; entry = next(folder)) yield entry
  } finally {
    folder.closeSync()
  }
}

function open(path: string): Dir | undefined {
  try {
    return opendirSync(path)
  } catch {
    return undefined
  }
}

/** Reads the next entry. A directory of a process is gone when the process ends. */
function next(folder: Dir): Dirent | null {
  try {
    return folder.readSync()
  } catch {
    return null
  }
}

/**
 * Reads the lines of a file part by part: for each part the kernel may start from the beginning, and a file
 * of thousands of lines takes seconds. Returns none when the file cannot be read, is gone, or `isLate`
 * returns true.
 */
export function linesOf(path: string, isLate = () => false): string[] {
  let file: number | undefined
  try {
    file = openSync(path, 'r')
    return Buffer.concat(partsOf(file, isLate))
      .toString()
      .split('\n')
      .filter((line) => line !== '')
  } catch {
    return []
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

function partsOf(file: number, isLate: () => boolean): Buffer[] {
  const parts: Buffer[] = []
  const bytes = Buffer.alloc(PART_LENGTH)
  for (let length = readSync(file, bytes); length > 0; length = readSync(file, bytes)) {
    if (isLate()) return []
    parts.push(Buffer.from(bytes.subarray(0, length)))
  }
  return parts
}

/**
 * Calls stat(2). Returns undefined when the path is gone, or longer than PATH_MAX: a user can make
 * directories below each other without end.
 */
export function statusOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch {
    return undefined
  }
}
