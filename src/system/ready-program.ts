import { type ChildProcess, spawn } from 'node:child_process'
import { type CommandLine, command, commandError, ENVIRONMENT, TIMEOUT_MS } from './run-command.js'

/** Characters of an error message that are kept. */
const COMPLAINT_AT_MOST = 4096

/**
 * Keeps one process of a program started, which waits for its standard input: on a busy machine a program
 * takes longer to start than to do its work. The process ends by itself when this one ends.
 */
export class ReadyProgram {
  readonly #argv: CommandLine
  #waiting: ChildProcess | undefined

  /** @param argv a program that does nothing before the end of its standard input */
  constructor(argv: CommandLine) {
    this.#argv = argv
  }

  /** Starts a process, unless one waits already. */
  prepare(): void {
    if (this.#waiting !== undefined) return
    const [program, ...rest] = this.#argv
    const child = spawn(program, rest, { stdio: ['pipe', 'ignore', 'pipe'], env: ENVIRONMENT })
    const forget = () => {
      if (this.#waiting === child) this.#waiting = undefined
    }
    // A process that cannot be started, or is killed while it waits, is no loss: see `run`.
    child.on('error', forget).on('exit', forget)
    child.stdin.on('error', () => {})
    // A process that waits keeps nothing running.
    child.unref()
    for (const pipe of [child.stdin, child.stderr]) (pipe as unknown as { unref(): void }).unref()
    this.#waiting = child
  }

  /**
   * Runs the program with a text as its standard input: by the process that waits, else by a new one.
   * @throws CommandError (rejects)
   */
  async run(input: string): Promise<void> {
    const child = this.#waiting
    this.#waiting = undefined
    if (child === undefined) await command(this.#argv, input)
    else await this.#finish(child, input)
  }

  close(): void {
    this.#waiting?.kill()
    this.#waiting = undefined
  }

  #finish(child: ChildProcess, input: string): Promise<void> {
    return new Promise((resolve, reject) => {
      let complaint = ''
      const timer = setTimeout(() => child.kill(), TIMEOUT_MS)
      child.stderr!.on('data', (data) => {
        complaint = (complaint + data).slice(0, COMPLAINT_AT_MOST)
      })
      child.ref()
      child.once('close', (code, signal) => {
        clearTimeout(timer)
        if (code === 0) resolve()
        else reject(commandError(this.#argv, new Error(`ended by ${signal ?? code}`), complaint))
      })
      child.stdin!.end(input)
    })
  }
}
