import { close, closeSync, constants, fstat, fstatSync, lstat, open, openSync, read, write } from 'node:fs'
import { Socket } from 'node:net'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { makeFolder } from '../../system/atomic-write.js'

const [openFile, closeFile, writeTo, readFrom] = [
  promisify(open),
  promisify(close),
  promisify(write),
  promisify(read),
]
const [statOf, statOfPath] = [promisify(fstat), promisify(lstat)]

/** -rw-r-----: other users must not read addresses and users. */
const FILE_MODE = 0o640
/**
 * O_NONBLOCK: the file may be a named pipe, which must not block. O_NOFOLLOW: who may write in the folder
 * must not lead the lines into another file, such as one of root's.
 */
const FLAGS =
  constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK | constants.O_NOFOLLOW
const STDOUT = 1
const LINE_FEED = 0x0a

/** The destination of lines. Any method may fail at any time, with an Error of node:fs. */
export interface Outlet {
  /** @returns the number of bytes taken @throws EAGAIN (rejects) when none can be taken now */
  write(bytes: Uint8Array): Promise<number>
  /** Whether the open file is still the one at its path. */
  isInPlace(): Promise<boolean>
  /** Whether the open file has no name left, so that nobody can read it. */
  isGone(): Promise<boolean>
  /** Opens the file at its path. */
  renew(): Promise<void>
  /** Whether the file ends within a line. */
  isTorn(): Promise<boolean>
  close(): void
}

export class FileOutlet implements Outlet {
  readonly #path: string
  #fd: number

  constructor(path: string) {
    this.#path = path
    makeFolder(dirname(path))
    this.#fd = openSync(path, FLAGS, FILE_MODE)
  }

  async write(bytes: Uint8Array): Promise<number> {
    return (await writeTo(this.#fd, bytes)).bytesWritten
  }

  async isInPlace(): Promise<boolean> {
    const named = await statOfPath(this.#path).catch(() => undefined)
    const { dev, ino } = await statOf(this.#fd)
    return named?.dev === dev && named.ino === ino
  }

  async isGone(): Promise<boolean> {
    return (await statOf(this.#fd)).nlink === 0
  }

  async renew(): Promise<void> {
    const old = this.#fd
    this.#fd = await this.#open()
    await closeFile(old).catch(() => {})
  }

  async isTorn(): Promise<boolean> {
    const file = await statOf(this.#fd)
    if (!file.isFile() || file.size === 0) return false
    const { bytesRead, buffer } = await readFrom(this.#fd, Buffer.alloc(1), 0, 1, file.size - 1)
    return bytesRead === 1 && buffer[0] !== LINE_FEED
  }

  close(): void {
    closeSync(this.#fd)
  }

  /** Creates the folder, too, if it has vanished. */
  async #open(): Promise<number> {
    try {
      return await openFile(this.#path, FLAGS, FILE_MODE)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      makeFolder(dirname(this.#path))
      return await openFile(this.#path, FLAGS, FILE_MODE)
    }
  }
}

/**
 * Sockets that make libuv set O_NONBLOCK on a descriptor, so that a slow reader blocks no thread. They have
 * no other use; they are kept here because a socket that is collected would close its file.
 */
const HOLDERS: Socket[] = []

/** Standard output: journald, a pipe to a program, or a file. It has no path, and is not closed. */
export class StdoutOutlet implements Outlet {
  constructor() {
    const file = fstatSync(STDOUT)
    if (file.isFIFO() || file.isSocket())
      HOLDERS.push(new Socket({ fd: STDOUT, readable: false, writable: true }).unref())
  }

  async write(bytes: Uint8Array): Promise<number> {
    return (await writeTo(STDOUT, bytes)).bytesWritten
  }

  async isInPlace(): Promise<boolean> {
    return true
  }

  async isGone(): Promise<boolean> {
    return false
  }

  async renew(): Promise<void> {}

  async isTorn(): Promise<boolean> {
    return false
  }

  close(): void {}
}
