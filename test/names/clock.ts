/** Makes a clock that only the test moves: it replaces setTimeout, Date.now and performance.now of this process. */
import type { Test } from 'tap'

interface Waiting {
  readonly due: number
  readonly call: () => void
  readonly unref: () => Waiting
}

export class Clock {
  /** Counts timers that would have kept the process alive. */
  kept = 0
  #now = 1_800_000_000_000
  readonly #waiting = new Set<Waiting>()

  /** Puts the clock in place of the real timers until the end of the test. */
  static install(t: Test): Clock {
    const clock = new Clock()
    const { setTimeout, clearTimeout } = globalThis
    const wall = Date.now
    const monotonic = performance.now
    const timers = {
      setTimeout: (call: () => void, ms: number) => clock.#add(call, ms),
      clearTimeout: (timer: Waiting) => clock.#waiting.delete(timer),
    }
    Object.assign(globalThis, timers)
    Date.now = clock.now
    performance.now = clock.now
    t.teardown(() => {
      Object.assign(globalThis, { setTimeout, clearTimeout })
      Date.now = wall
      performance.now = monotonic
    })
    return clock
  }

  readonly now = (): number => this.#now

  /** The number of timers that run now. */
  get timers(): number {
    return this.#waiting.size
  }

  /** Milliseconds until the next timer. */
  get next(): number | undefined {
    const due = [...this.#waiting].map((timer) => timer.due - this.#now)
    return due.length === 0 ? undefined : Math.min(...due)
  }

  /** Lets time pass: timers fire in their order, and the work that they begin is done as far as possible. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms
    await settled()
    while (this.next !== undefined && this.#now + this.next <= end) {
      this.#now += this.next
      for (const timer of [...this.#waiting].filter(({ due }) => due <= this.#now)) {
        this.#waiting.delete(timer)
        timer.call()
      }
      await settled()
    }
    this.#now = end
  }

  #add(call: () => void, ms: number): Waiting {
    this.kept++
    const timer: Waiting = {
      due: this.#now + ms,
      call,
      unref: () => {
        this.kept--
        return timer
      },
    }
    this.#waiting.add(timer)
    return timer
  }
}

/** Resolves when all promises that can settle now have settled. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
