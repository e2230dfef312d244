import { LINE_AT_MOST } from './event-reader.js'

const LINE_FEED = 0x0a

/** Lines without their line feeds; undefined stands for one that was too long to be kept. */
export type Lines = readonly (string | undefined)[]

/** Cuts bytes into lines as they come, and keeps no more of them than one line may have. */
export class LineSplitter {
  /** Bytes up to the end of the last whole line. */
  end: number
  /** The beginning of a line whose end has not come yet. */
  #rest: Buffer[] = []
  #restLength = 0
  /** The line that comes is too long, and is passed over. */
  #isOver = false

  /** @param at of the first byte that comes */
  constructor(at = 0) {
    this.end = at
  }

  /** @param bytes are copied where they are needed longer */
  push(bytes: Buffer): Lines {
    const last = bytes.lastIndexOf(LINE_FEED)
    if (last < 0) {
      this.#keep(bytes)
      return []
    }
    const first = bytes.indexOf(LINE_FEED)
    const lines: (string | undefined)[] = [this.#finish(bytes.subarray(0, first))]
    if (last > first)
      for (const line of bytes.toString('utf8', first + 1, last).split('\n')) lines.push(short(line))
    this.end += last + 1
    this.#keep(bytes.subarray(last + 1))
    return lines
  }

  /** What stands behind the last line feed, at the end of a file. */
  flush(): Lines {
    const isNothing = this.#restLength === 0 && !this.#isOver
    return isNothing ? [] : [this.#finish(Buffer.alloc(0))]
  }

  #finish(bytes: Buffer): string | undefined {
    const whole = this.#restLength === 0 ? bytes : Buffer.concat([...this.#rest, bytes])
    const isOver = this.#isOver || whole.length > LINE_AT_MOST
    this.end += this.#restLength
    this.#forget()
    this.#isOver = false
    return isOver ? undefined : whole.toString('utf8')
  }

  #keep(bytes: Buffer): void {
    if (bytes.length === 0) return
    if (this.#isOver || this.#restLength + bytes.length > LINE_AT_MOST) {
      this.end += this.#restLength + bytes.length
      this.#forget()
      this.#isOver = true
      return
    }
    this.#rest.push(Buffer.from(bytes))
    this.#restLength += bytes.length
  }

  #forget(): void {
    this.#rest = []
    this.#restLength = 0
  }
}

const short = (line: string): string | undefined => (line.length > LINE_AT_MOST ? undefined : line)
