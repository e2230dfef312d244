import { closeSync, constants, fstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Origin } from '../../core/policy/origin.js'

/** A larger file is read up to here. apt takes no longer list of mirrors, either. */
const BYTES_AT_MOST = 1 << 20
const NAMES_AT_MOST = 1024

/** A file that was read. */
export interface TextFile {
  readonly text: string
  /** Where a line of it stands, for the operator. */
  at(line?: number): Origin
}

export interface FilesOptions {
  /** Called for a file of which only the beginning was read. */
  readonly onLarge?: (origin: Origin) => void
  /** Only look at files, and read none but those that name other files: for a fingerprint. */
  readonly lookOnly?: boolean
}

/** The files below a root. What is missing or cannot be read is as good as empty: it names nothing. */
export class Files {
  readonly #root: string
  readonly #options: FilesOptions
  readonly #texts = new Map<string, TextFile>()
  /** Each path that was looked at, with what would be different after a change. */
  readonly #looks = new Map<string, string>()

  constructor(root: string, options: FilesOptions = {}) {
    this.#root = root
    this.#options = options
  }

  /** A file that names other files. */
  read(path: string): TextFile {
    this.#look(path)
    const known = this.#texts.get(path)
    if (known) return known
    const file = join(this.#root, path)
    const text = { text: this.#text(file), at: (line?: number) => ({ file, line }) }
    this.#texts.set(path, text)
    return text
  }

  /** A file that names no other files: it is not read for a fingerprint. */
  leaf(path: string): TextFile {
    if (!this.#options.lookOnly) return this.read(path)
    this.#look(path)
    return { text: '', at: (line) => ({ file: join(this.#root, path), line }) }
  }

  /** Paths of the entries of a folder whose whole names fit, in the order of their bytes. */
  list(folder: string, name: RegExp): string[] {
    this.#look(folder)
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
    return this.#look(path) !== ''
  }

  /** What all that was looked at looked like. */
  looks(): string[] {
    return [...this.#looks].map(([path, look]) => `${path}\0${look}`)
  }

  #look(path: string): string {
    const known = this.#looks.get(path)
    if (known !== undefined) return known
    const look = lookOf(join(this.#root, path))
    this.#looks.set(path, look)
    return look
  }

  #text(file: string): string {
    const { bytes, whole } = beginning(file)
    if (whole) return bytes.toString()
    this.#options.onLarge?.({ file, line: undefined })
    return bytes.subarray(0, bytes.lastIndexOf('\n') + 1).toString()
  }
}

function lookOf(file: string): string {
  try {
    const stat = statSync(file, { bigint: true, throwIfNoEntry: false })
    return stat ? [stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(' ') : ''
  } catch {
    return ''
  }
}

/** The first bytes of a file; none of a device or a FIFO, on which a reader might wait. */
function beginning(file: string): { bytes: Buffer; whole: boolean } {
  const nothing = { bytes: Buffer.alloc(0), whole: true }
  let fd: number | undefined
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
    const stat = fstatSync(fd)
    if (!stat.isFile()) return nothing
    const bytes = Buffer.alloc(Math.min(stat.size, BYTES_AT_MOST))
    const length = readSync(fd, bytes)
    return { bytes: bytes.subarray(0, length), whole: stat.size <= BYTES_AT_MOST }
  } catch {
    return nothing
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}
