import { FileOutlet, type Outlet, StdoutOutlet } from './outlet.js'

/** Bytes that may wait for a slow disk. */
const BUFFER = 4 * 1024 * 1024
const CHUNK = 64 * 1024
/** What failed is tried again after this. */
const RETRY_MS = 500
/** And for a reader who is slow this is the longest wait. */
const SLOW_MS = 50
/** When nothing was taken for so long, that is trouble. */
const STALL_MS = 10_000
/** A disk that takes nothing must not keep the service from ending. */
const CLOSE_MS = 2000
const NEW_LINE = Buffer.from('\n')

export interface LineFileOptions {
  /** A path, or `stdout`. */
  readonly destination: string
  /** Lines cannot be written where they belong. Told once, until they can. */
  readonly onTrouble: (error: NodeJS.ErrnoException) => void
  /** They can again. */
  readonly onRecovery: () => void
}

/**
 * A file that lines are added to, without waiting for the disk. No failure of the disk throws, loses a line that
 * still fits into memory, or tears one in two: what fails is tried again. A file that was moved away or deleted is noticed
 * before the next line, and made anew, with its folder.
 */
export class LineFile {
  readonly #options: LineFileOptions
  readonly #outlet: Outlet
  #lines: string[] = []
  /** Length of #lines. Counted as text: JSON of addresses and names is nearly all ASCII. */
  #waiting = 0
  /** What is being written, and how much of it was. */
  #chunk = Buffer.alloc(0)
  #written = 0
  /** Whether to look after the file, though there may be nothing to write. */
  #look = false
  /** What is open was not looked at yet. */
  #isNew = true
  #isTroubled = false
  #isClosed = false
  /** Settles when nothing is left to do, or nothing can be done before the end. */
  #draining: Promise<void> | undefined
  #inFlight = false
  #lastProgress = 0
  /** Ends the wait before another try. */
  #wake = () => {}

  /** @throws Error of node:fs when the file cannot be opened */
  constructor(options: LineFileOptions) {
    this.#options = options
    this.#outlet = options.destination === 'stdout' ? new StdoutOutlet() : new FileOutlet(options.destination)
  }

  /** Whether lines can be written, as far as is known. */
  get isWell(): boolean {
    return !this.#isTroubled
  }

  /** Whether the disk has not answered yet: even the end of the process would wait for that. */
  get hangs(): boolean {
    return this.#inFlight
  }

  /** Adds a line, which ends with a line feed. @returns false where it is lost: too many wait already, or the file is closed */
  write(line: string): boolean {
    if (this.#isClosed || this.#waiting + line.length > BUFFER) return false
    this.#lines.push(line)
    this.#waiting += line.length
    this.#start()
    return true
  }

  /** After the file was moved away: looks after it now, not before the next line. Where no new one can be made, lines go on to the old one. */
  reopen(): void {
    if (this.#isClosed) return
    this.#look = true
    this.#wake()
    this.#start()
  }

  /** Writes what waits and closes, within two seconds. @returns how many lines could not be written by then, and are lost */
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
    while (this.#look || this.#fill()) {
      const retry = await this.#advance()
      if (retry === undefined) continue
      if (this.#isClosed && retry === RETRY_MS) break
      await this.#pause(retry)
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

  /** Does what can be done next. @returns milliseconds after which it should be tried again; undefined: it was done */
  async #advance(): Promise<number | undefined> {
    const stall = setTimeout(() => this.#tell(stalled()), STALL_MS).unref()
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

  /** Makes sure that the open file is the one at the path. @returns whether it is; otherwise the old one has to do */
  async #follow(): Promise<boolean> {
    this.#look = false
    if (await this.#outlet.isInPlace()) return true
    try {
      await this.#outlet.renew()
    } catch (error) {
      if (await this.#outlet.isGone()) throw error
      this.#tell(error as NodeJS.ErrnoException)
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
      this.#tell(error)
      return RETRY_MS
    }
    const waited = performance.now() - this.#lastProgress
    if (waited > STALL_MS) this.#tell(stalled())
    // As long again as until now: one who is quick again must not have to wait for us.
    return Math.min(waited, SLOW_MS)
  }

  #tell(error: NodeJS.ErrnoException): void {
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
