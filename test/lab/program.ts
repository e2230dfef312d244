/** Watches a program that runs beside the test: a server, a daemon, an attacker. */

import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { ended } from './command.js'
import { PATIENCE_MS } from './waiting.js'

type JsonLine = Record<string, unknown>

export class Program {
  /** The output so far. */
  stdout = ''
  stderr = ''
  /** Resolves with the exit status (128 plus the number of the signal) when the program has ended. */
  readonly exited: Promise<number>
  readonly #child: ChildProcess
  /** The lines of standard output that are JSON objects, so far. */
  readonly results: JsonLine[] = []
  #running = true
  #wake: Array<() => void> = []

  /** @param child must have pipes as its standard output and standard error */
  constructor(
    readonly title: string,
    child: ChildProcess,
  ) {
    this.#child = child
    this.exited = ended(child).finally(() => {
      this.#running = false
      this.#wakeAll()
    })
    // The test must not end by an error of `exited` that no code awaits.
    this.exited.catch(() => {})
    // A program that has ended reads no input. Its status shows whether it failed.
    child.stdin?.on('error', () => {})
    child.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
      this.stderr += chunk
      this.#wakeAll()
    })
    createInterface({ input: child.stdout! }).on('line', (line) => {
      this.stdout += `${line}\n`
      const result = parseObject(line)
      if (result !== undefined) this.results.push(result)
      this.#wakeAll()
    })
  }

  get pid(): number {
    return this.#child.pid!
  }

  get running(): boolean {
    return this.#running
  }

  /**
   * Waits until `found` returns a value, and calls it whenever the program has written or ended.
   * @throws Error with the program's output after `timeout` ms, or when the program ended before
   */
  async until<T>(found: () => T | undefined, timeout = PATIENCE_MS): Promise<T> {
    const deadline = Date.now() + timeout
    for (;;) {
      const value = found()
      if (value !== undefined) return value
      const left = deadline - Date.now()
      if (!this.#running || left <= 0) throw new Error(this.#complaint(timeout))
      await this.#nextOutput(left)
    }
  }

  /** Waits for the first line of output that is a JSON object with this key. */
  result(key: string, timeout?: number): Promise<JsonLine> {
    return this.until(() => this.results.find((line) => key in line), timeout)
  }

  /** Writes a line to the program's standard input, which it must have. */
  write(line: string): void {
    this.#child.stdin!.write(`${line}\n`)
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Ends the program by SIGTERM, and by SIGKILL after `patience` ms. @returns its status */
  async stop(patience = 3000): Promise<number> {
    this.kill('SIGTERM')
    const impatience = setTimeout(() => this.kill('SIGKILL'), patience)
    return this.exited.finally(() => clearTimeout(impatience))
  }

  #nextOutput(timeout: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeout)
      this.#wake.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  #wakeAll(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }

  #complaint(timeout: number): string {
    const why = this.#running ? `not in ${timeout} ms` : 'it ended'
    return `${this.title}: the output did not come: ${why}\n${this.stdout}${this.stderr}`.trimEnd()
  }
}

function parseObject(line: string): JsonLine | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    return JSON.parse(line) as JsonLine
  } catch {
    return undefined
  }
}
