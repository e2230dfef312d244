import { close, closeSync, open, openSync, write } from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { makeFolder } from '../folder.js'

const [openFile, closeFile, writeFile] = [promisify(open), promisify(close), promisify(write)]

/** -rw-r-----: addresses and users are nobody else's business. */
const FILE_MODE = 0o640
const STDOUT = 1
/** Bytes that may wait for a slow disk. */
const BUFFER = 4 * 1024 * 1024
const CHUNK = 64 * 1024
/** What failed is tried again after this. */
const RETRY_MS = 500
/** A disk that takes nothing must not keep the service from ending. */
const CLOSE_MS = 2000

export interface LineFileOptions {
  /** A path, or `stdout`. */
  readonly destination: string
  /** Lines could not be kept, because too many wait already or the file was closed. */
  readonly onDrop: (lines: number) => void
  /** Writing fails, told once until it works again; or opening the file anew does. */
  readonly onTrouble: (error: Error) => void
}

/**
 * A file that lines are added to, without waiting for the disk. No failure of the disk throws, loses a line that
 * still fits into memory, or tears one in two: what fails is tried again.
 */
export class LineFile {
  readonly #options: LineFileOptions
  #fd: number
  #lines: string[] = []
  /** Length of #lines. Counted as text: JSON of addresses and names is nearly all ASCII. */
  #waiting = 0
  /** What is being written, and how much of it was. */
  #chunk = Buffer.alloc(0)
  #written = 0
  #reopen = false
  #troubled = false
  #closed = false
  /** Settles when nothing is left to do, or nothing can be done before the end. */
  #draining: Promise<void> | undefined
  /** Ends the wait before another try. */
  #wake = () => {}

  /** @throws Error of node:fs when the file cannot be opened */
  constructor(options: LineFileOptions) {
    this.#options = options
    this.#fd = options.destination === 'stdout' ? STDOUT : openNow(options.destination)
  }

  /** Adds a line, which ends with a line feed. */
  write(line: string): void {
    if (this.#closed || this.#waiting + line.length > BUFFER) this.#options.onDrop(1)
    else {
      this.#lines.push(line)
      this.#waiting += line.length
      this.#start()
    }
  }

  /** Opens the path anew, after the file was moved away. Where that fails, lines go on to the old file. */
  reopen(): void {
    if (this.#closed || this.#fd === STDOUT) return
    this.#reopen = true
    this.#wake()
    this.#start()
  }

  /** Writes what waits and closes, within two seconds; what could not be written by then is dropped. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#wake()
    const inTime = await Promise.race([this.#drained(), pause(CLOSE_MS)])
    const unwritten = this.#chunk.subarray(this.#lineStart()).toString().split('\n').length - 1
    if (unwritten + this.#lines.length > 0) this.#options.onDrop(unwritten + this.#lines.length)
    if (inTime && this.#fd !== STDOUT) closeSync(this.#fd)
  }

  async #drained(): Promise<true> {
    await this.#draining
    return true
  }

  #start(): void {
    this.#draining ??= this.#drain()
  }

  async #drain(): Promise<void> {
    // All lines of one tick go in one write.
    await undefined
    while (this.#reopen || this.#fill()) {
      if (this.#reopen) await this.#openAnew()
      else if (!(await this.#writeSome())) {
        if (this.#closed) break
        await this.#untilRetry()
      }
    }
    this.#draining = undefined
  }

  /** Puts the next lines into the chunk, once it is written. @returns whether there is something to write */
  #fill(): boolean {
    if (this.#written < this.#chunk.length) return true
    let length = 0
    let count = 0
    while (count < this.#lines.length && length < CHUNK) length += this.#lines[count++]!.length
    this.#chunk = Buffer.from(this.#lines.splice(0, count).join(''))
    this.#waiting -= length
    this.#written = 0
    return count > 0
  }

  async #writeSome(): Promise<boolean> {
    try {
      this.#written += (await writeFile(this.#fd, this.#chunk, this.#written)).bytesWritten
      this.#troubled = false
      return true
    } catch (error) {
      if (!this.#troubled) this.#options.onTrouble(error as Error)
      this.#troubled = true
      return false
    }
  }

  /** The line that was being written is written again from its start: a new file begins with a whole one. */
  async #openAnew(): Promise<void> {
    this.#reopen = false
    try {
      const old = this.#fd
      this.#fd = await openFile(this.#options.destination, 'a', FILE_MODE)
      this.#written = this.#lineStart()
      await closeFile(old)
    } catch (error) {
      this.#options.onTrouble(error as Error)
    }
  }

  #lineStart(): number {
    return this.#written === 0 ? 0 : this.#chunk.lastIndexOf('\n', this.#written - 1) + 1
  }

  async #untilRetry(): Promise<void> {
    await Promise.race([
      pause(RETRY_MS),
      new Promise<void>((resolve) => {
        this.#wake = resolve
      }),
    ])
  }
}

const pause = (ms: number) => new Promise<false>((resolve) => setTimeout(resolve, ms, false).unref())

function openNow(path: string): number {
  makeFolder(dirname(path))
  return openSync(path, 'a', FILE_MODE)
}
