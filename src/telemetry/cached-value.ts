/** A value that costs something: found out when it is asked for, and at most so often. Who asks meanwhile shares it. */
export class CachedValue<T> {
  readonly #age: number
  readonly #find: () => Promise<T>
  #last: Promise<T> | undefined
  #dueAt = 0

  /** @param age milliseconds that the value may be old */
  constructor(age: number, find: () => Promise<T>) {
    this.#age = age
    this.#find = find
  }

  value(): Promise<T> {
    const now = performance.now()
    if (this.#last === undefined || now >= this.#dueAt) {
      // Not anew while it is still being found out.
      this.#dueAt = Number.POSITIVE_INFINITY
      this.#last = this.#find().finally(() => {
        this.#dueAt = performance.now() + this.#age
      })
    }
    return this.#last
  }
}
