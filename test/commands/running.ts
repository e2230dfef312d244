/** Runs the command line as a program. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { PATIENCE_MS } from '../lab/waiting.js'

const MAIN = fileURLToPath(new URL('../../bin/checkvalve.js', import.meta.url))
/** ENVIRONMENT is the whole environment of a program: the test runner would add its own NODE_OPTIONS. */
const ENVIRONMENT = { PATH: process.env.PATH, TZ: 'UTC' }

export interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export function run(args: readonly string[], { input = '' }: { input?: string | Buffer } = {}): Outcome {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    encoding: 'utf8',
    timeout: PATIENCE_MS,
    env: ENVIRONMENT,
    input,
    maxBuffer: 256 * 1024 * 1024,
  })
  return { status, stdout, stderr }
}

/** Starts a program that keeps running, and collects its output until it ends. */
export class Running {
  stdout = ''
  stderr = ''
  readonly child: ChildProcess
  readonly ended: Promise<{ status: number | null; signal: NodeJS.Signals | null }>

  constructor(args: readonly string[], input: 'ignore' | 'pipe' = 'ignore') {
    this.child = spawn(process.execPath, [MAIN, ...args], {
      env: ENVIRONMENT,
      stdio: [input, 'pipe', 'pipe'],
    })
    this.child.stdout!.on('data', (data) => {
      this.stdout += data
    })
    this.child.stderr!.on('data', (data) => {
      this.stderr += data
    })
    this.ended = new Promise((resolve) =>
      this.child.once('close', (status, signal) => resolve({ status, signal })),
    )
  }

  /** Waits until a condition holds. @throws Error when it does not hold in time */
  async until(what: string, so: (running: this) => boolean): Promise<void> {
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end; ) {
      if (so(this)) return
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    throw new Error(`not in time: ${what}; ${this.stdout}${this.stderr}`)
  }
}
