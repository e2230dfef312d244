import { type Dir, type Dirent, opendirSync } from 'node:fs'

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
