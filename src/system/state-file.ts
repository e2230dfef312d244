import { writeWhole } from './atomic-write.js'
import { SerialQueue } from './serial-queue.js'
import type { ServiceLog } from './service-log.js'

/** The first tick so long after a failed write tries again: milliseconds. */
const RETRY_MS = 10_000
/** Making the text blocks the event loop, so ticks spend no more than one part in 100 of the time on it. */
const COST_DIVISOR = 100

export interface StateFileOptions {
  readonly path: string
  /** Makes the whole text of the file. */
  readonly text: () => string
  /** What the operator loses while the file cannot be written, as a clause: "a restart loses ...". */
  readonly loss: string
  readonly log: Pick<ServiceLog, 'warn' | 'error'>
  /** Milliseconds between two writes by ticks; default 0. */
  readonly intervalMs?: number
}

/**
 * Keeps one file of the state directory up to date, for the next start. Each write replaces the whole file and is on
 * disk when it settles; one write follows the other. A write that fails is logged once, and tried again by ticks.
 */
export class StateFile {
  readonly #options: StateFileOptions
  readonly #writes = new SerialQueue()
  #changed = false
  /** Writes that have not settled. */
  #pending = 0
  /** What the file holds; undefined while that is not known. */
  #written: string | undefined
  #notBefore = 0
  /** What making the text cost last: milliseconds. */
  #costMs = 0
  #lastError: string | undefined

  constructor(options: StateFileOptions) {
    this.#options = options
  }

  /** Takes `text` as what the file holds already: it is not written again. */
  remember(text: string): void {
    this.#written = text
  }

  /** Notes that the text may have changed. */
  change(): void {
    this.#changed = true
  }

  /**
   * Writes a changed text when it is due. Returns at once while a write is under way: a disk that hangs does not
   * collect ticks. @param now milliseconds of any clock that goes forward, the same for all ticks
   */
  async tick(now: number): Promise<void> {
    if (!this.#changed || this.#pending > 0 || now < this.#notBefore) return
    const error = await this.write()
    const interval = error === undefined ? (this.#options.intervalMs ?? 0) : RETRY_MS
    this.#notBefore = now + Math.max(interval, COST_DIVISOR * this.#costMs)
  }

  /** Writes a changed text now. @returns why the file could not be written, or undefined when it holds the text */
  async write(): Promise<string | undefined> {
    this.#pending++
    const error = await this.#writes.run(() => this.#writeChanged())
    this.#pending--
    return error
  }

  async #writeChanged(): Promise<string | undefined> {
    if (!this.#changed) return undefined
    this.#changed = false
    try {
      await this.#replace(this.#makeText())
      this.#onWritten()
      return undefined
    } catch (error) {
      this.#onFailure((error as Error).message)
      return (error as Error).message
    }
  }

  #makeText(): string {
    const start = performance.now()
    const text = this.#options.text()
    this.#costMs = performance.now() - start
    return text
  }

  async #replace(text: string): Promise<void> {
    if (text === this.#written) return
    // A write that fails may have replaced the file before.
    this.#written = undefined
    await writeWhole(this.#options.path, text)
    this.#written = text
  }

  #onWritten(): void {
    const { log, path } = this.#options
    if (this.#lastError !== undefined) log.warn(`${path} is written again`)
    this.#lastError = undefined
  }

  #onFailure(message: string): void {
    const { log, path, loss } = this.#options
    this.#changed = true
    if (message !== this.#lastError)
      log.error(
        `${path} cannot be written: ${message}. It is tried again every ${RETRY_MS / 1000} s; until then ${loss}`,
      )
    this.#lastError = message
  }
}
