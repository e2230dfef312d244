/**
 * Runs work at intervals. A run is left out while the run before has not ended. An error is reported once,
 * until the error is another or the work succeeds.
 */
export class Periodic {
  readonly #timers: NodeJS.Timeout[] = []
  readonly #onError: (error: Error) => void

  constructor(onError: (error: Error) => void) {
    this.#onError = onError
  }

  every(ms: number, work: () => void | Promise<void>): void {
    let running = false
    let lastError = ''
    const once = async () => {
      if (running) return
      running = true
      try {
        await work()
        lastError = ''
      } catch (error) {
        const { message } = error as Error
        if (message !== lastError) this.#onError(error as Error)
        lastError = message
      } finally {
        running = false
      }
    }
    this.#timers.push(setInterval(once, ms))
  }

  stop(): void {
    for (const timer of this.#timers.splice(0)) clearInterval(timer)
  }
}
