/** Runs one command to its end. */

import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { text } from 'node:stream/consumers'
import { PATIENCE_MS } from './waiting.js'

export interface Result {
  readonly stdout: string
  readonly stderr: string
  /** The exit status; 128 plus the signal's number when a signal ended it, as in shells. */
  readonly status: number
}

export interface RunOptions {
  /** What the command reads from its standard input; nothing when absent. */
  readonly input?: string
  /** Added to this process's environment; `undefined` takes a variable away. */
  readonly env?: NodeJS.ProcessEnv
  /** Resolve even when the status is not 0. */
  readonly allowFailure?: boolean
  /** Milliseconds until the command is killed; PATIENCE_MS when absent. */
  readonly timeout?: number
}

/**
 * Runs a command.
 * @param place where the command runs, for the message of a failure: `web`
 * @throws Error with the command, its status and its output, unless `allowFailure`;
 *   always when the command cannot be started
 */
export async function run(place: string, argv: readonly string[], options: RunOptions = {}): Promise<Result> {
  const [file = '', ...args] = argv
  const child = spawn(file, args, {
    env: { ...process.env, ...options.env },
    timeout: options.timeout ?? PATIENCE_MS,
    killSignal: 'SIGKILL',
  })
  // A command may end without reading its input. Its status shows whether it failed.
  child.stdin.on('error', () => {})
  child.stdin.end(options.input ?? '')
  const [stdout, stderr, status] = await Promise.all([text(child.stdout), text(child.stderr), ended(child)])
  if (status !== 0 && !options.allowFailure) {
    throw new Error(`${place}: ${argv.join(' ')}: status ${status}\n${stderr}${stdout}`.trimEnd())
  }
  return { stdout, stderr, status }
}

/**
 * How long to read on after the end of a child, in milliseconds: another process may hold its pipes for ever.
 */
const LAST_WORDS_MS = 10_000

/**
 * Waits until a child has ended and its output was read.
 * @returns its status; rejects when it cannot be started
 */
export function ended(child: ReturnType<typeof spawn>): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (status, signal) => {
      const end = () => resolve(status ?? 128 + constants.signals[signal!])
      const timer = setTimeout(end, LAST_WORDS_MS)
      child.once('close', () => {
        clearTimeout(timer)
        end()
      })
    })
  })
}
