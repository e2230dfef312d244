import { close, closeSync, constants, fstat, fstatSync, open, openSync, read, stat, write } from 'node:fs'
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
const [statOf, statOfPath] = [promisify(fstat), promisify(stat)]

/** -rw-r-----: addresses and users are nobody else's business. */
const FILE_MODE = 0o640
/** A pipe by a name must not block, either. */
const FLAGS = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK
const STDOUT = 1
const LINE_FEED = 0x0a

/** Where lines go. All of it may fail at any time, with an Error of node:fs. */
export interface Outlet {
  /** @returns how many bytes were taken; EAGAIN: none, for now */
  write(bytes: Uint8Array): Promise<number>
  /** Whether it is what its name leads to. */
  isInPlace(): Promise<boolean>
  /** Whether what is written can never be read again: it has no name left. */
  isGone(): Promise<boolean>
  /** Opens what its name leads to. */
  renew(): Promise<void>
  /** Whether what it holds breaks off within a line. */
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

  /** With its folder, if that has vanished. */
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
 * By libuv, what they hold becomes O_NONBLOCK: a reader who is slow must keep no thread waiting. That is all they are for; but
 * one that nobody holds would close its file.
 */
const HOLDERS: Socket[] = []

/** Standard output: of journald, of a program behind a pipe, or a file. It has no name, and is not ours to close. */
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
