import { closeSync, constants, fstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Origin } from '../../core/policy/origin.js'

/** A larger file is read up to this size. apt takes no longer list of mirrors either. */
const BYTES_AT_MOST = 1 << 20
const NAMES_AT_MOST = 1024

/** A file that was read. */
export interface TextFile {
  readonly text: string
  /** Whether it is there, and this user may not read it. */
  readonly isUnreadable: boolean
  /** The origin of a line of the file, for the operator. */
  at(line?: number): Origin
}

export interface FilesOptions {
  /** Called for a file that is too large, so that only its beginning was read. */
  readonly onLarge?: (origin: Origin) => void
  /** Calls only stat(2) on files, and reads only those that name other files: for a fingerprint. */
  readonly statOnly?: boolean
}

/** Reads files below a root. A file that is missing or cannot be read counts as empty. */
export class Files {
  readonly #root: string
  readonly #options: FilesOptions
  readonly #texts = new Map<string, TextFile>()
  /** The status of each path, which differs after a change. */
  readonly #statuses = new Map<string, string>()

  constructor(root: string, options: FilesOptions = {}) {
    this.#root = root
    this.#options = options
  }

  /** Reads a file that names other files. */
  read(path: string): TextFile {
    this.#statusOf(path)
    const known = this.#texts.get(path)
    if (known) return known
    const file = join(this.#root, path)
    const read = { ...this.#text(file), at: (line?: number) => ({ file, line }) }
    this.#texts.set(path, read)
    return read
  }

  /** Reads a file that names no other files, unless only a fingerprint is wanted. */
  leaf(path: string): TextFile {
    if (!this.#options.statOnly) return this.read(path)
    this.#statusOf(path)
    return { text: '', isUnreadable: false, at: (line) => ({ file: join(this.#root, path), line }) }
  }

  /**
   * Lists the paths of a folder whose names match, in the order of their bytes. @param name matches a whole
   * name
   */
  list(folder: string, name: RegExp): string[] {
    this.#statusOf(folder)
    try {
      const names = readdirSync(join(this.#root, folder)).filter((entry) => name.test(entry))
      return names
        .sort()
        .slice(0, NAMES_AT_MOST)
        .map((entry) => join(folder, entry))
    } catch {
      return []
    }
  }

  exists(path: string): boolean {
    return this.#statusOf(path) !== ''
  }

  /** The status of all paths so far, as text. */
  statuses(): string[] {
    return [...this.#statuses].map(([path, status]) => `${path}\0${status}`)
  }

  /** Returns a check whether all paths so far still have the status that they had. It keeps no texts. */
  unchanged(): () => boolean {
    const [root, statuses] = [this.#root, [...this.#statuses]]
    return () => statuses.every(([path, status]) => statusText(join(root, path)) === status)
  }

  #statusOf(path: string): string {
    const known = this.#statuses.get(path)
    if (known !== undefined) return known
    const status = statusText(join(this.#root, path))
    this.#statuses.set(path, status)
    return status
  }

  #text(file: string): Pick<TextFile, 'text' | 'isUnreadable'> {
    const { bytes, whole, isUnreadable } = beginning(file)
    if (whole) return { text: bytes.toString(), isUnreadable }
    this.#options.onLarge?.({ file, line: undefined })
    return { text: bytes.subarray(0, bytes.lastIndexOf('\n') + 1).toString(), isUnreadable }
  }
}

function statusText(file: string): string {
  try {
    const stat = statSync(file, { bigint: true, throwIfNoEntry: false })
    return stat ? [stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(' ') : ''
  } catch {
    return ''
  }
}

/** Reads the first bytes of a file; none of a device or a FIFO, on which a reader might wait. */
function beginning(file: string): { bytes: Buffer; whole: boolean; isUnreadable: boolean } {
  const nothing = { bytes: Buffer.alloc(0), whole: true, isUnreadable: false }
  let fd: number | undefined
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
    const stat = fstatSync(fd)
    if (!stat.isFile()) return nothing
    const bytes = Buffer.alloc(Math.min(stat.size, BYTES_AT_MOST))
    const length = readSync(fd, bytes)
    return { bytes: bytes.subarray(0, length), whole: stat.size <= BYTES_AT_MOST, isUnreadable: false }
  } catch (error) {
    return { ...nothing, isUnreadable: (error as NodeJS.ErrnoException).code === 'EACCES' }
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}
