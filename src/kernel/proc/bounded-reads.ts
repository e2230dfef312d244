/** Directories and files of the kernel that others can make very long: their reader has little time. */
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

/** What the kernel makes of such a file at a time (fs/seq_file.c), whatever it is asked for. */
const PART_LENGTH = 4096

/**
 * The entries of a directory, read as they are asked for: whoever may make very many must not keep a reader who has little time.
 * Where it may not be read, or is gone, it has none.
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

/** A process that ends meanwhile takes its directories with it. */
function next(folder: Dir): Dirent | null {
  try {
    return folder.readSync()
  } catch {
    return null
  }
}

/**
 * The lines of a file, read part by part: the kernel may begin anew for each, and one of thousands of lines takes it seconds.
 * Where it may not be read, is gone, or the time is over, it has none.
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
 * What stat(2) says of a path. It may be gone, or be longer than any path may be (PATH_MAX): whoever may make directories makes
 * them one below the other, from each to the next. Then there is nothing.
 */
export function statusOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch {
    return undefined
  }
}
