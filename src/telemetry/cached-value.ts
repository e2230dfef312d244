/** Caches an expensive value for a time. Callers in that time, and during the computation, share it. */
export class CachedValue<T> {
  readonly #age: number
  readonly #find: () => Promise<T>
  #last: Promise<T> | undefined
  #dueAt = 0

  /** @param age maximum age of the value, in milliseconds @param find computes the value */
  constructor(age: number, find: () => Promise<T>) {
    this.#age = age
    this.#find = find
  }

  value(): Promise<T> {
    const now = performance.now()
    if (this.#last === undefined || now >= this.#dueAt) {
      // No second computation starts while the first one runs.
      this.#dueAt = Number.POSITIVE_INFINITY
      this.#last = this.#find().finally(() => {
        this.#dueAt = performance.now() + this.#age
      })
    }
    return this.#last
  }
}
