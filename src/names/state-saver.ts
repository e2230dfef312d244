import { SerialQueue } from '../system/serial-queue.js'
import { type State, writeState } from './state-file.js'

/** The state is written when it has changed, and at least this often, for times go on. */
const AT_LEAST_MS = 3600 * 1000
/** To write it takes its time of the loop's: no more than one part in so many. */
const SHARE = 100
const RETRY_MS = 10_000

/** Keeps the state on disk, whenever it has changed, and as often as that is cheap. */
export class StateKeeper {
  readonly #directory: string
  readonly #state: () => State
  readonly #onError: (error: Error) => void
  readonly #turns = new SerialQueue()
  #changed = false
  #isWriting = false
  #notBefore = 0
  #due = 0
  #lastError = ''

  /** @param state what there is to be kept now @param onError is told of the same trouble once */
  constructor(directory: string, state: () => State, onError: (error: Error) => void) {
    this.#directory = directory
    this.#state = state
    this.#onError = onError
  }

  change(): void {
    this.#changed = true
  }

  /** Writes, if it is time. @param now milliseconds since the epoch */
  async tick(now: number): Promise<void> {
    if (now >= this.#due) this.#changed = true
    if (now >= this.#notBefore && !this.#isWriting) await this.write()
  }

  /** Writes what has changed. */
  write(): Promise<void> {
    return this.#turns.run(async () => {
      if (!this.#changed) return
      this.#changed = false
      this.#isWriting = true
      const start = Date.now()
      try {
        const written = writeState(this.#directory, this.#state())
        this.#notBefore = start + SHARE * (Date.now() - start)
        this.#due = start + AT_LEAST_MS
        await written
        this.#lastError = ''
      } catch (error) {
        this.#fail(error as Error, start)
      } finally {
        this.#isWriting = false
      }
    })
  }

  #fail(error: Error, now: number): void {
    this.#changed = true
    this.#notBefore = now + RETRY_MS
    if (error.message !== this.#lastError) this.#onError(error)
    this.#lastError = error.message
  }
}
