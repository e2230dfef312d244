import { execFile } from 'node:child_process'

/** Says that a system program (nft, iptables) could not be run, or failed. */
export class CommandError extends Error {
  override name = 'CommandError'
  constructor(
    message: string,
    readonly missing: boolean,
  ) {
    super(message)
  }
}

/** Debian's package of each program, for the message that a program is missing. */
const PACKAGES: Record<string, string> = {
  nft: 'nftables',
  'iptables-restore': 'iptables',
  'ip6tables-restore': 'iptables',
}

/** A program and its arguments. */
export type CommandLine = readonly [program: string, ...args: string[]]

/** A program that takes longer is killed: milliseconds. */
export const TIMEOUT_MS = 10_000
const MAX_OUTPUT = 64 * 1024 * 1024

/**
 * Runs a program without a shell.
 * @param input text for its standard input
 * @returns its standard output
 * @throws CommandError (rejects) with the first lines of its standard error; `missing` where it is not
 * installed
 */
export function command(argv: CommandLine, input = ''): Promise<string> {
  const [program, ...rest] = argv
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      rest,
      { timeout: TIMEOUT_MS, maxBuffer: MAX_OUTPUT, env: ENVIRONMENT },
      (error, stdout, stderr) => (error ? reject(commandError(argv, error, stderr)) : resolve(stdout)),
    )
    // A program that ends without reading closes the pipe: its exit status says why.
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
  })
}

// Ordinary users' shells often lack the sbin folders.
const SYSTEM_PATH = `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin`

/** The environment of each program. */
export const ENVIRONMENT = { PATH: SYSTEM_PATH, LC_ALL: 'C' }

/** Says why a program failed. @param stderr what it wrote to its standard error */
export function commandError(
  argv: CommandLine,
  error: Error & { code?: unknown },
  stderr: string,
): CommandError {
  const [program] = argv
  // EACCES: a folder of PATH may not be searched, and no other folder of PATH has the program.
  if (error.code === 'ENOENT' || error.code === 'EACCES') {
    const advice = PACKAGES[program] ? `: install the package ${PACKAGES[program]}` : ''
    return new CommandError(`${program} is not installed${advice}`, true)
  }
  const complaint = stderr.trim().split('\n').slice(0, 4).join(' | ') || error.message
  return new CommandError(`${argv.join(' ')}: ${complaint}`, false)
}
