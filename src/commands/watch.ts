/** Shows a text and refreshes it every two seconds, in the same place of the terminal. */

import { terminalSafeLines } from '../text/terminal-safe.js'

const EVERY_MS = 2000

// xterm, "Private Modes": the alternate screen, no cursor, no wrapping of long lines; and the way back.
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l'
const LEAVE = '\x1b[?7h\x1b[?25h\x1b[?1049l'
// ECMA-48: the cursor to the upper left; erase to the end of the line, and of the screen.
const HOME = '\x1b[H'
const REST_OF_LINE = '\x1b[K'
const REST_OF_SCREEN = '\x1b[J'

/**
 * Ends on Ctrl-C.
 * @param frame makes the current text, without escape sequences that move the cursor
 * @returns 0
 */
export async function watch(frame: () => Promise<string>): Promise<number> {
  const { stdout } = process
  const screen = stdout.isTTY ? new Screen(stdout) : undefined
  const end = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => end.abort())
  screen?.enter()
  try {
    for (let last = ''; !end.signal.aborted; await pause(EVERY_MS, end.signal)) {
      last = terminalSafeLines(await frame())
      if (screen) screen.draw(last)
      else stdout.write(`${last}\n\n`)
    }
  } finally {
    screen?.leave()
  }
  return 0
}

class Screen {
  readonly #out: NodeJS.WriteStream
  #last = ''

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
  }

  enter(): void {
    this.#out.write(ENTER)
    this.#out.on('resize', this.#redraw)
    process.on('SIGTSTP', this.#suspend).on('SIGCONT', this.#resume)
  }

  /** Restores the terminal. */
  leave(): void {
    this.#out.off('resize', this.#redraw)
    process.off('SIGTSTP', this.#suspend).off('SIGCONT', this.#resume)
    this.#out.write(LEAVE)
  }

  draw(text: string): void {
    this.#last = text
    const lines = text.split('\n')
    // The number of rows is 0 when the terminal does not know it.
    const rows = this.#out.rows || 24
    const shown =
      lines.length <= rows
        ? lines
        : [...lines.slice(0, rows - 1), `... ${lines.length - rows + 1} more lines`]
    // Each line is erased before it is written: after a line as wide as the terminal the cursor is on its
    // last letter, and would erase that.
    const below = shown.length < rows ? `\r\n${REST_OF_SCREEN}` : ''
    this.#out.write(HOME + shown.map((line) => REST_OF_LINE + line).join('\r\n') + below)
  }

  readonly #redraw = () => this.draw(this.#last)

  /** Gives the shell its own screen back on Ctrl-Z. */
  readonly #suspend = () => {
    this.#out.write(LEAVE)
    process.kill(process.pid, 'SIGSTOP')
  }

  readonly #resume = () => {
    this.#out.write(ENTER)
    this.#redraw()
  }
}

const pause = (ms: number, signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(timer)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
    if (signal.aborted) done()
  })
