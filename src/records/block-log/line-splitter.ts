import { LINE_AT_MOST } from './event-reader.js'

const LINE_FEED = 0x0a

/** Lines without their line feeds; undefined for a line that was too long to be kept. */
export type Lines = readonly (string | undefined)[]

/** Splits a stream of bytes into lines. It keeps no more bytes than one line may have. */
export class LineSplitter {
  /** Bytes up to the end of the last whole line. */
  end: number
  /** The beginning of an unfinished line. */
  #rest: Buffer[] = []
  #restLength = 0
  /** Whether the unfinished line is too long, and is skipped. */
  #isOver = false

  /** @param at position of the first byte */
  constructor(at = 0) {
    this.end = at
  }

  /**
   * @param bytes the next bytes; copied when they are needed after the call
   * @returns the lines that end in them
   */
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

  /** Returns the text after the last line feed, at the end of a file. */
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
