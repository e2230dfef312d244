import { FileOutlet, type Outlet, StdoutOutlet } from './outlet.js'

/** Maximum number of bytes that wait for a slow disk. */
const BUFFER = 4 * 1024 * 1024
const CHUNK = 64 * 1024
/** Pause before a failed step is tried again. */
const RETRY_MS = 500
/** Longest pause while a slow reader takes nothing. */
const SLOW_MS = 50
/** After this time without progress the log is in trouble. */
const STALL_MS = 10_000
/** Time limit of `close`: a disk that takes nothing must not keep the service from ending. */
const CLOSE_MS = 2000
const NEW_LINE = Buffer.from('\n')

export interface LineFileOptions {
  /** A path, or `stdout`. */
  readonly destination: string
  /** Called once when lines cannot be written, until they can be again. */
  readonly onTrouble: (error: NodeJS.ErrnoException) => void
  /** Called when lines can be written again. */
  readonly onRecovery: () => void
}

/**
 * Appends lines to a file, without waiting for the disk. A failure of the disk never throws, loses no line
 * that still fits into memory, and tears no line in two: what fails is tried again. A file that was moved
 * away or deleted is noticed before the next line, and created again, with its folder.
 */
export class LineFile {
  readonly #options: LineFileOptions
  readonly #outlet: Outlet
  #lines: string[] = []
  /** Length of #lines in characters: JSON of addresses and names is nearly all ASCII. */
  #waiting = 0
  /** Bytes that are being written, and the number of them that are written. */
  #chunk = Buffer.alloc(0)
  #written = 0
  /** Whether to check the file even when there is nothing to write. */
  #isCheckDue = false
  /** Whether the open file has not been checked for a torn line yet. */
  #isNew = true
  #isTroubled = false
  #isClosed = false
  /** Settles when nothing is left to do, or when closing stops the retries. */
  #draining: Promise<void> | undefined
  #inFlight = false
  #lastProgress = 0
  /** Ends the pause before a retry. */
  #wake = () => {}

  /** @throws Error of node:fs when the file cannot be opened */
  constructor(options: LineFileOptions) {
    this.#options = options
    this.#outlet = options.destination === 'stdout' ? new StdoutOutlet() : new FileOutlet(options.destination)
  }

  /** Whether the last attempt to write succeeded. */
  get isWell(): boolean {
    return !this.#isTroubled
  }

  /** Whether a call to the disk has not returned: even the end of the process would wait for it. */
  get hangs(): boolean {
    return this.#inFlight
  }

  /**
   * Adds a line, which ends with a line feed.
   * @returns false when it is lost: too many lines wait, or the file is closed
   */
  write(line: string): boolean {
    if (this.#isClosed || this.#waiting + line.length > BUFFER) return false
    this.#lines.push(line)
    this.#waiting += line.length
    this.#start()
    return true
  }

  /**
   * Checks now, not before the next line, whether the file was moved away. When no new one can be created,
   * lines go to the old one.
   */
  reopen(): void {
    if (this.#isClosed) return
    this.#isCheckDue = true
    this.#wake()
    this.#start()
  }

  /**
   * Writes waiting lines and closes, within two seconds.
   * @returns number of lines that could not be written, and are lost
   */
  async close(): Promise<number> {
    if (this.#isClosed) return 0
    this.#isClosed = true
    this.#wake()
    await this.#drainedInTime()
    const { length } = this.#lines
    const unwritten = this.#chunk.subarray(this.#written).filter((byte) => byte === NEW_LINE[0]).length
    this.#lines = []
    this.#written = this.#chunk.length
    if (!this.#inFlight) this.#outlet.close()
    return length + unwritten
  }

  async #drainedInTime(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const end = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_MS)
    })
    await Promise.race([this.#draining, end])
    clearTimeout(timer)
  }

  #start(): void {
    this.#draining ??= this.#drain()
  }

  async #drain(): Promise<void> {
    // All lines of one tick go in one write.
    await undefined
    this.#lastProgress = performance.now()
    while (this.#isCheckDue || this.#fill()) {
      const retry = await this.#advance()
      if (retry === undefined) continue
      if (this.#isClosed && retry === RETRY_MS) break
      await this.#pause(retry)
    }
    this.#draining = undefined
  }

  /**
   * Puts the next lines into the chunk when the last one is written.
   * @returns whether there is something to write
   */
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

  /** Does the next step. @returns milliseconds until it should be tried again; undefined when it succeeded */
  async #advance(): Promise<number | undefined> {
    const stall = setTimeout(() => this.#report(stalled()), STALL_MS).unref()
    this.#inFlight = true
    try {
      const isInPlace = await this.#follow()
      await this.#writeSome()
      if (isInPlace) this.#recover()
      return undefined
    } catch (error) {
      return this.#fail(error as NodeJS.ErrnoException)
    } finally {
      clearTimeout(stall)
      this.#inFlight = false
    }
  }

  /**
   * Makes sure that the open file is the one at the path.
   * @returns false when the old file has to be used on
   */
  async #follow(): Promise<boolean> {
    this.#isCheckDue = false
    if (await this.#outlet.isInPlace()) return true
    try {
      await this.#outlet.renew()
    } catch (error) {
      if (await this.#outlet.isGone()) throw error
      this.#report(error as NodeJS.ErrnoException)
      return false
    }
    // The line that was being written is written again from its start: the new file begins with a whole one.
    this.#written = this.#lineStart()
    this.#isNew = true
    return true
  }

  async #writeSome(): Promise<void> {
    if (this.#written === this.#chunk.length) return
    if (this.#isNew && (await this.#outlet.isTorn())) await this.#outlet.write(NEW_LINE)
    this.#isNew = false
    this.#written += await this.#outlet.write(this.#chunk.subarray(this.#written))
    this.#lastProgress = performance.now()
  }

  #fail(error: NodeJS.ErrnoException): number {
    if (error.code !== 'EAGAIN') {
      this.#report(error)
      return RETRY_MS
    }
    const waited = performance.now() - this.#lastProgress
    if (waited > STALL_MS) this.#report(stalled())
    // The pause grows with the time waited so far: a reader that is quick again must not wait for us.
    return Math.min(waited, SLOW_MS)
  }

  #report(error: NodeJS.ErrnoException): void {
    if (!this.#isTroubled) this.#options.onTrouble(error)
    this.#isTroubled = true
  }

  #recover(): void {
    if (this.#isTroubled) this.#options.onRecovery()
    this.#isTroubled = false
  }

  #lineStart(): number {
    return this.#written === 0 ? 0 : this.#chunk.lastIndexOf('\n', this.#written - 1) + 1
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms).unref()
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

const stalled = () =>
  Object.assign(new Error(`nothing was taken for ${STALL_MS / 1000} s`), { code: 'ETIMEDOUT' })
