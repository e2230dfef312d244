/** What a command is: a file of this folder each, all of them listed in list.ts. */
import type { ParseArgsConfig } from 'node:util'
import { type Config, formatProblem, type Loaded, load, type Problem } from '../config/config.js'

type Options = NonNullable<ParseArgsConfig['options']>

export interface Command {
  readonly name: string
  /** What may stand behind the name: `tcp|udp HOST:PORT [--user USER]`. */
  readonly synopsis?: string
  /** One line, for the list of all commands. */
  readonly summary: string
  /** The rest that `--help` says: what it does, and its options. */
  readonly details?: string
  /** Lines to type, for `--help`. */
  readonly examples: readonly string[]
  /** Those of its own, as for `parseArgs` of node:util. */
  readonly options?: Options
  /** Words that it takes at most. Default: none. */
  readonly words?: number
  /** @returns the exit status: 0 good, 1 the answer is no @throws UsageError */
  run(given: Invocation): number | Promise<number>
}

/** What stands on the command line. */
export interface Invocation {
  /** The path of the configuration. */
  readonly path: string
  /** Whether it stands on the command line. */
  readonly isPathGiven: boolean
  /** `key=value` of each --set. */
  readonly set: readonly string[]
  /** Those behind the name of the command. */
  readonly words: readonly string[]
  /** The command's own options. */
  readonly options: Readonly<Record<string, unknown>>
}

/** The command cannot be understood: exit status 2. */
export class UsageError extends Error {}

/** Writes lines to standard output. @returns 0 */
export function say(text: string): number {
  process.stdout.write(`${text}\n`)
  return 0
}

/** Writes what else is to be known to standard error, a line each. @returns 0 */
export function note(notes: readonly string[]): number {
  for (const each of notes) process.stderr.write(`note: ${each}\n`)
  return 0
}

/** Reads the configuration that a command line names. */
export function readConfig({ path, set }: Pick<Invocation, 'path' | 'set'>): Loaded {
  const { CHECKVALVE_CONFIG: _, ...environment } = process.env
  return load({ path, environment, set })
}

/** The same, or says all that is wrong with it. */
export function configOrComplaint(given: Pick<Invocation, 'path' | 'set'>): Config | undefined {
  const loaded = readConfig(given)
  return loaded.ok ? loaded.config : complain(loaded.problems)
}

/**
 * Where the running service listens, or undefined and a complaint. That the configuration was spoiled since the service has read it,
 * or may be read by the service only, is no obstacle.
 */
export function socketOrComplaint(given: Pick<Invocation, 'path' | 'set'>): string | undefined {
  const loaded = readConfig(given)
  if (loaded.ok) return loaded.config.control.socket
  if (loaded.controlSocket === undefined) return complain(loaded.problems)
  complain(loaded.problems.slice(0, 1))
  return loaded.controlSocket
}

function complain(problems: readonly Problem[]): undefined {
  for (const problem of problems) process.stderr.write(`${formatProblem(problem)}\n`)
}

/** An option that takes one value, where it was given. */
export function optionOf({ options }: Invocation, name: string): string | undefined {
  const value = options[name]
  return typeof value === 'string' ? value : undefined
}

export const has = ({ options }: Invocation, name: string): boolean => options[name] === true
